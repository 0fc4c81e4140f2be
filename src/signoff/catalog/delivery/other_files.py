"""Two projects side by side, where the files' own lines say best what is another: and whatever nothing else tells.

A plan that says nothing of a file that changed would let it through unseen, so every file that differs is told: by what
it means where `differences.py` knows that, else by its lines.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, cast

import orjson

from signoff.catalog.delivery.model import Change, Kind
from signoff.catalog.model import Project

MAX_LINES = 12
"""How many changed lines of one file a plan shows."""
MAX_LINE = 160
"""How much of a line it shows, in characters."""

_KINDS: dict[str, Kind] = {
    "decisions": "decision",
    "calibrations": "calibration",
    "fragments": "fragment",
}
"""What the files of a folder are called where their lines are shown."""
_TOLD_BY: dict[str, frozenset[str]] = {
    "workflows": frozenset({"workflow", "file"}),
    "prompts": frozenset({"prompt"}),
    "tools": frozenset({"tool", "file"}),
    "schemas": frozenset({"schema"}),
    "policies": frozenset({"policy"}),
    "rules": frozenset({"rule"}),
    "knowledge": frozenset({"knowledge"}),
    "schedules": frozenset({"schedule"}),
}
"""Which kinds of changes speak for a folder's files."""


def other_files(old: Project, new: Project, told: Iterable[Change]) -> Iterator[Change]:
    """Code, what has no form of its own in a plan, and every file of which no other change speaks."""
    kinds = {change.kind for change in told}
    for name in sorted(old.files.keys() | new.files.keys()):
        before, after = old.files.get(name), new.files.get(name)
        folder = name.partition("/")[0]
        shown = folder in _KINDS or name.endswith(".py") or "/" not in name
        if before == after or not (shown or kinds.isdisjoint(_TOLD_BY.get(folder, ()))):
            continue
        kind = _KINDS.get(folder, "file")
        if "/" not in name and (before is None or after is None):
            continue  # the whole project comes or goes
        if before is None or after is None:
            yield Change(kind, name, "added" if before is None else "removed")
        elif kind == "calibration":
            yield Change(kind, name, "changed", details=_calibration(before, after))
        else:
            yield Change(kind, name, "changed", details=_lines(before, after))


def _lines(before: bytes, after: bytes) -> tuple[str, ...]:
    """The lines that differ, each with its sign."""
    old, new = (content.decode("utf-8-sig", errors="replace").splitlines() for content in (before, after))
    found = [
        line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 1]}…"
        for line in list(difflib.unified_diff(old, new, n=0, lineterm=""))[2:]
        if not line.startswith("@@")
    ]
    more = len(found) - MAX_LINES
    return (*found[:MAX_LINES], f"… and {more} more lines") if more > 0 else tuple(found) or ("its layout changed",)


def _calibration(before: bytes, after: bytes) -> tuple[str, ...]:
    """What a reviewer asks of another calibration: on what it rests, how far off it is, where its gates are."""
    try:
        documents: list[Any] = [orjson.loads(content) for content in (before, after)]
        (old, new) = (list(_measured(cast("dict[str, Any]", document))) for document in documents)
    except (ValueError, TypeError, KeyError, AttributeError):
        return ("its numbers changed",)
    return tuple(
        f"{name} was {value}, is {other}" for (name, value), (_, other) in zip(old, new, strict=False) if value != other
    ) or ("its numbers changed",)


def _measured(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    measured = document["measured"]
    yield "prompt", f"{document['prompt']}@{document['prompt_version']}"
    yield "method", str(document["calibration"]["method"])
    yield "cases", str(measured["cases"])
    yield "accuracy", f"{measured.get('accuracy', 0):.3f}"
    yield "calibration error", f"{measured['ece_after']:.3f}"
    for precision, gate in sorted(measured.get("gates", {}).items()):
        yield f"threshold for {float(precision):.0%} precision", str(gate["threshold"])
