"""Messages that come when, where or as often as they should not: the inbox table of docs/reference/engine.md."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from support.engine import ACTOR, ScriptedTool, compiled, ended, eventually, journal, running, send, start, until

from signoff.core.clock import SystemClock
from signoff.core.errors import ConflictError
from signoff.foundation.database import Database
from signoff.runtime import client
from signoff.runtime.client import RunSummary
from signoff.runtime.handlers import Approval, Done, Effect, StepCall, Waiting

TWO = "steps:\n  a: {tool: ask, with: {}}\n  b: {tool: ask, with: {}}\noutcome: {ok: a.done && b.done}\n"


def ask(call: StepCall) -> Waiting:
    return Waiting("answer")


def both_wait(run: RunSummary) -> bool:
    return {entry["step"] for entry in run.waiting_for} == {"a", "b"}


async def dispositions(database: Database, run_id: UUID) -> list[tuple[str, str]]:
    events = [event for event in await journal(database, run_id) if event.kind == "message.received"]
    return [(event.data["path"], event.data["disposition"]) for event in events]


async def test_of_two_gates_each_goes_on_with_its_own_answer(database: Database):
    flow, tool = compiled("gates", TWO, ask=False), ScriptedTool({"ask": ask})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await until(database, run_id, both_wait)
        await send(database, run_id, "b", {"answer": "for b"})
        await until(database, run_id, lambda run: [entry["step"] for entry in run.waiting_for] == ["a"])
        await send(database, run_id, "a", {"answer": "for a"})
        assert (await ended(database, run_id)).outcome == "ok"
    outputs = {event.data["step"]: event.data["output"] for event in await journal(database, run_id) if _ends(event)}
    assert outputs == {"a": {"answer": "for a"}, "b": {"answer": "for b"}}


async def test_answers_for_two_gates_at_once_are_both_taken(database: Database):
    """Both are in the inbox when the run is claimed."""
    flow, tool = compiled("gates", TWO, ask=False), ScriptedTool({"ask": ask})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await until(database, run_id, both_wait)
    for path in ("b", "a"):
        await send(database, run_id, path, {"answer": path})
    async with running(database, [flow], tool):
        assert (await ended(database, run_id)).outcome == "ok"
    assert sorted(await dispositions(database, run_id)) == [("a", "accepted"), ("b", "accepted")]


async def test_a_second_answer_to_a_gate_is_late_and_changes_nothing(database: Database):
    flow, tool = compiled("gates", TWO, ask=False), ScriptedTool({"ask": ask})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await until(database, run_id, both_wait)
        for said in ("first", "second"):
            await send(database, run_id, "a", {"answer": said})
            await eventually(lambda path="a", word=said: taken(database, run_id, path, word))
        await send(database, run_id, "b", {})
        await ended(database, run_id)
    assert await dispositions(database, run_id) == [("a", "accepted"), ("a", "late"), ("b", "accepted")]
    outputs = {event.data["step"]: event.data["output"] for event in await journal(database, run_id) if _ends(event)}
    assert outputs["a"] == {"answer": "first"}


async def test_a_message_to_a_gate_that_is_none_wakes_nobody(database: Database):
    flow, tool = compiled("gates", TWO, ask=False), ScriptedTool({"ask": ask})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await until(database, run_id, both_wait)
        await send(database, run_id, "c", {"answer": 1})
        await eventually(lambda: taken(database, run_id, "c", 1))
        assert both_wait(await until(database, run_id, both_wait))
        for path in ("a", "b"):
            await send(database, run_id, path, {})
        await ended(database, run_id)
        with pytest.raises(ConflictError):
            await send(database, run_id, "a", {})
    assert (await dispositions(database, run_id))[0] == ("c", "unknown")


APPROVED = """
steps:
  ok: {review: Pay?, by: role/lead, propose: {n: 1}}
  pay: {requires: ok, tool: pay, with: {}}
outcome: {ok: pay.done}
"""


@pytest.mark.parametrize("message", ["cancel", "rejected", "signal"])
async def test_a_message_between_an_approval_and_its_call(database: Database, message: str):
    """A cancellation keeps the call from being made; a second decision and a signal come too late to matter."""
    flow = compiled("approved", APPROVED, pay=True)
    reached, gate = asyncio.Event(), asyncio.Event()

    class Slow(ScriptedTool):
        async def permit(self, call: StepCall) -> None:
            reached.set()
            await gate.wait()

    approval = Approval("ok", "0198c5a0-0000-7000-8000-000000000001", "d" * 64, "user/lead", "approved")
    review = ScriptedTool({"Pay?": lambda call: Done({"n": 1}, result="approved", approval=approval)}, verb="review")
    tool = Slow({"pay": lambda call: Done({})}, {"pay": Effect("ask")})
    async with running(database, [flow], tool, others=[review]):
        run_id = await start(database, flow, {})
        await asyncio.wait_for(reached.wait(), 20)
        if message == "cancel":
            async with database.transaction(ACTOR.org_id) as connection:
                now = SystemClock().now()
                await client.cancel_run(connection, actor=ACTOR, run_id=run_id, reason="no", now=now)
        elif message == "rejected":
            await send(database, run_id, "ok", {"result": "rejected"}, "review.decided")
        else:
            await send(database, run_id, "pay", {"answer": 1})
        await eventually(lambda: received(database, run_id))
        gate.set()
        summary = await ended(database, run_id)
    assert summary.status == ("cancelled" if message == "cancel" else "done")
    assert len(tool.calls) == (0 if message == "cancel" else 1)
    async with database.worker_connection() as connection:
        used = await connection.fetchval("SELECT count(*) FROM approval_use")
    assert used == len(tool.calls)


async def taken(database: Database, run_id: UUID, path: str, answer: object) -> bool:
    events = [event for event in await journal(database, run_id) if event.kind == "message.received"]
    return any(event.data["path"] == path and event.data["data"].get("answer") == answer for event in events)


async def received(database: Database, run_id: UUID) -> bool:
    return any(event.kind == "message.received" for event in await journal(database, run_id))


def _ends(event: client.JournalEvent) -> bool:
    return event.kind == "step.ended"
