"""How a run ends other than well (rule 8): nothing new starts, effects under way settle, then compensations run.

Compensations run one at a time, in the reverse order of completion, as steps of the journal like any other. One that
cannot complete waits for a person.
"""

from __future__ import annotations

from typing import Any

from signoff.core.errors import StepError
from signoff.runtime import attempts
from signoff.runtime.attempts import describe
from signoff.runtime.calling import called
from signoff.runtime.context import RunContext
from signoff.runtime.handlers import Waiting
from signoff.runtime.state import StepRecord
from signoff.workflows.errors import Blocked, ExpressionError
from signoff.workflows.model import Step
from signoff.workflows.semantics import Ready, RunScope


def advance(execution: RunContext) -> None:
    """Settle what is under way; when all is settled, undo; when all is undone, end."""
    for step in list(execution.unbegun):
        execution.unbegun.remove(step)
        _cancelled(execution, step.name)
    for path, record in list(execution.state.steps.items()):
        if record.state is None and "/" not in path:
            _settle(execution, execution.step(path), record)
    if any(record.state is None for record in execution.state.steps.values()):
        return
    record = _next_to_undo(execution)
    if record is not None:
        _undo(execution, record)
        return
    unwinding = execution.state.unwinding
    assert unwinding is not None
    execution.emit("run.ended", {"status": unwinding["cause"], "outcome": None, "error": unwinding["error"]})


def _settle(execution: RunContext, step: Step, record: StepRecord) -> None:
    path = record.path
    if record.in_doubt:
        return  # an effect: its task, its look-up or a person says what became of it
    if path in execution.tasks:
        # Not yet on its way out, or without effect: the task is cut off; an intent that was not sent stays unsent.
        # What becomes of the step is decided once the task has ended, as until then it may still open a review.
        if path not in execution.withdrawing:
            execution.withdrawing.add(path)
            execution.tasks[path].cancel()
        return
    if record.waiting is not None or step.verb == "review":
        # A review whose try was cut off, or whose worker died, may be open although no event says that we wait.
        execution.withdrawing.add(path)
        execution.spawn(path, _withdraw(execution, step, record, record.waiting or Waiting("review")))
        return
    if record.error is not None:
        execution.emit("step.ended", {"step": path, "status": "failed", "error": record.error, "review": False})
        return
    _cancelled(execution, path)


async def _withdraw(execution: RunContext, step: Step, record: StepRecord, waiting: Waiting) -> None:
    call = execution.call(step, record)
    handler = execution.engine.handlers[step.verb]
    try:
        await called(execution, call, lambda: handler.withdraw(call, waiting))
    except StepError as error:
        if error.retryable:
            raise  # the run is put aside and comes back to it
        if not execution.abandoned:
            execution.emit("step.noted", {"step": record.path, "name": "withdraw.failed", "data": describe(error)})
    if not execution.abandoned:
        _cancelled(execution, record.path)


def _cancelled(execution: RunContext, path: str) -> None:
    execution.emit(
        "step.ended",
        {"step": path, "status": "cancelled", "review": execution.step(path).verb == "review"},
    )


def _next_to_undo(execution: RunContext) -> StepRecord | None:
    """The latest completed effect that has a compensation which has not begun."""
    steps = execution.state.steps
    todo = [
        record
        for path, record in steps.items()
        if "/" not in path
        and record.state is not None
        and record.state.status == "done"
        and record.via is None
        and execution.step(path).undo is not None
        and not _begun(steps.get(f"{path}/undo"))
    ]
    return max(todo, key=lambda record: record.ended_seq, default=None)


def _begun(record: StepRecord | None) -> bool:
    return record is not None and (record.attempt > 0 or record.state is not None)


def _undo(execution: RunContext, record: StepRecord) -> None:
    undo = execution.step(record.path).undo
    assert undo is not None
    path = f"{record.path}/undo"
    scope = RunScope(execution.state.started["input"], execution.state.ended, execution.workflow.input_labels)
    scope.result = record.state
    try:
        arguments: dict[str, Any] = {key: value.evaluate(scope) for key, value in undo.arguments.items()}
    except (Blocked, ExpressionError) as error:
        execution.emit(
            "step.started",
            {"step": path, "attempt": 1, "arguments": {}, "labels": record.labels.as_dict(), "needed": True},
        )
        attempts.end_failed(execution, undo, execution.state.record(path), StepError(error.detail, kind="expression"))
        return
    attempts.begin(execution, undo, path, Ready(arguments, record.labels))
