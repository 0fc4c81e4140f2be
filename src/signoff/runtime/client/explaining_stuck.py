"""Why a run cannot be loaded, by the code of what went wrong: what that means, and what a person does about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from signoff.runtime.client.explanations import WHY, Reason, command

NOTHING_LOST = "Nothing of it is lost."

_MOVE = "move it to a release that fits"
_CODE = (
    "Its workflow's code, run again over the journal, asks for something else than is recorded there",
    "Move it to a release whose code asks for the same (`ctx.patched` lets old and new runs differ), or end it",
)
_MEANINGS: Mapping[str, tuple[str, str]] = {
    "command-mismatch": _CODE,
    "foreign-await": (
        "Its workflow's code awaited something that is no command of its context, which no journal can give back",
        "Await commands of `ctx` only; deploy the mended code, and move the run to that release",
    ),
    "non-responsive": (
        "Its workflow's code ran for too long without an await and was interrupted, so that other runs could go on",
        "Put long computations into a tool, and move the run to the release of the mended code; a retry looks at once",
    ),
    "environment-missing": (
        "No worker here has the packages that the run began with",
        "Start a worker with those packages: it takes the run up within a minute",
    ),
    "non-determinism": (
        "Its release compiles to something else than when the run began, as this is another version of Signoff",
        f"Run a worker of the version of Signoff that started it, or {_MOVE}",
    ),
    "crash-limit": (
        "Workers died with this run in the same place again and again, so it is set aside",
        "Look at what those steps do (memory, native code), mend it where workers run, then retry: it goes on there",
    ),
    "not-found": (
        "Its definition is not there",
        f"Register the same files again (`signoff release` gives them the same digest), or {_MOVE}",
    ),
    "definition": ("Its definition cannot be read", f"Correct the project and deploy it, then {_MOVE}"),
    "codec": (
        "Its data was written by a codec that this worker does not have",
        "Set the codec up for workers and servers (`PAYLOADS.read_with`)",
    ),
    "damaged": (
        "Its journal is damaged",
        "Restore the database beside this one and put back rows of `journal` that differ; it goes on within a minute",
    ),
    "artifact": (
        "A large value of it is not there, or is damaged",
        "Restore the database beside this one and compare; the run goes on once the value is back",
    ),
    "internal": (
        "Its journal cannot be read as it stands: it is damaged, or this is a fault of Signoff",
        "The worker's log has the cause. Restore the database beside this one and compare, or run the newer Signoff",
    ),
}
_OTHER = ("It cannot be loaded", f"Mend what is told here, or {_MOVE}")
_UNREAD = frozenset({"artifact", "codec", "damaged"})
"""With these a journal cannot be read to its end, so that nothing can be added to it: neither a move nor an end."""
_RETRIED = frozenset({"crash-limit", "non-responsive"})
"""Codes after which it is tried again at once where somebody says so; the others are tried each minute anyway."""


def stuck_reason(run_id: str, error: Mapping[str, Any]) -> Reason:
    """What keeps a run from being loaded.

    Args:
        run_id: the run.
        error: as its view has it: `code`, `detail`, and what belongs to that code.
    """
    code = str(error.get("code", "internal"))
    means, do = _MEANINGS.get(code, _OTHER)
    detail = str(error.get("detail", "")).rstrip(".")
    facts = {name: _place(error[name]) for name in ("recorded", "now", "at", "place", "missing") if error.get(name)}
    again = (command(run_id, "retry", *WHY),) if code in _RETRIED else ()
    if code in _UNREAD:
        return Reason(f"{means} ({code}): {detail}. {do}.", who="whoever mends that", facts=facts)
    return Reason(
        f"{means} ({code}): {detail}. {do}.",
        who="whoever mends that; or somebody who may 'run.migrate', 'run.cancel' or 'run.terminate'",
        commands=(
            *again,
            command(run_id, "migrate", "--to", "RELEASE", "--dry-run"),
            command(run_id, "terminate", *WHY),
        ),
        facts=facts,
    )


def _place(found: Any) -> Any:
    """A command of a workflow in Python in a line: `tool lab.pay as 'pay' at workflows/pay.py:17`."""
    if not isinstance(found, Mapping):
        return found
    said = cast("Mapping[str, Any]", found)
    what = " ".join(str(said[name]) for name in ("verb", "target") if said.get(name))
    step = f" as '{said['step']}'" if said.get("step") else ""
    at = f" at {said['at']}" if said.get("at") else ""
    return f"{what}{step}{at}" if what else ", ".join(f"{name} {value}" for name, value in said.items())
