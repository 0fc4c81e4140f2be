"""One step's tries: act, retry, wait, and find out what became of an effect whose answer never came.

The order for an effect (ENGINE.md rules 3 and 4): intent on the disk, lease still ours, then the call. After a crash or
a broken answer the tool's contract decides: send again with the same key, look the outcome up, or ask a person.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any

from signoff.core.errors import StepError
from signoff.foundation.database import Connection
from signoff.runtime import store
from signoff.runtime.context import RunContext
from signoff.runtime.handlers import Done, Effect, Message, StepCall, StepHandler, Waiting
from signoff.runtime.journal import Row, SessionLostError
from signoff.runtime.state import StepRecord
from signoff.workflows.errors import Blocked, ExpressionError
from signoff.workflows.model import Step
from signoff.workflows.semantics import Ready

OUTCOME_UNKNOWN = "outcome_unknown"
UNDO_FAILED = "undo_failed"
OBSERVED = "effect.observed"
ENGINE_WAITS = frozenset({OUTCOME_UNKNOWN, UNDO_FAILED})

_log = logging.getLogger(__name__)


def next_work(execution: RunContext, step: Step, record: StepRecord, now: datetime) -> Coroutine[Any, Any, None] | None:
    """What to do now for a step that has begun and has nothing under way, or none where it has to wait."""
    if record.waiting is not None:
        return _next_of_waiting(execution, step, record, record.waiting, now=now)
    if record.retry_at is not None and record.retry_at > now:
        return None
    if execution.state.unwinding is not None and "/" not in record.path and not record.in_doubt:
        return None
    return run(execution, step, record)


def _next_of_waiting(
    execution: RunContext, step: Step, record: StepRecord, waiting: Waiting, *, now: datetime
) -> Coroutine[Any, Any, None] | None:
    message = record.undelivered[0] if record.undelivered else None
    if waiting.kind in ENGINE_WAITS:
        return None if message is None else _resolve_by_person(execution, step, record, message)
    if execution.state.unwinding is not None:
        return None
    due = waiting.until is not None and waiting.until <= now
    return _resume(execution, step, record, message) if message is not None or due else None


def begin(execution: RunContext, step: Step, path: str, decision: Ready) -> None:
    """Journal a step's evaluated arguments and start its first try."""
    execution.emit(
        "step.started",
        {
            "step": path,
            "attempt": 1,
            "arguments": decision.arguments,
            "labels": decision.labels.as_dict(),
            "argument_labels": {name: label.as_dict() for name, label in execution.argument_labels(step).items()},
            "needed": decision.needed,
        },
    )
    execution.spawn(path, run(execution, step, execution.state.record(path)))


async def run(execution: RunContext, step: Step, record: StepRecord) -> None:
    """One try of a step, from its intent to its journaled result."""
    handler = execution.engine.handlers[step.verb]
    attempt = record.attempt
    if record.retry_at is not None:
        attempt += 1
        if not record.in_doubt:
            execution.emit("step.started", {"step": record.path, "attempt": attempt})
    call = execution.call(step, record, attempt=attempt)
    effect: Effect | None = None
    try:
        async with execution.engine.slots:
            effect = handler.effect(call)
            done = await _recovered(execution, handler, call, record) if record.in_doubt else None
            if done is None:
                await handler.permit(call)
                if effect is not None:
                    call = await _intend(execution, step, record, call, effect)
                done = await _execute(handler, call)
    except (StepError, Blocked, ExpressionError) as error:
        _failed(execution, step, record, _as_step_error(error), attempt=attempt, effect=effect)
        return
    if execution.abandoned:
        _report(execution, record, attempt, done)
    elif isinstance(done, Waiting):
        wait(execution, record, done)
    else:
        end_done(execution, step, record, done)


async def _execute(handler: StepHandler, call: StepCall) -> Done | Waiting:
    try:
        async with asyncio.timeout(call.timeout_s):
            return await handler.execute(call)
    except TimeoutError as error:
        raise StepError(
            f"no result within {call.timeout_s:g} s", kind="timeout", retryable=True, outcome_unknown=True
        ) from error
    except (StepError, SessionLostError, Blocked, ExpressionError):
        raise
    except Exception as error:
        # A handler's own bug fails its step, not the worker; the log has the trace, the journal only the type.
        _log.exception("step %s of run %s raised", call.path, call.run.run_id)
        raise StepError(
            f"the step's handler raised {type(error).__name__}", kind="internal", outcome_unknown=True
        ) from error


async def _intend(execution: RunContext, step: Step, record: StepRecord, call: StepCall, effect: Effect) -> StepCall:
    """Put the intent on the disk, consuming the approvals that permit it, and make sure that we may still send."""
    key = record.key or await _key(execution, step, record)
    approvals = [approval for approval in call.approvals if approval.result == "approved"]
    row = execution.emit(
        "effect.intended",
        {
            "step": record.path,
            "attempt": call.attempt,
            "key": key,
            "recovery": effect.recovery,
            "settle_s": effect.settle_s,
            "approvals": [approval.review_id for approval in approvals],
        },
    )
    if approvals:
        if not await _consume(execution, record, call, row):
            raise StepError("an approval that this step needs was used for another effect", kind="approval_used")
    else:
        await execution.durable()
    if execution.abandoned or not execution.engine.lease_holds():
        raise SessionLostError("the lease ran out before the call; nothing was sent")
    return execution.call(step, record, attempt=call.attempt)


async def _consume(execution: RunContext, record: StepRecord, call: StepCall, row: Row) -> bool:
    granted = True
    org_id, run_id = execution.facts.org_id, execution.run_id

    async def write(connection: Connection) -> None:
        nonlocal granted
        for approval in call.approvals:
            if approval.result == "approved":
                used = await connection.fetchval(
                    store.USE_APPROVAL, approval.review_id, org_id, run_id, record.path, row.seq, approval.digest
                )
                granted = granted and used is not None

    await execution.alone(write)
    return granted


async def _key(execution: RunContext, step: Step, record: StepRecord) -> str:
    """The idempotency key: `once` by business meaning, else this step of this run; with the effect's generation."""
    if record.path.endswith("/undo"):
        name = record.path.partition("/")[0]
        return f"undo/{execution.state.steps[name].key}"
    if step.once is None:
        return f"{execution.run_id}/{record.path}"
    key = str(step.once.evaluate(execution.scope))
    async with execution.engine.database.worker_connection() as connection:
        generation = await connection.fetchval(store.KEY_GENERATION, execution.facts.org_id, key)
    return key if generation is None else f"{key}#{generation}"


async def _recovered(
    execution: RunContext, handler: StepHandler, call: StepCall, record: StepRecord
) -> Done | Waiting | None:
    """What became of a call whose answer is not in the journal; none means: send (again)."""
    if record.recovery == "resend":
        return None
    if record.recovery == "ask":
        return ask_person(record)
    assert record.tried_at is not None
    clock = execution.engine.clock
    settled = record.tried_at + timedelta(seconds=min(record.settle_s, execution.engine.settings.unknown_wait_s))
    if (remaining_s := (settled - clock.now()).total_seconds()) > 0:
        await clock.sleep(remaining_s)  # a look-up now could miss a call that is still under way
    async with asyncio.timeout(call.timeout_s):
        return await handler.look_up(call)


def ask_person(record: StepRecord) -> Waiting:
    """The wait for a person's word on an effect whose outcome nobody knows."""
    return Waiting(
        OUTCOME_UNKNOWN,
        about=f"Did '{record.path}' take effect (key {record.key})? Look it up in the other system, then signal"
        " effect.resolution with {resolution: happened, output: …}, {resolution: retry} or {resolution: failed}.",
    )


def _failed(
    execution: RunContext, step: Step, record: StepRecord, error: StepError, *, attempt: int, effect: Effect | None
) -> None:
    if execution.abandoned:
        return
    in_doubt = effect is not None and record.in_doubt and error.outcome_unknown
    unwinding = execution.state.unwinding is not None and not record.path.endswith("/undo")
    tries = step.retry.times + 1
    if in_doubt and effect is not None:
        if effect.recovery == "ask" or (attempt >= max(tries, _least_tries(effect))):
            wait(execution, record, ask_person(record), error)
            return
    elif not error.retryable or attempt >= tries or unwinding:
        end_failed(execution, step, record, error)
        return
    delay_s = max(step.retry.delay_before_s(attempt), error.retry_after_s or 0.0)
    execution.emit(
        "step.retrying",
        {
            "step": record.path,
            "attempt": attempt,
            "error": describe(error),
            "retry_at": execution.engine.clock.now() + timedelta(seconds=delay_s),
            "in_doubt": in_doubt,
        },
    )


def _least_tries(effect: Effect) -> int:
    return 4 if effect.recovery == "lookup" else 1


async def _resume(execution: RunContext, step: Step, record: StepRecord, message: Message | None) -> None:
    handler = execution.engine.handlers[step.verb]
    waiting = record.waiting
    assert waiting is not None
    call = execution.call(step, record)
    try:
        async with execution.engine.slots, asyncio.timeout(call.timeout_s):
            result = await handler.resume(call, waiting, message)
    except (StepError, Blocked, ExpressionError) as error:
        end_failed(execution, step, record, _as_step_error(error), message)
        return
    except TimeoutError:
        end_failed(execution, step, record, StepError("resuming took too long", kind="timeout"), message)
        return
    if execution.abandoned:
        return
    if isinstance(result, Waiting):
        wait(execution, record, result, message=message)
    else:
        end_done(execution, step, record, result, message)


async def _resolve_by_person(execution: RunContext, step: Step, record: StepRecord, message: Message) -> None:
    """A person says what became of an effect, or a fenced worker reports what it saw."""
    resolution = message.data.get("resolution")
    if message.kind == OBSERVED or resolution == "happened":
        output: Mapping[str, Any] = message.data.get("output") or {}
        end_done(execution, step, record, Done(output), message)
    elif resolution == "retry":
        execution.emit(
            "step.retrying",
            {
                "step": record.path,
                "attempt": record.attempt,
                "error": {"kind": "resolved", "detail": f"{message.sent_by} says that it did not happen"},
                "retry_at": execution.engine.clock.now(),
                "in_doubt": False,
                "message_id": str(message.message_id),
            },
        )
    elif record.path.endswith("/undo"):
        facts = {"message_id": str(message.message_id), "by": message.sent_by}
        execution.emit("step.ended", {"step": record.path, "status": "bypassed", **facts})
    else:
        error = StepError(f"{message.sent_by} says that it failed", kind="resolved")
        end_failed(execution, step, record, error, message)


def wait(
    execution: RunContext,
    record: StepRecord,
    waiting: Waiting,
    error: StepError | None = None,
    *,
    message: Message | None = None,
) -> None:
    """Journal that a step waits."""
    data: dict[str, Any] = {
        "step": record.path,
        "kind": waiting.kind,
        "until": waiting.until,
        "state": waiting.state,
        "about": waiting.about,
    }
    if error is not None:
        data["error"] = describe(error)
    if message is not None:
        data["message_id"] = str(message.message_id)
    execution.emit("step.waiting", data)


def end_done(execution: RunContext, step: Step, record: StepRecord, done: Done, message: Message | None = None) -> None:
    """Journal that a step is done; an output that is no plain data, or too large, is the step's failure."""
    facts = {} if message is None else {"message_id": str(message.message_id), "by": message.sent_by}
    try:
        execution.end_done(record, done, **facts)
    except TypeError as error:
        end_failed(execution, step, record, StepError(f"the output is not plain data: {error}", kind="contract"))


def end_failed(
    execution: RunContext, step: Step, record: StepRecord, error: StepError, message: Message | None = None
) -> None:
    """Journal a failure: `on_error` catches it (rule 9), a compensation goes to a person, else the run unwinds."""
    if execution.abandoned:
        return
    if record.path.endswith("/undo"):
        about = f"'{record.path}' failed: {error.detail}. Undo it by hand, then signal effect.resolution."
        wait(execution, record, Waiting(UNDO_FAILED, about=about), error)
        return
    caught = _fallback(execution, step)
    if caught is not None:
        execution.end_done(record, caught, via="fallback", error=describe(error))
        return
    data: dict[str, Any] = {
        "step": record.path,
        "status": "failed",
        "error": describe(error),
        "review": step.verb == "review",
    }
    if message is not None:
        data["message_id"] = str(message.message_id)
    execution.emit("step.ended", data)
    execution.unwind(cause="failed", error={"step": record.path, **describe(error)})


def _fallback(execution: RunContext, step: Step) -> Done | None:
    if step.on_error is None:
        return None
    try:
        return Done(step.on_error.evaluate(execution.scope), step.on_error.labels(execution.scope))
    except (Blocked, ExpressionError):
        return None  # the first failure is the one to tell of


def _report(execution: RunContext, record: StepRecord, attempt: int, done: Done | Waiting) -> None:
    """A fenced worker saw an effect's outcome: it tells the run's new owner, so that no second effect is silent."""
    if record.in_doubt and isinstance(done, Done):
        execution.engine.report(
            execution.facts.org_id,
            execution.run_id,
            record.path,
            {"attempt": attempt, "output": done.output, "resolution": "happened"},
        )


def _as_step_error(error: StepError | Blocked | ExpressionError) -> StepError:
    return error if isinstance(error, StepError) else StepError(error.detail, kind="expression")


def describe(error: StepError) -> dict[str, Any]:
    """An error for the journal."""
    data: dict[str, Any] = {"kind": error.kind, "detail": error.detail}
    if error.problems:
        data["problems"] = [problem.as_dict() for problem in error.problems]
    return data
