"""What happens at the very moment at which something else does: an end, a time that is over, a new run."""

from __future__ import annotations

from uuid import UUID

from support.engine import (
    ACTOR,
    FAST,
    ScriptedTool,
    compiled,
    ended,
    eventually,
    running,
    send,
    somebody_waits,
    start,
    until,
    waits_for,
)
from support.operations import ask, do, done, told
from tests.integration.test_runtime_calls import caller, calls, child, runs_of
from tests.integration.test_runtime_waits import PAID, post

from signoff.core.clock import SystemClock
from signoff.core.errors import StepError
from signoff.foundation.database import Database
from signoff.runtime.handlers import Done, Effect, StepCall, Waiting
from signoff.runtime.waits import EventLimits, IncomingEvent, post_event
from signoff.steps.wait import WaitStep

DEAF = FAST.model_copy(update={"poll_s": 6.0, "park_after_s": 6.0})
"""A worker that keeps its runs in memory, and learns late of a message that nobody has told it of."""


async def test_a_retry_that_comes_as_the_run_ends_is_not_lost_with_it(database: Database) -> None:
    workflow = compiled("ends", "steps: {act: {tool: shop.act}}\noutcome: {over: act.done}", shop__act=False)

    async def act(call: StepCall) -> Done:
        if len(tool.calls) > 1:
            return Done({})
        await send(database, call.run.run_id, "", {"reason": "now"}, kind="run.retry")
        raise StepError("no", kind="refused")

    tool = ScriptedTool({"shop.act": act})
    run_id = await start(database, workflow, {})
    async with running(database, [workflow], tool, DEAF):
        await until(database, run_id, lambda run: run.outcome == "over")
    assert [event["by"] for event in await told(database, run_id, "run.reopened")] == ["user/ana"]


async def waiting_for_event(database: Database) -> bool:
    async with database.worker_connection() as connection:
        return await connection.fetchval("SELECT count(*) > 0 FROM event_wait")


async def test_an_event_that_came_in_time_counts_though_its_message_was_not_read_yet(database: Database) -> None:
    body = """
steps:
  paid: {wait: {event: payment.received.v1}, timeout: 2s, on_timeout: continue}
  read: {set: {cents: "${paid.event.cents}"}}
outcome: {paid: read.done, late: paid.result == 'timed_out'}
"""
    workflow = compiled("timely", body)
    run_id = await start(database, workflow, {})
    async with running(database, [workflow], ScriptedTool({}), DEAF, others=[WaitStep(database)]):
        await eventually(lambda: waiting_for_event(database))
        assert (await post(database, "e1", {"cents": 5})).run_ids == (run_id,)
        assert (await ended(database, run_id)).outcome == "paid"


async def test_an_event_for_a_wait_that_was_ended_is_there_for_the_next_one(database: Database) -> None:
    body = """
steps:
  first: {do: {paid: {wait: {event: payment.received.v1}}}, timeout: 2s, on_error: continue}
  second: {after: first, wait: {event: payment.received.v1}}
outcome: {paid: second.done}
"""
    workflow = compiled("given-back", body)
    run_id = await start(database, workflow, {})
    async with running(database, [workflow], ScriptedTool({}), DEAF, others=[WaitStep(database)]):
        await eventually(lambda: waiting_for_event(database))
        assert (await post(database, "e1", {})).run_ids == (run_id,)
        assert (await ended(database, run_id)).outcome == "paid"


async def test_many_events_that_came_before_anybody_asked_are_all_filed(database: Database) -> None:
    async with database.transaction(ACTOR.org_id) as connection:
        for number in range(230):  # more than are read at once
            event = IncomingEvent(ACTOR.org_id, str(number), "", PAID, {"order": number}, "user/ana", ("",))
            await post_event(connection, event, now=SystemClock().now(), limits=EventLimits())
    body = """
steps: {paid: {wait: {event: payment.received.v1, match: {order: "${input.n}"}}}}
outcome: {paid: paid.done}
"""
    workflow = compiled("files", body)
    async with running(database, [workflow], ScriptedTool({}), others=[WaitStep(database)]):
        for number in (0, 100, 229):
            run_id = await start(database, workflow, {"n": number})
            assert (await ended(database, run_id)).outcome == "paid"


async def test_a_child_that_goes_on_as_another_run_is_cancelled_there(database: Database) -> None:
    parent = caller("steps: {sub: {call: test/child, with: {n: 1}}}\noutcome: {over: sub.done}")
    sub = child()
    tool = ScriptedTool({"shop.act": lambda _: Waiting("person")})
    async with running(database, [parent, sub], tool, others=[calls(database, sub)]):
        run_id = await start(database, parent, {})
        await until(database, run_id, waits_for("child"))
        (old,) = await runs_of(database, sub)
        await until(database, old.run_id, waits_for("person"))
        new = await start(database, sub, {"n": 1})
        await until(database, new, waits_for("person"))
        async with database.worker_transaction() as connection:  # as a run does that continues as another
            await connection.execute("SELECT FROM run_queue WHERE run_id = $1 FOR UPDATE", old.run_id)
            await connection.execute("UPDATE run_call SET child_id = $2 WHERE child_id = $1", old.run_id, new)
            await connection.execute("DELETE FROM run_queue WHERE run_id = $1", old.run_id)
            await do(database, run_id, "cancel")
            await somebody_waits(database)
        assert (await ended(database, new)).status == "cancelled"


UNDONE = """
steps:
  pay: {tool: bank.pay, undo: {tool: bank.back, with: {n: "${result.text + result.text}"}}}
  book: {tool: shop.book, with: {n: "${pay.text}"}}
outcome: {finished: book.done}
"""


async def test_an_undo_that_cannot_begin_is_not_passed_over(database: Database) -> None:
    workflow = compiled("cannot", UNDONE, bank__pay=True, bank__back=True, shop__book=False)

    def book(call: StepCall) -> Done:
        raise StepError("no", kind="refused")

    def pay(call: StepCall) -> Done:
        return Done({"text": "x" * 1500})

    effects = {"bank.pay": Effect("resend"), "bank.back": Effect("resend")}
    behaviours = {"bank.pay": pay, "bank.back": done, "shop.book": book}
    settings = FAST.model_copy(update={"event_bytes": 2500})
    tool = ScriptedTool(behaviours, effects)
    async with running(database, [workflow], tool, settings):
        run_id = await start(database, workflow, {})
        await until(database, run_id, waits_for("undo_failed"))
        # There is nothing to send again: its arguments could not be had.
        await send(database, run_id, "pay/undo", {"resolution": "retry"}, kind="effect.resolution")
        await send(database, run_id, "pay/undo", {"resolution": "failed"}, kind="effect.resolution")
        assert (await ended(database, run_id)).status == "failed"
    assert await status_of(database, run_id, "pay/undo") == "bypassed"
    assert "bank.back" not in [call.step.target for call in tool.calls]


async def status_of(database: Database, run_id: UUID, path: str) -> str:
    (end,) = [data for data in await told(database, run_id, "step.ended") if data["step"] == path]
    return end["status"]


async def test_a_step_whose_on_error_steps_run_is_not_skipped_under_them(database: Database) -> None:
    body = """
steps:
  act: {tool: shop.act, on_error: {steps: {ask: {tool: job.ask}}, give: {n: "${ask.answer}"}}}
outcome: {over: act.done}
"""
    workflow = compiled("instead", body, shop__act=False, job__ask=False)

    def act(call: StepCall) -> Done:
        raise StepError("no", kind="refused")

    async with running(database, [workflow], ScriptedTool({"shop.act": act, "job.ask": ask})):
        run_id = await start(database, workflow, {})

        await until(database, run_id, lambda run: "review" in [entry["kind"] for entry in run.waiting_for])
        await do(database, run_id, "skip", step="act")

        async def refused() -> bool:
            return [data["disposition"] for data in await told(database, run_id, "message.received")] == ["refused"]

        await eventually(refused)
        await send(database, run_id, "act!/ask", {"answer": 1})
        assert (await ended(database, run_id)).outcome == "over"
