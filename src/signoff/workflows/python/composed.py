"""`agent` and `plan` as workflows in Python have them: the steps that documents make of them, asked for one by one.

Paths, arguments and ends are those of `workflows/agents.py` and `workflows/plans.py`, so the same handlers make their
steps, and recovery, policies and what a model is told know no difference. Nothing here depends on anything but the ends
of those steps, so a run comes back to where it was by being given them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from signoff.core.values import value
from signoff.workflows.agents import CALLS, TURN
from signoff.workflows.errors import ExpressionError
from signoff.workflows.groups import MAX_FAILED_DETAIL
from signoff.workflows.model import Step
from signoff.workflows.plans import APPROVAL, RESULTS, STEPS, WRITE, resolved
from signoff.workflows.python.commands import Command, Place, Result
from signoff.workflows.python.errors import StepBlocked, StepFailed
from signoff.workflows.python.host import Host
from signoff.workflows.python.offered import Offered


@value
class Composition:
    """What an author asked for.

    Attributes:
        asking: the step that asks the model, still without its path.
        variables: of its prompt.
        offers: what the model may choose, by the name that it knows.
        place: where it was written.
        requires: paths of the steps that must permit it.
        timeout_s: how long the whole may take, in seconds; none for as long as its run.
        approval: of a plan: the review that comes before its calls.
    """

    asking: Step
    variables: Mapping[str, Any]
    offers: Mapping[str, Offered]
    place: Place
    requires: tuple[str, ...] = ()
    timeout_s: float | None = None
    approval: Step | None = None


async def agent(made: Composition, host: Host) -> Result:
    """Its turns, until the model answers.

    Raises:
        StepFailed: a turn failed; or kind `max_reached`, `timeout`.
    """
    steps, turns = _Steps(made, host), int(made.asking.settings["max_turns"])
    last: dict[str, Any] = {}
    turn = Result({})
    for index in range(turns):
        turn = await steps.ask(TURN, f"[{index}]/", {"last": last}, first=index == 0)
        if turn["over"]:
            return Result(turn["output"], path=turn.path)
        last = await _calls(steps, index, turn["calls"])
    detail = f"the model had not answered after {turns} turns, and 'max_turns' is {turns}"
    raise StepFailed(turn.path, {"kind": "max_reached", "detail": detail})


async def _calls(steps: _Steps, index: int, chosen: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the calls of a turn gave, one after the other; a failure is told to the model, and ends nothing."""
    results: list[Any] = []
    failed: list[dict[str, Any]] = []
    for at, one in enumerate(chosen):
        try:
            given = await steps.call(one["tool"], one["arguments"], f"[{index}]/{CALLS}[{at}]/")
        except StepFailed as failure:
            results.append(None)
            detail = failure.detail[:MAX_FAILED_DETAIL]
            failed.append({"index": at, "error": {"kind": failure.kind, "detail": detail}})
        else:
            results.append({"tool": one["tool"], "output": dict(given)})
    return {"results": results, "failed": failed}


async def plan(made: Composition, host: Host) -> Result:
    """The plan, its approval, its calls, and what they gave.

    Raises:
        StepFailed: the model wrote no sound plan, or a call failed; or kind `timeout`.
        StepBlocked: whoever was asked did not approve it.
    """
    steps = _Steps(made, host)
    written = await steps.ask(WRITE, "[0]/", {}, first=True)
    if made.approval is not None:
        await steps.approve(made.approval, written)
    results: list[Mapping[str, Any]] = []
    ended = written
    for index, one in enumerate(written[STEPS]):
        inside = f"[0]/{STEPS}[{index}]/"
        try:
            arguments = {name: resolved(given, results) for name, given in one["arguments"].items()}
        except ExpressionError as error:
            raise StepFailed(ended.path, {"kind": "expression", "detail": error.detail}) from error
        ended = await steps.call(one["tool"], arguments, inside)
        results.append({"tool": one["tool"], "output": dict(ended)})
    said = {name: value for name, value in written.items() if name != STEPS}
    return Result({**said, RESULTS: results}, path=ended.path)


class _Steps:
    """The steps of one composition, within its time."""

    def __init__(self, made: Composition, host: Host) -> None:
        self._made = made
        self._host = host
        seconds = made.timeout_s
        self._until: datetime | None = None if seconds is None else host.now + timedelta(seconds=seconds)
        self._path = ""

    async def ask(self, name: str, inside: str, more: Mapping[str, Any], *, first: bool) -> Result:
        """What the model says.

        Raises:
            StepBlocked: an operator skipped the step, so that there is nothing to go on with.
        """
        made = self._made
        requires = made.requires if first else ()
        said = await self._run(made.asking, {"with": made.variables, **more}, name, inside, requires)
        if not said.done:
            raise StepBlocked(said.path, {"kind": "blocked", "detail": f"'{said.path}' was skipped: it said nothing"})
        return said

    async def call(self, tool: str, chosen: Mapping[str, Any], inside: str) -> Result:
        """What a call that the model chose gives."""
        offered = self._made.offers[tool]
        step, arguments = offered.called(chosen)
        return await self._run(step, arguments, offered.step_name, inside)

    async def approve(self, review: Step, written: Result) -> None:
        """Ask a person for leave to execute a plan.

        Raises:
            StepBlocked: it was not given.
        """
        shown = {"propose": {}, "show": {f"{WRITE}.{STEPS}": written[STEPS]}}
        decision = await self._run(review, shown, APPROVAL, "[0]/")
        if not decision.approved:
            detail = f"the plan was not approved: it was {decision.result}"
            raise StepBlocked(decision.path, {"kind": "blocked", "detail": detail})

    async def _run(
        self, step: Step, arguments: Mapping[str, Any], name: str, inside: str, requires: tuple[str, ...] = ()
    ) -> Result:
        if self._until is not None and self._host.now >= self._until:
            detail = f"not ended within {self._made.timeout_s:g} s"
            raise StepFailed(self._path, {"kind": "timeout", "detail": detail})
        command = Command(replace(step), arguments, self._made.place, requires, name=name, inside=inside)
        ended = await command
        self._path = ended.path
        return ended
