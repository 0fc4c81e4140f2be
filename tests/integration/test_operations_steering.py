"""Pause, resume, terminate, skip and priority, on a real worker and a real database."""

from __future__ import annotations

import asyncio

import pytest
from support.engine import (
    ACTOR,
    ScriptedTool,
    compiled,
    ended,
    eventually,
    lost,
    running,
    send,
    start,
    until,
    waits_for,
)
from support.operations import ask, do, done, has, received, told

from signoff.core.errors import ConflictError, InvalidError
from signoff.foundation.database import Database
from signoff.runtime.client.operations import Asked
from signoff.runtime.handlers import Done, Effect, StepCall

TWO = """
steps:
  first: {tool: job.first, with: {n: 1}}
  second: {tool: job.second, with: {n: "${first.n}"}}
outcome: {finished: second.done}
"""


async def test_a_paused_run_lets_what_is_under_way_end_and_begins_nothing(database: Database) -> None:
    entered, go = asyncio.Event(), asyncio.Event()

    async def first(call: StepCall) -> Done:
        entered.set()
        await go.wait()
        return Done({"n": 2})

    workflow = compiled("paused", TWO, job__first=False, job__second=False)
    tool = ScriptedTool({"job.first": first, "job.second": done})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        await asyncio.wait_for(entered.wait(), 20)
        await do(database, run_id, "pause", reason="look first")
        await eventually(lambda: has(database, run_id, "run.paused"))
        go.set()
        paused = await until(database, run_id, lambda run: run.status == "paused")
        assert paused.waiting_for == ()
    async with running(database, [workflow], tool):  # it survives restarts
        await do(database, run_id, "pause")  # once more changes nothing
        await until(database, run_id, lambda run: run.status == "paused")
        assert [call.step.target for call in tool.calls] == ["job.first"]
        await do(database, run_id, "resume")
        assert (await ended(database, run_id)).outcome == "finished"
    (event,) = await told(database, run_id, "run.paused")
    assert (event["by"], event["reason"]) == ("user/ana", "look first")
    dispositions = [data["disposition"] for data in await told(database, run_id, "message.received")]
    assert dispositions == ["taken", "late", "taken"]


async def test_a_message_to_a_paused_run_waits_for_it(database: Database) -> None:
    workflow = compiled("paused-review", TWO, job__first=False, job__second=False)
    tool = ScriptedTool({"job.first": ask, "job.second": done})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        await until(database, run_id, waits_for("review"))
        await do(database, run_id, "pause")
        await until(database, run_id, lambda run: run.status == "paused")
        await send(database, run_id, "first", {"answer": 1, "n": 1})
        await eventually(lambda: received(database, run_id, "signal"))
        await until(database, run_id, lambda run: run.status == "paused")
        assert tool.calls[-1].step.target == "job.first"
        await do(database, run_id, "resume")
        await until(database, run_id, lambda run: run.status in ("done", "failed"))


async def test_a_cancellation_ends_a_pause(database: Database) -> None:
    workflow = compiled("paused-cancelled", TWO, job__first=False, job__second=False)
    tool = ScriptedTool({"job.first": ask, "job.second": done})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        await until(database, run_id, waits_for("review"))
        await do(database, run_id, "pause")
        await until(database, run_id, lambda run: run.status == "paused")
        await do(database, run_id, "cancel", reason="no more")
        assert (await ended(database, run_id)).status == "cancelled"
    assert tool.withdrawn == ["first"]


UNDONE = """
steps:
  pay: {tool: bank.pay, with: {n: 1}, undo: {tool: bank.back, with: {n: 1}}}
  wait: {tool: job.ask, after: pay}
outcome: {finished: wait.done}
"""


async def test_a_terminated_run_ends_at_once_and_undoes_nothing(database: Database) -> None:
    workflow = compiled("terminated", UNDONE, bank__pay=True, bank__back=True, job__ask=False)
    tool = ScriptedTool(
        {"bank.pay": done, "bank.back": done, "job.ask": ask},
        effects={"bank.pay": Effect("ask"), "bank.back": Effect("ask")},
    )
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        await until(database, run_id, waits_for("review"))
        asked = await do(database, run_id, "terminate", reason="wrong customer", key="k1")
        run = await until(database, run_id, lambda run: run.status == "terminated")
        assert await do(database, run_id, "terminate", key="k1") == Asked(asked.message_id, again=True)
        with pytest.raises(ConflictError, match="has ended"):
            await do(database, run_id, "pause")
    assert [call.step.target for call in tool.calls] == ["bank.pay", "job.ask"]
    assert tool.withdrawn == ["wait"]
    (end,) = await told(database, run_id, "run.ended")
    assert (end["effects"], end["in_doubt"]) == (["pay"], [])
    assert run.error == {"detail": "wrong customer", "by": "user/ana"}


async def test_a_terminated_run_names_its_effects_in_doubt(database: Database) -> None:
    workflow = compiled("in-doubt", UNDONE, bank__pay=True, bank__back=True, job__ask=False)
    tool = ScriptedTool(
        {"bank.pay": lost, "bank.back": done, "job.ask": ask},
        effects={"bank.pay": Effect("ask"), "bank.back": Effect("ask")},
    )
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        await until(database, run_id, waits_for("outcome_unknown"))
        with pytest.raises(ConflictError, match="in doubt"):
            await do(database, run_id, "skip", step="pay")
        await do(database, run_id, "terminate")
        await until(database, run_id, lambda run: run.status == "terminated")
    (end,) = await told(database, run_id, "run.ended")
    assert end["in_doubt"] == [{"step": "pay", "key": f"{run_id}/pay"}]


SKIPPED = """
steps:
  ask: {tool: job.ask}
  next: {tool: job.next, after: ask}
  needs: {tool: job.needs, requires: ask}
outcome: {finished: next.done}
"""


@pytest.mark.parametrize("paused", [False, True])
async def test_a_skipped_step_is_bypassed_and_satisfies_nothing(database: Database, paused: bool) -> None:
    workflow = compiled("skipped", SKIPPED, job__ask=False, job__next=False, job__needs=False)
    tool = ScriptedTool({"job.ask": ask, "job.next": done, "job.needs": done})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        await until(database, run_id, waits_for("review"))
        with pytest.raises(InvalidError):
            await do(database, run_id, "skip", step="ask", reason="")
        if paused:
            await do(database, run_id, "pause")
            await until(database, run_id, lambda run: run.status == "paused")
        await do(database, run_id, "skip", step="ask", reason="asked by telephone")
        if paused:
            await eventually(lambda: has(database, run_id, "step.ended"))
            await do(database, run_id, "resume")
        assert (await ended(database, run_id)).outcome == "finished"
    ends = {data["step"]: data for data in await told(database, run_id, "step.ended")}
    assert (ends["ask"]["status"], ends["ask"]["by"]) == ("bypassed", "user/ana")
    assert ends["ask"]["reason"] == "asked by telephone"
    assert ends["needs"]["status"] == "blocked"
    assert tool.withdrawn == ["ask"]


async def test_a_step_that_has_not_begun_and_one_under_way_can_be_skipped(database: Database) -> None:
    entered = asyncio.Event()

    async def forever(call: StepCall) -> Done:
        entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    workflow = compiled("skipped-early", SKIPPED, job__ask=False, job__next=False, job__needs=False)
    tool = ScriptedTool({"job.ask": forever, "job.next": done, "job.needs": done})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        await asyncio.wait_for(entered.wait(), 20)
        await do(database, run_id, "skip", step="needs")
        await do(database, run_id, "skip", step="nothing")
        await do(database, run_id, "skip", step="ask")
        assert (await ended(database, run_id)).outcome == "finished"
    ends = {data["step"]: data["status"] for data in await told(database, run_id, "step.ended")}
    assert ends == {"needs": "bypassed", "ask": "bypassed", "next": "done"}
    refused = [data for data in await told(database, run_id, "message.received") if data["disposition"] == "refused"]
    assert [data["data"]["step"] for data in refused] == ["nothing"]


async def test_priority_is_changed_and_journaled(database: Database) -> None:
    workflow = compiled("prioritised", TWO, job__first=False, job__second=False)
    tool = ScriptedTool({"job.first": ask, "job.second": done})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        await until(database, run_id, waits_for("review"))
        await do(database, run_id, "priority", priority=1)
        await eventually(lambda: received(database, run_id, "run.priority"))
        async with database.transaction(ACTOR.org_id) as connection:
            query = "SELECT priority FROM run_queue WHERE run_id = $1"
            assert await connection.fetchval(query, run_id) == 1
