"""Operations and messages at the edges: a full inbox, places that never come, turns to come, a run without its slot."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import psycopg
import pytest
from support.engine import ACTOR, ScriptedTool, compiled, ended, eventually, running, send, start, until, waits_for
from support.operations import ask, do, done, has, told
from support.starts_cases import begin, bounded, one_step, place
from tests.support.crashing import folded

from signoff.core.clock import SystemClock
from signoff.core.errors import ConflictError, LimitError
from signoff.foundation.database import Database
from signoff.runtime import client
from signoff.runtime.codec import DamagedError
from signoff.runtime.handlers import StepCall, Waiting
from signoff.runtime.settings import StartLimits
from signoff.runtime.state import MESSAGES_LATE

FEW = StartLimits(inbox_messages=2, operation_messages=1)
ONE = "steps:\n  a: {tool: act, with: {}}\noutcome: {ok: a.done}\n"


async def say(database: Database, run_id: UUID, path: str, kind: str) -> None:
    async with database.transaction(ACTOR.org_id) as connection:
        now, data = SystemClock().now(), {"reason": "enough"}
        told: dict[str, Any] = {"path": path, "kind": kind, "data": data, "sent_by": "user/ana", "now": now}
        await client.send_message(connection, org_id=ACTOR.org_id, run_id=run_id, limits=FEW, **told)


@pytest.mark.parametrize("kind", ["run.cancel", "run.terminate"])
async def test_a_stuck_run_with_a_full_inbox_can_be_ended(database: Database, kind: str) -> None:
    flow, tool = compiled("full", ONE, act=False), ScriptedTool({"act": done})
    run_id = await start(database, flow, {})
    for _ in range(2):
        await say(database, run_id, "a", "signal")
    with pytest.raises(LimitError):
        await say(database, run_id, "a", "signal")
    await say(database, run_id, "", "run.pause")
    with pytest.raises(LimitError):
        await say(database, run_id, "", "run.pause")
    async with running(database, [], tool):  # its workflow is not there
        await until(database, run_id, lambda run: run.status == "stuck")
        await say(database, run_id, "", kind)
        assert (await ended(database, run_id)).status == ("cancelled" if kind == "run.cancel" else "terminated")
    dispositions = [data["disposition"] for data in await told(database, run_id, "message.received")]
    assert sorted(dispositions) == sorted(["late"] * 3 + ["cancel" if kind == "run.cancel" else "taken"])
    async with database.worker_connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM inbox") == 0


async def test_a_damaged_journal_is_told_as_such_with_the_event(database: Database, database_url: str) -> None:
    """A missing event was taken for another version of Signoff; one that cannot be read, for a fault of ours."""
    flow, tool = compiled("damaged", ONE, act=False), ScriptedTool({"act": done})
    gap, broken = await start(database, flow, {}), await start(database, flow, {})
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("UPDATE journal SET seq = 2 WHERE run_id = %s", (gap,))
        owner.execute("UPDATE journal SET data = '{\"a\": 1' WHERE run_id = %s", (broken,))
    async with running(database, [flow], tool):
        for run_id, detail in ((gap, "the journal has no event 1, but an event 2"), (broken, "event 1 cannot be read")):
            run = await until(database, run_id, lambda run: run.status == "stuck")
            assert run.error is not None
            assert run.error["code"] == "damaged"
            assert detail in run.error["detail"]
            async with database.transaction(ACTOR.org_id) as connection:
                with pytest.raises(DamagedError, match=detail):
                    await client.read_state(connection, ACTOR.org_id, run_id)


ITEMS = """
steps:
  first: {tool: act, with: {}}
  lines: {after: first, for: "${input.lines}", steps: {ask: {tool: act, with: {}}}, give: {}}
outcome: {ok: lines.done}
"""


async def test_messages_for_items_past_the_end_come_too_late(database: Database) -> None:
    flow, tool = compiled("items", ITEMS, act=False), ScriptedTool({"act": ask})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {"lines": [1]})
        await until(database, run_id, waits_for("review"))
        await send(database, run_id, "lines[5]/ask", {})  # nobody knows yet how many there will be
        await send(database, run_id, "first", {})
        await until(database, run_id, lambda run: [wait["step"] for wait in run.waiting_for] == ["lines[0]/ask"])
        await send(database, run_id, "lines[7]/ask", {})
        await send(database, run_id, "lines[0]/nobody", {})
        await send(database, run_id, "lines[0]/ask", {})
        await ended(database, run_id)
    dispositions = {data["path"]: data["disposition"] for data in await told(database, run_id, "message.received")}
    assert dispositions == {
        "lines[5]/ask": "accepted",
        "first": "accepted",
        "lines[7]/ask": "late",
        "lines[0]/nobody": "unknown",
        "lines[0]/ask": "accepted",
    }
    (note,) = [data for data in await told(database, run_id, "step.noted") if data["name"] == MESSAGES_LATE]
    assert note["step"] == "lines[5]/ask"
    assert not any(record.undelivered for record in (await folded(database, run_id)).steps.values())


TURNS = """
steps:
  turns:
    repeat: {act: {tool: act, with: {}}}
    until: index == 1
    max: 9
    every: 4s
outcome: {over: turns.done}
"""


async def test_a_skip_of_a_turn_to_come_does_not_begin_it(database: Database) -> None:
    flow, tool = compiled("turns", TURNS, act=False), ScriptedTool({"act": done})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await eventually(lambda: has(database, run_id, "group.turned"))
        await do(database, run_id, "skip", step="turns[1]/act")
        assert (await ended(database, run_id)).outcome == "over"
    async with database.transaction(ACTOR.org_id) as connection:
        events = await client.read_journal(connection, ACTOR.org_id, run_id)
    turned = next(event for event in events if event.kind == "group.turned")
    skipped = next(event for event in events if event.data.get("status") == "bypassed")
    assert skipped.data["step"] == "turns[1]/act"
    assert skipped.data["by"] == "user/ana"
    assert skipped.recorded_at.isoformat() >= str(turned.data["next_at"]).replace("Z", "+00:00")


async def test_a_skip_of_a_turn_to_come_goes_on_with_the_loop(database: Database) -> None:
    body = TURNS.replace("every: 4s", "renew: 1").replace("index == 1", "index == 2")
    flow, tool = compiled("renews", body, act=False), ScriptedTool({"act": ask})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await until(database, run_id, waits_for("review"))
        await do(database, run_id, "skip", step="turns[1]/act")
        await send(database, run_id, "turns[0]/act", {})
        await ended(database, run_id)
        (continued,) = await told(database, run_id, "run.continued")
        second = UUID(continued["run_id"])
        await ended(database, second)
    (skipped,) = [data for data in await told(database, second, "step.ended") if data["status"] == "bypassed"]
    assert (skipped["step"], skipped["by"]) == ("turns[0]/act", "user/ana")
    with pytest.raises(ConflictError, match=str(second)):
        await do(database, run_id, "retry")


async def test_a_run_that_waits_to_come_back_is_terminated_without_a_slot(database: Database) -> None:
    flow, queue = one_step(), bounded(concurrency=1, release_while_waiting=True)
    go, first = asyncio.Event(), None

    async def work(call: StepCall) -> Any:
        if call.run.run_id == first:
            return Waiting("review", about="may it?")
        await go.wait()
        return done(call)

    async with running(database, [flow], ScriptedTool({"work": work})):
        first = (await begin(database, flow, place=place(queue))).run_id
        await until(database, first, waits_for("review"))
        second = (await begin(database, flow, place=place(queue))).run_id
        await until(database, second, lambda run: run.status == "running")
        await do(database, first, "terminate")
        assert (await ended(database, first)).status == "terminated"
        go.set()
        await ended(database, second)
