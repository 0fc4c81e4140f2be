"""What becomes of a step under way when what is around it ends: its run unwinds, or a group that it is in ends early.

What was not sent is cut off, a review is withdrawn, a called workflow is cancelled and waited for; an effect whose
outcome is not known is found out, by its contract or a person.
"""

from __future__ import annotations

from signoff.core.errors import StepError
from signoff.runtime import attempts, endings
from signoff.runtime.calling import called
from signoff.runtime.context import RunContext
from signoff.runtime.endings import describe
from signoff.runtime.handlers import Waiting
from signoff.runtime.state import CLOSING, ENGINE_WAITS, FALLBACK, SETTLING, StepRecord
from signoff.workflows.model import Step

OPENING = frozenset({"review", "wait", "call"})
"""Verbs whose try may have opened something although no event says that the step waits."""


def settle(execution: RunContext, step: Step, record: StepRecord) -> None:
    """End a step that has begun, or go on with what must be known before it ends."""
    path = record.path
    if path in execution.tasks:
        # Not yet on its way out, or without effect: the task is cut off; an intent that was not sent stays unsent.
        # What becomes of the step is decided once the task has ended, as until then it may still open a review.
        if path not in execution.withdrawing and not record.in_doubt:
            execution.withdrawing.add(path)
            execution.tasks[path].cancel()
        return
    waiting = record.waiting
    if record.in_doubt or (waiting is not None and waiting.kind in ENGINE_WAITS | {SETTLING}):
        _go_on(execution, step, record)
        return
    if step.is_group or (waiting is not None and waiting.kind == FALLBACK):
        _end_outer(execution, record)
        return
    if waiting is not None or step.verb in OPENING:
        execution.withdrawing.add(path)
        execution.spawn(path, _withdraw(execution, step, record, waiting or Waiting(step.verb)))
        return
    if record.error is not None:
        execution.emit("step.ended", {"step": path, "status": "failed", "error": record.error, "review": False})
        return
    cancelled(execution, path)


def _go_on(execution: RunContext, step: Step, record: StepRecord) -> None:
    work = attempts.next_work(execution, step, record, execution.engine.clock.now())
    if work is not None:
        execution.spawn(record.path, work)


def _end_outer(execution: RunContext, record: StepRecord) -> None:
    """A group ends once nothing in it is under way. In one that only ends early itself, its program sees to that."""
    path, unwinding = record.path, execution.state.unwinding
    inside = (f"{path}[", f"{path}!/")
    if any(other.startswith(inside) for other in execution.state.busy):
        return
    error = record.error
    if record.waiting is not None and record.waiting.kind in (CLOSING, FALLBACK):
        error = record.waiting.state["error"]
    elif unwinding is not None and str(unwinding["error"].get("step", "")).startswith(inside):
        error = unwinding["error"]
    if error is None:
        cancelled(execution, path)
    else:
        execution.emit("step.ended", {"step": path, "status": "failed", "error": error, "review": False})


async def _withdraw(execution: RunContext, step: Step, record: StepRecord, waiting: Waiting) -> None:
    call = execution.call(step, record)
    handler = execution.engine.handlers[step.verb]
    until: Waiting | None = None
    try:
        until = await called(execution, call, lambda: handler.withdraw(call, waiting))
    except StepError as error:
        if error.retryable:
            raise  # the run is put aside and comes back to it
        if not execution.abandoned:
            execution.emit("step.noted", {"step": record.path, "name": "withdraw.failed", "data": describe(error)})
    if execution.abandoned or record.state is not None:
        return
    if until is None:
        cancelled(execution, record.path)
    else:
        endings.wait(execution, record, until)


def cancelled(execution: RunContext, path: str) -> None:
    """Journal that a step was cancelled."""
    execution.emit(
        "step.ended",
        {"step": path, "status": "cancelled", "review": execution.step(path).verb == "review"},
    )
