"""What a workflow in Python offers to a model: the entries of `tools`, each a call that the model may choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from signoff.core.values import value
from signoff.workflows.model import Step, Verb
from signoff.workflows.offers import MAX_OFFERED, spoken_name, step_name
from signoff.workflows.python.making import step_of
from signoff.workflows.python.options import require_known
from signoff.workflows.templates import Constant
from signoff.workflows.verbs import DEFAULT_TOP, MAX_TOP

TOOL_KEYS = ("tool", "with", "once", "undo", "retry", "timeout")
INDEX_KEYS = ("retrieve", "top", "retry", "timeout")

Arguments = Mapping[str, Any]
Offers = Sequence[str | Mapping[str, Any]]


@value
class Offered:
    """One entry of `tools`.

    Attributes:
        name: what the model calls it.
        step: what a call of it runs, still without its path.
        fixed: the arguments that are the author's, and not the model's to choose or to see.
        once: makes the idempotency key of a call from its arguments; none where the engine makes it.
    """

    name: str
    step: Step
    fixed: Arguments
    once: Callable[[Arguments], str] | None = None

    @property
    def step_name(self) -> str:
        """The name of the step that makes a call of it."""
        return step_name(self.name)

    @property
    def setting(self) -> dict[str, Any]:
        """What the step that asks the model must know of it, as plain data."""
        return {self.step.verb: self.step.target, "fixed": list(self.fixed)}

    def called(self, chosen: Arguments) -> tuple[Step, Arguments]:
        """The step of one call, and its arguments by the verb's keys."""
        if self.step.verb == "retrieve":
            return self.step, {"query": chosen["query"]}
        given = {**chosen, **self.fixed}
        if self.once is None:
            return self.step, {"with": given}
        key = self.once(given)
        return replace(self.step, once=Constant(key, key)), {"with": given}


def offered_of(entries: Offers) -> dict[str, Offered]:
    """The entries by the names that the model calls them.

    Raises:
        ValueError: there are none or too many, one is no entry, or two could not be told apart.
    """
    if isinstance(entries, str) or not entries:
        raise ValueError("tools is a list of what may be called, such as ['shop.get_order']")
    if len(entries) > MAX_OFFERED:
        raise ValueError(f"a model is offered at most {MAX_OFFERED} tools")
    found: dict[str, Offered] = {}
    for entry in entries:
        offered = _offered({"tool": entry} if isinstance(entry, str) else dict(entry))
        if offered.step_name in {one.step_name for one in found.values()}:
            raise ValueError(f"'{offered.name}' is listed twice: it could not be told apart")
        found[offered.name] = offered
    return found


def _offered(entry: dict[str, Any]) -> Offered:
    verb: Verb = "retrieve" if "retrieve" in entry else "tool"
    require_known("an entry of tools", entry, INDEX_KEYS if verb == "retrieve" else TOOL_KEYS)
    target: Any = entry.get(verb)
    if target is None or target.__class__ is not str:
        raise ValueError("an entry of tools names one: {'tool': …} or {'retrieve': …}")
    top, once = entry.get("top", DEFAULT_TOP), cast("Callable[[Arguments], str] | None", entry.get("once"))
    if verb == "retrieve" and not (isinstance(top, int) and 1 <= top <= MAX_TOP):
        raise ValueError(f"top is a whole number from 1 to {MAX_TOP}")
    if once is not None and not callable(once):
        raise ValueError("once of an entry is a function from a call's arguments to its key: each call has its own")
    step = step_of(
        verb,
        target,
        {"top": top} if verb == "retrieve" else {},
        retry=entry.get("retry"),
        timeout=entry.get("timeout"),
        undo=entry.get("undo"),
    )
    return Offered(spoken_name(target), step, dict(entry.get("with") or {}), once)
