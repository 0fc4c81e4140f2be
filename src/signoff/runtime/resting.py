"""How a run leaves memory: it ends, or it has nothing to do but wait (decision 0002, rules 5 and 6)."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from signoff.core.errors import StepError
from signoff.core.labels import BOTTOM, written_fields
from signoff.runtime.attributes import note_attributes
from signoff.runtime.calls.telling import parent_of, tell_parent
from signoff.runtime.context import RunContext
from signoff.runtime.continuing import continues_as
from signoff.runtime.endings import describe
from signoff.runtime.events import encode
from signoff.runtime.handlers import Message
from signoff.runtime.journal import Entry, SoloWrite
from signoff.runtime.state import OUTCOME_UNKNOWN, UNDO_FAILED, StepRecord
from signoff.runtime.views import view_of

LONGEST_REST = timedelta(days=365)  # a run that only a message can move is looked at again after this all the same

WAITS_FOR_PERSON = frozenset(("review", OUTCOME_UNKNOWN, UNDO_FAILED))

LOCKED_PAUSE_S = 0.05  # before a run tries again to leave whose row somebody else has locked


def rest(execution: RunContext) -> None:
    """Nothing is under way: end the run, park it, or set a timer where its next moment is near."""
    state = execution.state
    if execution.workflow.attributes and state.end is None:
        note_attributes(execution)
    if execution.stale:
        _park(execution, execution.engine.clock.now())
        return
    if state.end is None and state.unwinding is None and state.operated.paused is None and execution.program.over():
        _conclude(execution)
        if state.unwinding is not None:
            execution.advance()
            return
    if state.end is not None:
        _finish(execution)
        return
    due_at = next_moment(execution)
    near_s = (due_at - execution.engine.clock.now()).total_seconds()
    if near_s <= execution.engine.settings.park_after_s:
        execution.push()
        if execution.timer is not None:
            execution.timer.cancel()  # it may have been set for a later moment
        execution.timer = asyncio.create_task(_wake(execution, max(near_s, 0.0)))
        return
    _park(execution, due_at)


def _conclude(execution: RunContext) -> None:
    try:
        conclusion = execution.program.conclude()
        end: dict[str, Any] = {"status": "done", "outcome": conclusion.outcome}
        most = execution.engine.settings.event_bytes
        if conclusion.output and len(encode(conclusion.output)) > most:
            detail = f"the output has more than {most} bytes"
            execution.unwind(cause="failed", error={"kind": "too_large", "detail": detail})
            return
        if conclusion.output:
            end["output"] = conclusion.output
        if (
            conclusion.labels is not BOTTOM and conclusion.labels != BOTTOM
        ):  # also without an output: that it came to this end tells something
            end["labels"] = conclusion.labels.as_dict()
        lower = written_fields(conclusion.labels, conclusion.fields)
        if lower:
            end["fields"] = lower
        execution.emit("run.ended", end)
    except StepError as error:
        execution.unwind(cause="failed", error=describe(error))
    except TypeError as error:
        execution.unwind(cause="failed", error={"kind": "contract", "detail": f"the output is no plain data: {error}"})


def is_for_person(record: StepRecord) -> bool:
    """Whether a step waits for somebody to decide."""
    return record.state is None and record.waiting is not None and record.waiting.kind in WAITS_FOR_PERSON


def next_moment(execution: RunContext) -> datetime:
    """When the run must be looked at again although no message came."""
    if execution.state.operated.paused is not None:
        return execution.engine.clock.now() + LONGEST_REST
    moments: list[datetime] = []
    if execution.state.unwinding is None:
        moments.append(execution.deadline)
        of_program = execution.program.moment()
        if of_program is not None:
            moments.append(of_program)
    for record in execution.state.open.values():
        if record.retry_at is not None:
            moments.append(record.retry_at)
        if record.waiting is not None and record.waiting.until is not None:
            moments.append(record.waiting.until)
    return min(moments, default=execution.engine.clock.now() + LONGEST_REST)


async def _wake(execution: RunContext, seconds: float) -> None:
    await execution.engine.clock.sleep(seconds)
    execution.timer = None  # so that what follows does not cancel itself
    try:
        execution.advance()
    except Exception as failure:  # noqa: BLE001  (whatever it is, it concerns this run alone)
        execution.engine.failed(execution.run_id, failure)


def _leave(execution: RunContext, entry: Entry, following: UUID | None = None) -> None:
    """Write what the run leaves memory with. No task waits for that: most runs have nothing else to do with it."""
    execution.resting = True
    if execution.timer is not None:
        execution.timer.cancel()
        execution.timer = None
    entry.leaves = partial(_left, execution, entry.finish_gen is not None, following)
    execution.engine.journal.submit(entry)


def _left(execution: RunContext, ends: bool, following: UUID | None, written: bool | Exception) -> None:
    if written is True:
        execution.engine.gone(execution.run_id, ends)
        if following is not None:
            execution.engine.wake(following)
    elif written is False:
        execution.rest_task = asyncio.create_task(_guarded(execution, ends=ends))
    else:
        execution.engine.failed(execution.run_id, written)


async def _guarded(execution: RunContext, *, ends: bool) -> None:
    try:
        await _stay(execution, ends=ends)
    except Exception as failure:  # noqa: BLE001  (whatever it is, it concerns this run alone)
        execution.engine.failed(execution.run_id, failure)


async def _stay(execution: RunContext, *, ends: bool) -> None:
    """Something arrived after we last looked. Where the run has ended it is recorded, as late, and it leaves again."""
    messages, gen = await _look_again(execution)
    if not ends:
        execution.resting = False
        execution.receive(messages, gen)
        execution.advance()
        return
    execution.receive(messages, gen)
    if execution.state.end is not None:
        _finish(execution)
    else:  # a retry: it goes on, and taken out now it would be lost. Lists have been told that it has ended
        entry = execution.take_buffer()
        entry.view = view_of(execution.state, execution.engine.clock.now())
        execution.engine.journal.submit(entry)
        execution.resting = False
        execution.advance()


def _finish(execution: RunContext) -> None:
    entry, now = execution.take_buffer(), execution.engine.clock.now()
    entry.view = view_of(execution.state, now)
    entry.finish_gen = execution.gen
    entry.solo, following = _with_the_end(execution, entry, now)
    _leave(execution, entry, following)


def _with_the_end(execution: RunContext, entry: Entry, now: datetime) -> tuple[SoloWrite | None, UUID | None]:
    """What is written together with the run's end, and the run that has something to do then."""
    state = execution.state
    if state.continued is not None:
        return continues_as(execution, entry), UUID(state.continued["run_id"])
    if "parent" not in state.started:
        return None, None
    return tell_parent(execution.facts.org_id, execution.run_id, state, now), parent_of(state)


async def _look_again(execution: RunContext) -> tuple[list[tuple[str, Message]], int]:
    """What kept the run from leaving: a message, or somebody who is about to send one and has not committed yet."""
    messages, gen = await execution.engine.read_inbox(execution.run_id)
    if messages or gen != execution.gen:
        return messages, gen
    await execution.engine.clock.sleep(LOCKED_PAUSE_S)
    return await execution.engine.read_inbox(execution.run_id)


def _park(execution: RunContext, due_at: datetime) -> None:
    entry = execution.take_buffer()
    entry.view = view_of(execution.state, execution.engine.clock.now())
    entry.park, entry.journal_bytes = (execution.gen, due_at), execution.journal_bytes
    entry.yields = any(is_for_person(record) for record in execution.state.steps.values())
    _leave(execution, entry)
