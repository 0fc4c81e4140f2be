"""Effects that were meant and certainly not sent: that is known after any crash, and nobody is asked about them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from support.crashing import crashing, folded
from support.engine import (
    ACTOR,
    ScriptedTool,
    compiled,
    ended,
    eventually,
    journal,
    running,
    send,
    start,
    until,
    waits_for,
)

from signoff.core.clock import SystemClock
from signoff.core.errors import StepError
from signoff.foundation.database import Database
from signoff.runtime import send_message
from signoff.runtime.handlers import Approval, Done, Effect, Spending, StepCall
from signoff.runtime.journal import Entry, Journal, Row, SessionLostError

PAY = "steps:\n  pay: {tool: pay, with: {}%s}\noutcome: {ok: pay.done}\n"
APPROVED = """
steps:
  ok: {review: Pay?, by: role/lead, propose: {n: 1}}
  pay: {requires: ok, tool: pay, with: {}}
outcome: {ok: pay.done}
"""
REVIEW = "01890000-0000-7000-8000-00000000a0a0"


class Reviewer(ScriptedTool):
    """Approves at once, every time by the same review."""

    def __init__(self) -> None:
        super().__init__({}, verb="review")

    async def execute(self, call: StepCall) -> Done:
        approval = Approval(call.path, REVIEW, "d" * 64, "user/ana", "approved")
        return Done({"n": 1}, result="approved", approval=approval)


class LeapingClock(SystemClock):
    """A clock that a stalled process sees: time has gone by without it."""

    leap_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.leap_s


def cut_back(database_url: str, run_id: UUID, last_seq: int) -> None:
    """As if the worker had died right after that event."""
    with psycopg.connect(database_url, autocommit=True) as administration:
        administration.execute("DELETE FROM journal WHERE run_id = %s AND seq > %s", (run_id, last_seq))
        opened = "UPDATE run_view SET status = 'queued', error = NULL, ended_at = NULL WHERE run_id = %s"
        administration.execute(opened, (run_id,))
        administration.execute(
            "INSERT INTO run_queue (run_id, org_id, priority, due_at) VALUES (%s, %s, 5, now())", (run_id, ACTOR.org_id)
        )


@pytest.mark.parametrize("kind", ["quota", "approval_used"])
async def test_a_refused_intent_is_known_as_refused_after_a_crash(database: Database, database_url: str, kind: str):
    """The worker dies between the transaction that refuses and the event that tells of the failure."""
    spending = Spending("pay", "ana", 2, 1, 3600.0) if kind == "quota" else None
    tool = ScriptedTool({"pay": lambda call: Done({})}, {"pay": Effect("ask", spending=spending)})
    flow = compiled("refused", PAY % "" if kind == "quota" else APPROVED, pay=True)
    async with running(database, [flow], tool, others=[Reviewer()]):
        if kind == "approval_used":
            assert (await ended(database, await start(database, flow, {}))).outcome == "ok"
        sent = len(tool.calls)
        run_id = await start(database, flow, {})
        assert (await ended(database, run_id)).status == "failed"
    end = next(e for e in await journal(database, run_id) if e.kind == "step.ended" and e.data["step"] == "pay")
    cut_back(database_url, run_id, end.seq - 1)
    record = (await folded(database, run_id)).steps["pay"]
    assert (record.attempt, record.in_doubt, record.key) == (1, False, None)
    async with running(database, [flow], tool, others=[Reviewer()]):
        summary = await until(database, run_id, lambda run: run.status == "failed" or bool(run.waiting_for))
    assert summary.status == "failed"
    assert summary.error is not None
    assert summary.error["kind"] == kind
    assert len(tool.calls) == sent


async def test_a_live_worker_whose_lease_may_be_over_sends_later(database: Database):
    """At the last moment before the call: nothing leaves, no try is used up, and no person is asked."""
    flow, clock = compiled("late", PAY % "", pay=True), LeapingClock()

    def pay(call: StepCall) -> Done:
        if len(tool.calls) == 1:
            clock.leap_s = 1000.0  # connecting took that long
        call.may_send()
        return Done({"id": call.idempotency_key})

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("ask")})
    async with running(database, [flow], tool, clock=clock):
        run_id = await start(database, flow, {})
        summary = await until(database, run_id, lambda run: run.status == "done" or bool(run.waiting_for))
    assert summary.outcome == "ok"
    assert len(tool.calls) == 2
    assert tool.calls[0].idempotency_key == tool.calls[1].idempotency_key
    (again,) = [event.data for event in await journal(database, run_id) if event.kind == "step.retrying"]
    assert (again["error"]["kind"], again["in_doubt"], again["held"]) == ("not_sent", False, True)


async def test_an_outcome_whose_event_is_fenced_off_is_told_to_the_runs_new_owner(database: Database):
    """The answer came, and the worker was declared dead before it could journal that."""
    flow = compiled("fenced_off", PAY % "", pay=True)

    async def pay(call: StepCall) -> Done:
        async with database.worker_connection() as connection:
            await connection.execute("DELETE FROM worker_session")
        return Done({"id": call.idempotency_key})

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("ask")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        assert (await ended(database, run_id)).outcome == "ok"
    assert len(tool.calls) == 1
    end = next(event.data for event in await journal(database, run_id) if event.kind == "step.ended")
    assert end["output"] == {"id": tool.calls[0].idempotency_key}
    assert end["by"].startswith("system/worker-")


async def test_a_run_whose_journal_is_lost_begins_nothing_and_tells_once(database: Database):
    """An intent that could not be written was tried again at once, and told of, until the pool was used up."""
    workflow = (
        "steps:\n  gate: {tool: gate, with: {}}\n  pay: {after: gate, tool: pay, with: {}}\noutcome: {ok: pay.done}\n"
    )
    flow, sessions = compiled("lost_before", workflow, gate=False, pay=True), list[str]()

    async def gate(call: StepCall) -> Done:
        if len([found for found in tool.calls if found.step.target == "gate"]) == 1:
            async with database.worker_connection() as connection:
                sessions.append(await connection.execute("DELETE FROM worker_session"))
        return Done({})

    tool = ScriptedTool({"gate": gate, "pay": lambda _: Done({})}, {"pay": Effect("ask")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        assert (await ended(database, run_id)).outcome == "ok"
        events = await journal(database, run_id)
    assert sessions == ["DELETE 1"]
    async with database.worker_connection() as connection:
        left = await connection.fetchval("SELECT count(*) FROM inbox WHERE run_id = $1", run_id)
    assert left + len([event for event in events if event.kind == "message.received"]) <= 1


async def test_what_a_run_had_not_written_when_it_was_put_aside_is_told(database: Database):
    kept = Journal(database, uuid4(), flush_events=10, rejected=lambda run_id, error: None)
    told: list[str] = []
    for run_id, name in ((aside := uuid4(), "aside"), (uuid4(), "another")):
        row = Row(1, "step.ended", SystemClock().now(), b"{}")
        kept.submit(Entry(ACTOR.org_id, run_id, [row], if_lost=[partial(told.append, name)]))
    kept.forget(aside, SessionLostError("put aside"))
    assert told == ["aside"]


async def test_a_fenced_worker_that_sent_nothing_takes_the_question_back(database: Database):
    """The run's new owner could only ask a person by then."""
    flow, held = compiled("handed_on", PAY % "", pay=True), asyncio.Event()

    async def pay(call: StepCall) -> Done:
        if len(tool.calls) == 1:
            await held.wait()
        call.may_send()
        return Done({})

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("ask")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await eventually(lambda: bool(tool.calls))
        async with database.worker_connection() as connection:
            await connection.execute("DELETE FROM worker_session")
        await until(database, run_id, waits_for("outcome_unknown"))
        held.set()
        assert (await ended(database, run_id)).outcome == "ok"
    assert len(tool.calls) == 2


async def test_its_word_that_is_there_before_anybody_asks_is_taken_first(database: Database):
    flow, never = compiled("told", PAY % "", pay=True), asyncio.Event()

    async def pay(call: StepCall) -> Done:
        if len(tool.calls) == 1:
            await never.wait()
        return Done({})

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("ask")})
    async with crashing(database, [flow], tool):
        run_id = await start(database, flow, {})
        await eventually(lambda: bool(tool.calls))
    await said(database, run_id, await intent_of(database, run_id), "system/worker-1")
    async with running(database, [flow], tool):
        assert (await ended(database, run_id)).outcome == "ok"
    assert "step.waiting" not in [event.kind for event in await journal(database, run_id)]


async def test_what_may_have_left_before_the_lease_ran_out_stays_in_doubt(database: Database):
    """A long request goes out in pieces: the first may have arrived."""
    flow, clock = compiled("pieces", PAY % "", pay=True), LeapingClock()

    def pay(call: StepCall) -> Done:
        call.may_send()
        clock.leap_s = 1000.0
        call.may_send()
        return Done({})

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("ask")})
    async with running(database, [flow], tool, clock=clock):
        run_id = await start(database, flow, {})
        await until(database, run_id, waits_for("outcome_unknown"))
        await send(database, run_id, "pay", {"resolution": "happened", "output": {}}, "effect.resolution")
        await ended(database, run_id)
    assert len(tool.calls) == 1


async def intent_of(database: Database, run_id: UUID) -> str:
    (intent,) = [event.data["intent"] for event in await journal(database, run_id) if event.kind == "effect.intended"]
    return intent


async def said(database: Database, run_id: UUID, intent: Any, sent_by: str) -> None:
    async with database.transaction(ACTOR.org_id) as connection:
        await send_message(
            connection,
            org_id=ACTOR.org_id,
            run_id=run_id,
            path="pay",
            kind="effect.observed",
            data={"attempt": 1, "resolution": "not_sent", "intent": intent},
            sent_by=sent_by,
            now=SystemClock().now(),
        )


async def test_a_word_on_another_intent_or_of_somebody_else_settles_nothing(database: Database):
    """The run's new owner has meant to send since, and may have."""
    flow = compiled("stale", PAY % "", pay=True)
    tool = ScriptedTool({"pay": no_answer}, {"pay": Effect("ask")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await until(database, run_id, waits_for("outcome_unknown"))
        intent = await intent_of(database, run_id)
        for other, sender in ((f"{intent}0", "system/worker-1"), (None, "system/worker-1"), (intent, "user/ana")):
            await said(database, run_id, other, sender)
        await eventually(taken(database, run_id, 3))
        await until(database, run_id, waits_for("outcome_unknown"))
        assert len(tool.calls) == 1
        await said(database, run_id, intent, "system/worker-1")
        await eventually(lambda: len(tool.calls) == 2)
        await until(database, run_id, waits_for("outcome_unknown"))
        await send(database, run_id, "pay", {"resolution": "happened", "output": {}}, "effect.resolution")
        await ended(database, run_id)


async def test_a_try_that_was_not_sent_says_nothing_of_an_earlier_one(database: Database):
    """The first may have acted: it is looked up, though the second never left."""
    flow = compiled("earlier", PAY % ", retry: {times: 1, delay: 10ms, backoff: 1}", pay=True)
    clock = LeapingClock()

    def pay(call: StepCall) -> Done:
        if len(tool.calls) == 2:
            clock.leap_s = 1000.0
        call.may_send()
        return no_answer(call)

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("resend")})
    async with running(database, [flow], tool, clock=clock):
        run_id = await start(database, flow, {})
        await until(database, run_id, waits_for("outcome_unknown"))
        assert len(tool.calls) == 3  # the one that was held back is no try
        await send(database, run_id, "pay", {"resolution": "happened", "output": {}}, "effect.resolution")
        await ended(database, run_id)
    again = [event.data for event in await journal(database, run_id) if event.kind == "step.retrying"]
    assert [one["in_doubt"] for one in again] == [True, True]


def no_answer(call: StepCall) -> Done:
    raise StepError("no answer", kind="timeout", retryable=True, outcome_unknown=True)


def taken(database: Database, run_id: UUID, messages: int) -> Callable[[], Any]:
    """Whether so many messages are in the journal."""

    async def reached() -> bool:
        return sum(event.kind == "message.received" for event in await journal(database, run_id)) == messages

    return reached
