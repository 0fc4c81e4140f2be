"""How steps end other than by a result: failures, what catches them (rule 9), and waits for what has to be known."""

from __future__ import annotations

from typing import Any

from signoff.core.errors import StepError
from signoff.core.labels import BOTTOM, Labels
from signoff.runtime import effects
from signoff.runtime.context import RunContext
from signoff.runtime.handlers import Done, Message, Waiting
from signoff.runtime.paths import is_undo
from signoff.runtime.state import FALLBACK, OUTCOME_UNKNOWN, UNDO_FAILED, StepRecord
from signoff.workflows.errors import Blocked, ExpressionError
from signoff.workflows.model import Step
from signoff.workflows.semantics import Ended

DETAIL_CHARS = 4000
PROBLEMS = 50


def end_failed(
    execution: RunContext,
    step: Step,
    record: StepRecord,
    error: StepError,
    message: Message | None = None,
    *,
    labels: Labels = BOTTOM,
) -> None:
    """Journal a failure: `on_error` catches it (rule 9), a compensation goes to a person, else it ends what is around.

    Args:
        execution: the run.
        step: the step that failed.
        record: its own.
        error: what it failed with.
        message: what it was waiting for, where that made it fail.
        labels: of what decided that it failed, besides what the step read.
    """
    if execution.abandoned:
        return
    if is_undo(record.path):
        about = (
            f"'{record.path}', a call of {step.target}, failed: {error.detail[:DETAIL_CHARS].rstrip('.')}. Undo it by"
            " hand, then signal effect.resolution."
        )
        wait(execution, record, Waiting(UNDO_FAILED, about=about), error, message=message)
        return
    if _fell_back(execution, step, record, error, message) or _fall_back(execution, step, record, error, message):
        return
    end_uncaught(execution, step, record, error, message, labels=labels)


def end_uncaught(
    execution: RunContext,
    step: Step,
    record: StepRecord,
    error: StepError,
    message: Message | None = None,
    *,
    labels: Labels = BOTTOM,
) -> None:
    """Journal a failure that gives no other output. `on_error: continue` leaves it at that."""
    data: dict[str, Any] = {
        "step": record.path,
        "status": "failed",
        "error": describe(error),
        "labels": record.labels.join(labels).as_dict(),
        "review": step.verb == "review",
    }
    if message is not None:
        data["message_id"] = str(message.message_id)
    if step.error_mode == "continue":
        data["caught"] = True
    execution.emit("step.ended", data)
    if step.error_mode != "continue":
        execution.program.failed(step, execution.state.steps[record.path], error)


def end_early(execution: RunContext, step: Step, path: str, ended: Ended) -> None:
    """A step ends without having run."""
    if ended.error is not None:
        end_failed(execution, step, StepRecord(path, labels=ended.labels), ended.error)
        return
    data: dict[str, Any] = {
        "step": path,
        "status": ended.status,
        "reason": ended.reason,
        "review": step.verb == "review",
    }
    if ended.labels != BOTTOM:
        data["labels"] = ended.labels.as_dict()  # its status tells something of what decided it
    execution.emit("step.ended", data)


def _fell_back(
    execution: RunContext, step: Step, record: StepRecord, error: StepError, message: Message | None
) -> bool:
    """Whether `on_error` gave an output. Where it fails itself, the first failure is the one to tell of."""
    if step.on_error is None:
        return False
    scope = execution.program.scope(record.path)
    facts = {} if message is None else {"message_id": str(message.message_id)}
    try:
        caught = Done(step.on_error.evaluate(scope), step.on_error.labels(scope))
        execution.end_done(record, caught, via="fallback", error=describe(error), **facts)
    except (Blocked, ExpressionError, StepError, TypeError):
        return False
    return True


def _fall_back(
    execution: RunContext, step: Step, record: StepRecord, error: StepError, message: Message | None
) -> bool:
    """Whether steps of `on_error` run instead; none begins in what is ending itself."""
    if step.error_mode != "steps" or effects.unwound(execution, record):
        return False
    if record.attempt == 0:  # it failed before it began, or was computed at once
        execution.emit(
            "step.started",
            {"step": record.path, "attempt": 1, "arguments": {}, "labels": record.labels.as_dict(), "needed": True},
        )
        record = execution.state.steps[record.path]
    state = {"error": describe(error)}
    wait(execution, record, Waiting(FALLBACK, None, state, "its 'on_error' steps run"), error, message=message)
    execution.program.fall_back(step, record)
    return True


def wait(
    execution: RunContext,
    record: StepRecord,
    waiting: Waiting,
    error: StepError | None = None,
    *,
    message: Message | None = None,
) -> None:
    """Journal that a step waits.

    Raises:
        StepError: what it is to be given back is no plain data, or too large.
    """
    data: dict[str, Any] = {
        "step": record.path,
        "kind": waiting.kind,
        "until": waiting.until,
        "state": waiting.state,
        "about": waiting.about,
        "in_doubt": waiting.kind == OUTCOME_UNKNOWN,
    }
    if error is not None:
        data["error"] = describe(error)
    if message is not None:
        data["message_id"] = str(message.message_id)
    try:
        execution.emit("step.waiting", data)
    except TypeError as unfit:
        raise not_plain("wait", unfit) from unfit


def not_plain(what: str, error: TypeError) -> StepError:
    return StepError(f"the {what} is not plain data: {error}", kind="contract", outcome_unknown=True)


def as_step_error(error: StepError | Blocked | ExpressionError) -> StepError:
    """Any of them as the step's failure."""
    return error if isinstance(error, StepError) else StepError(error.detail, kind="expression")


def describe(error: StepError) -> dict[str, Any]:
    """An error for the journal: bounded, and text that JSON has a form for."""
    detail = error.detail[:DETAIL_CHARS].encode("utf-8", "replace").decode()
    data: dict[str, Any] = {"kind": error.kind, "detail": detail}
    if error.problems:
        data["problems"] = [problem.as_dict() for problem in error.problems[:PROBLEMS]]
    return data
