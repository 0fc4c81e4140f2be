"""Effects: the intent before the call, and what became of a call whose answer never came (decisions 0002 and 0007).

The order: intent on the disk, approvals consumed with it, lease still ours, then the call. After a crash or a broken
answer the tool's contract decides: send again with the same key, look the outcome up, or ask a person.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, cast

import orjson

from signoff.core.errors import StepError
from signoff.core.ids import digest
from signoff.core.labels import Labels, Trust
from signoff.foundation.database import Connection
from signoff.runtime import store
from signoff.runtime.calling import called
from signoff.runtime.context import RunContext
from signoff.runtime.events import encode
from signoff.runtime.handlers import Approval, Done, Effect, Message, Spending, StepCall, StepHandler, Waiting
from signoff.runtime.journal import Entry, NotSentError, Row, SessionLostError
from signoff.runtime.paths import is_undo, undone_by
from signoff.runtime.quotas import spend_quota
from signoff.runtime.records import APPROVAL_OUTDATED, Meant
from signoff.runtime.state import OUTCOME_UNKNOWN, RESOLUTION, StepRecord
from signoff.workflows.model import Step

OBSERVED = "effect.observed"
SYSTEM = "system/"
LEASE_PAUSE_S = 0.02


async def intend(execution: RunContext, step: Step, record: StepRecord, call: StepCall, effect: Effect) -> None:
    """Put the intent on the disk, consuming the approvals that permit it, and make sure that we may still send.

    Raises:
        StepError: kind `quota`, no more may be spent; kind `approval_used`, an approval was used for another effect;
            kind `approval_outdated`, it was used under a release that the run has left since.
        SessionLostError: the run is not ours any more; nothing was sent. A `NotSentError` once the intent may be on
            the disk.
    """
    tried_before = record.key is not None
    once, key, generation = record.once, record.key, None
    if key is None:
        once, key, generation = _own_key(execution, step, record) or await _key_of_once(execution, step, record)
    approvals = [one for one in call.approvals if one.result == "approved"] if call.approvals else []
    if execution.abandoned:
        raise SessionLostError("the run is not ours any more; nothing was sent")
    bound = effect_digest(execution, step, call)
    broke = execution.broke
    spending = None if approvals or effect.spending is None or is_undo(record.path) else effect.spending
    before = record.meant() if approvals or spending is not None else None
    data: dict[str, Any] = {
        "key": key,
        "once": once,
        "intent": _named(execution, record.begun_seq),
        "recovery": effect.recovery,
        "settle_s": effect.settle_s,
        "approvals": [approval.review_id for approval in approvals],
        "digest": bound,
    }
    if broke is not None:
        data["broke"] = broke
    # What is granted in the same transaction may be refused: then the step has begun all the same.
    if before is not None or call.attempt > 1 or not execution.begun_with_intent(record, data):
        execution.tell_decision()  # an event of its own, and before this one
        data["intent"] = _named(execution, execution.state.last_seq + 1)
        execution.emit("effect.intended", {"step": record.path, "attempt": call.attempt, **data})
    entry = execution.take_buffer()
    if once is not None and generation is not None:
        entry.key = (once, generation)
    try:
        if before is None:
            await execution.submitted(entry)
        elif spending is not None:
            if not await _granted(execution, record, entry, before, _spent(execution, spending, key)):
                raise _used_up(spending)
        else:
            uses = _uses(execution, record, approvals, entry.rows[-1], bound)
            if not await _granted(execution, record, entry, before, uses):
                raise _refused(execution, step, moved=tried_before and execution.state.operated.release is not None)
        if execution.abandoned or not execution.engine.lease_holds():
            await _lease(execution)
    except SessionLostError as error:
        raise NotSentError(error.detail) from error
    execution.sent_s[record.path] = execution.engine.clock.monotonic_s()
    call.sent_with(record.key, _Leave(execution))


def _named(execution: RunContext, seq: int) -> str:
    """What an intent is called: by its event, and by who writes it."""
    return f"{seq}/{execution.engine.journal.writer}"


class _Leave:
    """What is asked at the last moment before something of one try leaves."""

    __slots__ = ("_execution", "_left")

    def __init__(self, execution: RunContext) -> None:
        self._execution = execution
        self._left = False

    def __call__(self) -> None:
        if self._execution.abandoned or not self._execution.engine.lease_holds():
            raise (SessionLostError if self._left else NotSentError)(
                "the lease is over, or was not renewed in time; no more was sent"
            )
        self._left = True  # from here on it may have arrived, whatever is asked later


async def _granted(
    execution: RunContext, record: StepRecord, entry: Entry, before: Meant, ask: Callable[[Connection], Awaitable[bool]]
) -> bool:
    """Write the intent, the last of the entry's rows, if what it needs is granted in the same transaction.

    Where it is not, the journal tells of a try that meant nothing: whoever has the run after a crash knows that nothing
    was sent, and asks again.
    """
    granted = True

    async def write(connection: Connection) -> None:
        nonlocal granted
        granted = await ask(connection)
        if not granted:
            row = entry.rows[-1]
            tried = encode({"step": record.path, "attempt": record.attempt})
            entry.rows[-1] = Row(row.seq, "step.started", row.recorded_at, tried)

    entry.solo = write
    await execution.written(entry)
    if not granted:
        record.take_back(before)
    return granted


def _refused(execution: RunContext, step: Step, *, moved: bool) -> StepError:
    """Why the approvals do not permit it, and what to do."""
    if not moved:
        return StepError("an approval that this step needs was used for another effect", kind="approval_used")
    release = str(execution.state.started["release"])[:12]
    detail = (
        f"What {' and '.join(step.requires)} approved was tried under another release; since then the run was moved to"
        f" {release}, where the tool may do something else. A person approves it anew: retry the run once it has"
        f" failed, and the review opens again."
    )
    return StepError(detail, kind=APPROVAL_OUTDATED)


async def _lease(execution: RunContext) -> None:
    """Return while the lease certainly holds. A late heartbeat renews it, or tells that the session is lost."""
    while not execution.abandoned and not execution.engine.lease_holds():
        await execution.engine.clock.sleep(LEASE_PAUSE_S)
    if execution.abandoned:
        raise SessionLostError("the run is not ours any more; nothing was sent")


def effect_digest(execution: RunContext, step: Step, call: StepCall) -> str:
    """SHA-256 of what is about to be done and on what grounds: tool, arguments, evidence and versions.

    The evidence is the digests of the approvals, each of exactly what its review presented and decided. An approval is
    used for one such digest: a later try of the step may use it again only to do the very same.
    """
    started = execution.state.started
    content = {
        "verb": step.verb,
        "target": step.target,
        "arguments": call.arguments,
        "evidence": sorted(approval.digest for approval in call.approvals) if call.approvals else [],
        "release": started["release"],
        "workflow": started["workflow_digest"],
    }
    return digest(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))


def _uses(
    execution: RunContext, record: StepRecord, approvals: Sequence[Approval], row: Row, bound: str
) -> Callable[[Connection], Awaitable[bool]]:
    """Consume all of those approvals or none, for the intent in `row`."""
    org_id, run_id, path = execution.facts.org_id, execution.run_id, record.path
    uses = [(one.review_id, org_id, run_id, path, row.seq, one.digest, bound) for one in approvals]
    return lambda connection: store.use_approvals(connection, uses)


def _spent(execution: RunContext, spending: Spending, key: str) -> Callable[[Connection], Awaitable[bool]]:
    """Count what an effect spends, once for each key, if there is as much."""
    return lambda connection: spend_quota(connection, execution.facts.org_id, spending, key)


def _used_up(spending: Spending) -> StepError:
    return StepError(
        f"the quota of '{spending.quota}' is used up: within {spending.window_s / 3600:g} h no more than"
        f" {spending.most} is spent for one holder without a person's approval, and this would spend"
        f" {spending.amount} more",
        kind="quota",
    )


def _own_key(execution: RunContext, step: Step, record: StepRecord) -> tuple[None, str, None] | None:
    """The idempotency key of this step of this run; none where it has one by business meaning."""
    if is_undo(record.path):
        return None, f"undo/{execution.state.steps[undone_by(record.path)].key}", None
    if step.once is not None:
        return None
    again = f"#{record.generation}" if record.generation else ""
    return None, f"{execution.run_id}/{record.path}{again}", None


async def _key_of_once(execution: RunContext, step: Step, record: StepRecord) -> tuple[str, str, int]:
    """The key by business meaning, with the effect's generation.

    That is checked again in the statement that writes the intent, as the effect may be undone in between.
    """
    assert step.once is not None
    once = str(step.once.evaluate(execution.program.scope(record.path)))
    async with execution.engine.database.worker_connection() as connection:
        generation = await connection.fetchval(store.KEY_GENERATION, execution.facts.org_id, once)
    return once, once if generation is None else f"{once}#{generation}", generation or 0


async def undone(execution: RunContext, record: StepRecord) -> None:
    """Write the end of a compensation; its effect's business key acts again from here on, so it moves on with it."""
    effect = execution.state.steps[undone_by(record.path)]
    if effect.once is None or effect.key is None:
        return
    org_id, once = execution.facts.org_id, effect.once
    used = int(effect.key.removeprefix(once).removeprefix("#") or 0)

    async def write(connection: Connection) -> None:
        await connection.execute(store.NEXT_GENERATION, org_id, once, used + 1)

    await execution.alone(write)


async def found(
    execution: RunContext, step: Step, handler: StepHandler, call: StepCall, record: StepRecord
) -> Done | Waiting | None:
    """What became of a call whose answer is not in the journal; none means: send (again)."""
    if record.recovery == "ask":
        return ask_person(record)
    if record.recovery == "resend":
        # Sending again while the run unwinds could act only now. It can be undone, or a person has to look.
        return ask_person(record) if unwound(execution, record) and step.undo is None else None
    clock = execution.engine.clock
    # Counted from our own send, or else from when the run became ours: its former owner, fenced by then, sent nothing
    # later. No wall clock takes part, as clocks differ and jump; a look-up too early could miss a call under way.
    settled_s = execution.sent_s.get(record.path, execution.loaded_s) + record.settle_s
    if (remaining_s := settled_s - clock.monotonic_s()) > 0:
        await clock.sleep(remaining_s)
    async with execution.engine.slots:
        return await called(execution, call, lambda: handler.look_up(call))


def unwound(execution: RunContext, record: StepRecord) -> bool:
    """Whether the step belongs to what is being taken back: nothing of it is sent any more."""
    if is_undo(record.path):
        return False
    return execution.state.unwinding is not None or execution.program.closing(record.path)


def ask_person(record: StepRecord) -> Waiting:
    """The wait for a person's word on an effect whose outcome nobody knows."""
    lost = "" if record.broke is None else " PostgreSQL failed over or was restored since, and may have forgotten it."
    return Waiting(
        OUTCOME_UNKNOWN,
        state={"attempt": record.attempt},
        about=f"Did '{record.path}' take effect (key {record.key})?{lost} Look it up in the other system, then signal"
        f" {RESOLUTION} with {{resolution: happened, output: …}}, {{resolution: retry}} or {{resolution: failed}}.",
    )


def answers(waiting: Waiting, message: Message) -> bool:
    """Whether a person's word is on the try that this wait asks about: a copy of one on an earlier try is not.

    One that names no try, or a wait from before waits named theirs, is taken at its word.
    """
    asked, named = waiting.state.get("attempt"), message.data.get("attempt")
    return asked is None or named is None or asked == named


def observed(record: StepRecord) -> Message | None:
    """A fenced worker's word on what became of the call, where that is not known yet."""
    if not record.in_doubt:
        return None
    said = (message for message in record.undelivered if is_observation(message))
    return next(said, None)


def is_observation(message: Message) -> bool:
    """Whether a worker of ours sent it; anybody else's is not taken for one."""
    return (
        message.kind == OBSERVED and message.sent_by.startswith(SYSTEM) and message.data.keys() >= {"output", "labels"}
    )


def says(record: StepRecord, message: Message, resolution: str) -> bool:
    """Whether a worker of ours says that of this very intent: of one made since, its word settles nothing."""
    ours = message.kind == OBSERVED and message.sent_by.startswith(SYSTEM)
    named = message.data.get("intent")
    return ours and message.data.get("resolution") == resolution and named is not None and named == record.intent


def observed_done(message: Message) -> Done:
    """The result that a fenced worker saw."""
    return Done(cast("dict[str, Any]", message.data["output"]), Labels.from_dict(message.data["labels"]))


def resolved_done(message: Message) -> Done | None:
    """The result as a person states it, which nobody has vouched for; none where it is no object."""
    output: Any = message.data.get("output", {})
    if not isinstance(output, dict):
        return None
    return Done(
        cast("dict[str, Any]", output), Labels(trust=Trust.UNTRUSTED, sources=frozenset({f"signal:{message.sent_by}"}))
    )


def report(execution: RunContext, record: StepRecord, attempt: int, done: Done | Waiting) -> None:
    """A fenced worker saw an effect's outcome: it tells the run's new owner, so that no second effect is silent."""
    if record.in_doubt and isinstance(done, Done):
        _tell(execution, record.path, attempt, done)


def telling(execution: RunContext, record: StepRecord, done: Done) -> Callable[[], None] | None:
    """What to do should the event of an effect's outcome be fenced off: the same. None where nothing is in doubt."""
    return partial(_tell, execution, record.path, record.attempt, done) if record.in_doubt else None


def _tell(execution: RunContext, path: str, attempt: int, done: Done) -> None:
    execution.engine.report(
        execution.facts.org_id,
        execution.run_id,
        path,
        {"attempt": attempt, "output": done.output, "labels": done.labels.as_dict(), "resolution": "happened"},
    )
