"""One step's tries: act, retry, wait, and end. What is special about effects is in `effects.py`."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

from signoff.core.errors import StepError
from signoff.runtime import effects, refusals, unsent
from signoff.runtime.breakers import BREAKER_OPEN
from signoff.runtime.calling import called
from signoff.runtime.context import RunContext
from signoff.runtime.endings import as_step_error, describe, end_failed, not_plain, wait
from signoff.runtime.handlers import Done, Message, Waiting, passed_by
from signoff.runtime.journal import NotSentError
from signoff.runtime.paths import is_undo
from signoff.runtime.program import Beginning
from signoff.runtime.state import (
    ENGINE_WAITS,
    FALLBACK,
    OUTCOME_UNKNOWN,
    RESOLUTION,
    SETTLING,
    StepRecord,
)
from signoff.runtime.trying import Try
from signoff.workflows.errors import Blocked, ExpressionError
from signoff.workflows.model import Step

LEAST_LOOK_UPS = 4  # however few retries a step declares, an outcome is looked up so often before a person is asked


def next_work(execution: RunContext, step: Step, record: StepRecord, now: datetime) -> Coroutine[Any, Any, None] | None:
    """What to do now for a step that has begun and has nothing under way, or none where it has to wait."""
    if step.is_group:
        return None
    if record.waiting is not None:
        return _next_of_waiting(execution, step, record, record.waiting, now=now)
    told = effects.observed(record) or unsent.word(record) or refusals.word(record)
    if record.retry_at is not None and record.retry_at > now and told is None:
        return None
    if effects.unwound(execution, record) and not record.in_doubt:
        return None
    return run(execution, step, record)


def _next_of_waiting(
    execution: RunContext, step: Step, record: StepRecord, waiting: Waiting, *, now: datetime
) -> Coroutine[Any, Any, None] | None:
    message = record.undelivered[0] if record.undelivered else None
    if waiting.kind in ENGINE_WAITS:
        return None if message is None else _resolve_by_person(execution, step, record, message)
    if waiting.kind == FALLBACK:
        return None
    if execution.state.unwinding is not None and waiting.kind != SETTLING:
        return None
    due = waiting.until is not None and waiting.until <= now
    if due and message is None:
        passed = passed_by(execution.engine.handlers[step.verb], waiting)
        if passed is not None:
            execution.end_done(record, passed)  # ten thousand timers may be due in a second: no task for any of them
            return None
    return _resume(execution, step, record, message) if message is not None or due else None


def begin(execution: RunContext, beginning: Beginning) -> None:
    """Journal a step's evaluated arguments and start its first try."""
    record = started(execution, beginning)
    if record is not None:
        execution.spawn(record.path, run(execution, beginning.step, record))


def started(execution: RunContext, beginning: Beginning) -> StepRecord | None:
    """Journal a step's evaluated arguments; none where they cannot be, and the step has failed."""
    path = beginning.path
    data: dict[str, Any] = {
        "step": path,
        "attempt": 1,
        "arguments": beginning.arguments,
        "labels": beginning.labels.as_dict(),
        "argument_labels": {name: label.as_dict() for name, label in beginning.argument_labels.items()},
        "needed": beginning.needed,
    }
    if beginning.control is not None and beginning.control != beginning.labels:
        data["control"] = beginning.control.as_dict()
    if beginning.command is not None:
        data["command"] = beginning.command
    try:
        execution.emit("step.started", data)
    except (StepError, TypeError) as error:
        failure = error if isinstance(error, StepError) else not_plain("arguments", error)
        record = StepRecord(path, labels=beginning.labels)
        if is_undo(path):  # it is under way all the same: a person has to undo by hand before the run may end
            execution.emit("step.started", {**data, "arguments": {}, "argument_labels": {}})
            record = execution.state.record(path)
        end_failed(execution, beginning.step, record, failure)
        return None
    return execution.state.record(path)


async def run(execution: RunContext, step: Step, record: StepRecord) -> None:
    """One try of a step, from its intent to its journaled result."""
    if record.in_doubt and record.undelivered and await _told(execution, step, record):
        return
    attempt = record.attempt
    if record.retry_at is not None:
        attempt += 1
        if not record.in_doubt:
            execution.emit("step.started", {"step": record.path, "attempt": attempt})
    tried = Try(execution, step, record, attempt)
    try:
        done = await tried.result()
        if execution.abandoned:
            effects.report(execution, record, attempt, done)
        elif record.state is None:
            await _end(execution, record, done, dry=tried.dry)
    except NotSentError:
        unsent.stayed(execution, record)
    except (StepError, Blocked, ExpressionError) as error:
        _tried_in_vain(execution, step, record, as_step_error(error), tried)


async def _told(execution: RunContext, step: Step, record: StepRecord) -> bool:
    """Whether a worker that lost the run has said what became of the effect in doubt; that is taken then."""
    if (message := effects.observed(record)) is not None:
        await _take_word(execution, record, effects.observed_done(message), message)
    elif (message := unsent.word(record)) is not None:
        unsent.tried_again(execution, record, message)
    elif (message := refusals.word(record)) is not None:
        _take_refusal(execution, step, record, message)
    else:
        return False
    return True


def _tried_in_vain(execution: RunContext, step: Step, record: StepRecord, error: StepError, tried: Try) -> None:
    """Journal a try's failure; tell whoever has the run instead where the other side's refusal is all that is known."""
    in_doubt = tried.leaves_doubt(error)
    told = refusals.telling(execution, record, error) if record.in_doubt and tried.sent and not in_doubt else None
    if execution.abandoned:
        if told is not None:
            told()
    elif record.state is None:
        if told is not None:
            execution.if_lost.append(told)
        _failed(execution, step, record, error, attempt=tried.attempt, in_doubt=in_doubt)


async def _end(
    execution: RunContext,
    record: StepRecord,
    done: Done | Waiting,
    message: Message | None = None,
    *,
    dry: bool = False,
) -> None:
    """Journal a result.

    Raises:
        StepError: it is no plain data, or too large; an effect has happened all the same.
    """
    if isinstance(done, Waiting):
        wait(execution, record, done, message=message)
        return
    facts: dict[str, Any] = {} if message is None else {"message_id": str(message.message_id), "by": message.sent_by}
    if dry:
        facts["dry"] = True
    # What somebody said stays in the inbox until its event is written; what this worker saw itself, nobody else knows.
    told = effects.telling(execution, record, done) if message is None else None
    try:
        execution.end_done(record, done, **facts)
    except TypeError as error:
        raise not_plain("output", error) from error
    if told is not None:
        execution.if_lost.append(told)
    if is_undo(record.path):
        await effects.undone(execution, record)


def _failed(
    execution: RunContext,
    step: Step,
    record: StepRecord,
    error: StepError,
    *,
    attempt: int,
    in_doubt: bool,
    message: Message | None = None,
) -> None:
    held = error.kind == BREAKER_OPEN
    made = attempt - record.held  # a try that a breaker held back asked nothing of the tool
    tries = step.retry.times + 1
    if in_doubt and not held:
        least = LEAST_LOOK_UPS if record.recovery == "lookup" else 1
        # Sending again finds nothing out where the same call would be refused the same way.
        hopeless = record.recovery == "resend" and not (error.retryable or error.outcome_unknown)
        if record.recovery == "ask" or hopeless or made >= max(tries, least):
            wait(execution, record, effects.ask_person(record), error)
            return
    elif error.kind == "not_sent":
        facts = {"error": describe(error), "review": False}
        execution.emit("step.ended", {"step": record.path, "status": "cancelled", **facts})
        return
    elif not in_doubt and (effects.unwound(execution, record) or not (held or (_again(step, error) and made < tries))):
        end_failed(execution, step, record, error, message)
        return
    chance = execution.engine.chance()
    backoff_s = 0.0 if held else step.retry.delay_before_s(max(made, 1), chance)
    delay_s = max(backoff_s, error.retry_after_s or 0.0)
    execution.emit(
        "step.retrying",
        {
            "step": record.path,
            "attempt": attempt,
            "error": describe(error),
            "retry_at": execution.engine.clock.now() + timedelta(seconds=delay_s),
            "in_doubt": in_doubt,
            **({"held": True} if held else {}),
            **({} if message is None else {"message_id": str(message.message_id), "by": message.sent_by}),
        },
    )


def _take_refusal(execution: RunContext, step: Step, record: StepRecord, message: Message) -> None:
    """Take what another worker was told of this run's effect, before it lost the run."""
    error = refusals.error_of(message)
    _failed(execution, step, record, error, attempt=record.attempt, in_doubt=False, message=message)


async def _resume(execution: RunContext, step: Step, record: StepRecord, message: Message | None) -> None:
    handler = execution.engine.handlers[step.verb]
    waiting = record.waiting
    assert waiting is not None
    call = execution.call(step, record)
    try:
        async with execution.engine.slots:
            result = await called(execution, call, lambda: handler.resume(call, waiting, message))
        if not execution.abandoned and record.state is None:
            await _end(execution, record, result, message)
    except (StepError, Blocked, ExpressionError) as error:
        failure = as_step_error(error)
        if failure.retryable and failure.outcome_unknown:
            raise  # what it waited for is still there: the run is put aside and comes back to it
        if record.state is None and waiting.kind == SETTLING:
            told = {"error": describe(failure), "review": False}
            execution.emit("step.ended", {"step": record.path, "status": "cancelled", **told})
        elif record.state is None:
            _failed_waiting(execution, step, record, failure, message)


def _failed_waiting(
    execution: RunContext, step: Step, record: StepRecord, error: StepError, message: Message | None
) -> None:
    """What a try waited for came to nothing: another one begins where the step foresees that."""
    made = record.attempt - record.held
    if effects.unwound(execution, record) or not _again(step, error) or made >= step.retry.times + 1:
        end_failed(execution, step, record, error, message)
        return
    delay_s = step.retry.delay_before_s(max(made, 1), execution.engine.chance())
    facts = {} if message is None else {"message_id": str(message.message_id)}
    data = {"step": record.path, "attempt": record.attempt, "error": describe(error), "in_doubt": False, **facts}
    execution.emit("step.retrying", {**data, "retry_at": execution.engine.clock.now() + timedelta(seconds=delay_s)})


async def _take_word(
    execution: RunContext, record: StepRecord, done: Done, message: Message, *, step: Step | None = None
) -> None:
    """End a step with what somebody says of it; a person's word is held to the contract of `step`."""
    try:
        if step is not None and not record.path.endswith("/undo"):
            execution.engine.handlers[step.verb].check_answer(execution.call(step, record), done.output)
        await _end(execution, record, done, message)
    except StepError as error:
        wait(execution, record, record.waiting or effects.ask_person(record), error, message=message)


async def _resolve_by_person(execution: RunContext, step: Step, record: StepRecord, message: Message) -> None:
    """A person says what became of an effect, or a fenced worker reports what it saw. Anything else is passed over."""
    waiting = record.waiting
    assert waiting is not None
    said = message.kind == RESOLUTION and effects.answers(waiting, message)
    resolution = message.data.get("resolution") if said else None
    facts = {"message_id": str(message.message_id)}
    done = None
    if effects.is_observation(message) and waiting.kind == OUTCOME_UNKNOWN:
        done = effects.observed_done(message)
    elif resolution == "happened":
        done = effects.resolved_done(message)
    if waiting.kind == OUTCOME_UNKNOWN and effects.says(record, message, unsent.NOT_SENT):
        unsent.tried_again(execution, record, message)
    elif waiting.kind == OUTCOME_UNKNOWN and effects.says(record, message, refusals.REFUSED):
        _take_refusal(execution, step, record, message)
    elif done is not None:
        await _take_word(execution, record, done, message, step=step if resolution == "happened" else None)
    elif resolution == "retry" and not _unevaluated(step, record):
        execution.emit(
            "step.retrying",
            {
                "step": record.path,
                "attempt": record.attempt,
                "error": {"kind": "resolved", "detail": f"{message.sent_by} says that it did not happen"},
                "retry_at": execution.engine.clock.now(),
                "in_doubt": False,
                "broke": execution.broke,
                **facts,
            },
        )
    elif resolution == "failed" and is_undo(record.path):
        execution.emit("step.ended", {"step": record.path, "status": "bypassed", "by": message.sent_by, **facts})
    elif resolution == "failed":
        error = StepError(f"{message.sent_by} says that it failed", kind="resolved")
        end_failed(execution, step, record, error, message)
    else:
        wait(execution, record, waiting, message=message)


def _unevaluated(step: Step, record: StepRecord) -> bool:
    """Whether it is a compensation whose arguments could not be had: without them it would undo who knows what."""
    return is_undo(record.path) and not record.arguments and bool(step.arguments)


def _again(step: Step, error: StepError) -> bool:
    """Whether a try that failed is followed by another, as far as its kind decides. `on` may name any kind."""
    return step.retry.retries(error.kind, retryable=error.retryable)
