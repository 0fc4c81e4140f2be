"""Steps that people have cut off: skipped, or ended with their run at once.

A step without effect, or whose effect was not sent, is stopped where it is; a review is withdrawn. An effect whose
outcome is not known is never said to be skipped: what became of it counts, or the run's end names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from signoff.core.errors import StepError
from signoff.runtime.attributes import note_attributes
from signoff.runtime.calling import called
from signoff.runtime.context import RunContext
from signoff.runtime.events import EventKind
from signoff.runtime.handlers import Waiting
from signoff.runtime.settling import OPENING
from signoff.runtime.state import CLOSING, ENGINE_WAITS, FALLBACK, PAUSE, SETTLING, RunState, StepRecord
from signoff.workflows.model import Step

OWN_WAITS = ENGINE_WAITS | {PAUSE, FALLBACK, CLOSING, SETTLING}
"""Waits that are the engine's own: there is nothing outside to be withdrawn."""


def advance(execution: RunContext) -> bool:
    """Go on with what operations have asked for; true where nothing else of the run may move."""
    if terminating(execution.state):
        _go_on_terminating(execution)
        return True
    operated = execution.state.operated
    if operated.skips:
        for path, said in list(operated.skips.items()):
            _go_on_skipping(execution, path, said)
    return operated.paused is not None


def terminating(state: RunState) -> bool:
    """Whether the run is being ended at once."""
    return state.unwinding is not None and state.unwinding["cause"] == "terminated"


def _go_on_skipping(execution: RunContext, path: str, said: Mapping[str, Any]) -> None:
    record = execution.state.steps.get(path)
    if record is not None and (record.in_doubt or record.state is not None):
        return  # it was on its way out already: what it comes to counts
    if record is None and not execution.program.begins(path):
        return  # it ends once its turn has come; ended before that, it would begin the turn
    end = {"step": path, "status": "bypassed", **said, "review": execution.step(path).verb == "review"}
    if not _cut_off(execution, path, partial(_emit, execution, "step.ended", end)):
        _emit(execution, "step.ended", end)


def _go_on_terminating(execution: RunContext) -> None:
    for path in execution.program.drop():
        _emit(execution, "step.ended", _cancelled(execution, path))
    busy = False
    # The innermost first: a group ends when what is in it has.
    for path in sorted(execution.state.open, key=lambda path: path.count("/"), reverse=True):
        if execution.state.open[path].in_doubt and path not in execution.tasks:
            continue
        end = _cancelled(execution, path)
        if _cut_off(execution, path, partial(_emit, execution, "step.ended", end)):
            busy = True
        else:
            _emit(execution, "step.ended", end)
    unwinding = execution.state.unwinding
    assert unwinding is not None
    if not busy:
        if execution.workflow.attributes:
            note_attributes(execution)
        end = {"status": "terminated", "outcome": None, "error": unwinding["error"], **left(execution.state)}
        execution.emit("run.ended", end)


def _cancelled(execution: RunContext, path: str) -> dict[str, Any]:
    return {"step": path, "status": "cancelled", "review": execution.step(path).verb == "review"}


def left(state: RunState) -> dict[str, Any]:
    """What a run that was ended at once leaves behind: effects whose outcome nobody knows, and effects that stand."""
    records = [record for record in state.steps.values() if record.key is not None]
    return {
        "in_doubt": [{"step": record.path, "key": record.key} for record in records if record.in_doubt],
        "effects": [record.path for record in records if record.state is not None and record.state.status == "done"],
    }


def _cut_off(execution: RunContext, path: str, then: Callable[[], None]) -> bool:
    """Stop what is under way at a step: true where that takes a moment, and `then` is called or the run looks again."""
    if path in execution.tasks:
        if path not in execution.withdrawing:
            execution.withdrawing.add(path)
            execution.tasks[path].cancel()
        return True
    record = execution.state.open.get(path)
    if record is None or record.in_doubt:
        return False
    step, waiting = execution.step(path), record.waiting
    if waiting is None and step.verb in OPENING:
        waiting = Waiting(step.verb)  # its try may have opened something although no event says that it waits
    if waiting is None or waiting.kind in OWN_WAITS:
        return False
    execution.withdrawing.add(path)
    execution.spawn(path, _withdraw(execution, step, record, waiting=waiting, then=then))
    return True


async def _withdraw(
    execution: RunContext, step: Step, record: StepRecord, *, waiting: Waiting, then: Callable[[], None]
) -> None:
    call = execution.call(step, record)
    handler = execution.engine.handlers[step.verb]
    try:
        await called(execution, call, lambda: handler.withdraw(call, waiting))
    except StepError as error:
        if error.retryable:
            raise  # the run is put aside and comes back to it
        data = {"kind": error.kind, "detail": error.detail}
        _emit(execution, "step.noted", {"step": record.path, "name": "withdraw.failed", "data": data})
    if record.state is None:
        then()


def _emit(execution: RunContext, kind: EventKind, data: Mapping[str, Any]) -> None:
    if not execution.abandoned:
        execution.emit(kind, data)
