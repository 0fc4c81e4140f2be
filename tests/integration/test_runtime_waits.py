"""Waits: for time, and for events from outside, whichever of wait and event comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.support.crashing import crashing, folded
from tests.support.engine import (
    ACTOR,
    ScriptedTool,
    compiled,
    ended,
    eventually,
    journal,
    running,
    send,
    somebody_waits,
    start,
    until,
    waits_for,
)

from signoff.core.clock import SystemClock
from signoff.core.errors import LimitError
from signoff.core.labels import BOTTOM
from signoff.foundation.database import Database
from signoff.runtime.client.emitted import emit_event, list_events
from signoff.runtime.waits import EventLimits, IncomingEvent, Posted, post_event
from signoff.steps.wait import WaitStep

PAID = "payment.received.v1"
BODY = """
steps:
  paid: {wait: {event: payment.received.v1, match: {order: "${input.order}"}}}
  last: {set: {cents: "${paid.event.cents}"}}
outcome:
  paid: {when: last.done, give: {cents: "${last.cents}"}}
""".replace("last", "seen")


async def post(database: Database, event_id: str, data: Mapping[str, Any], limits: EventLimits | None = None) -> Posted:
    async with database.transaction(ACTOR.org_id) as connection:
        event = IncomingEvent(ACTOR.org_id, event_id, "/bank", PAID, data, "user/ana", ("",))
        return await post_event(connection, event, now=SystemClock().now(), limits=limits or EventLimits())


async def output(database: Database, run_id: UUID) -> Any:
    return ((await folded(database, run_id)).end or {}).get("output")


async def test_an_event_reaches_every_run_that_waits_for_it_and_no_other(database: Database) -> None:
    workflow = compiled("pays", BODY)
    tool = ScriptedTool({})
    async with running(database, [workflow], tool, others=[WaitStep(database)]):
        runs = [await start(database, workflow, {"order": order}) for order in ("a", "a", "b")]
        for run_id in runs:
            await until(database, run_id, waits_for("event"))
        posted = await post(database, "e1", {"order": "a", "cents": 5})
        assert set(posted.run_ids) == set(runs[:2])
        assert (await post(database, "e1", {"order": "b", "cents": 6})) == Posted(created=False)
        for run_id in runs[:2]:
            await ended(database, run_id)
            assert await output(database, run_id) == {"cents": 5}
        await post(database, "e2", {"order": "b", "cents": 7})
        await ended(database, runs[2])
    assert await output(database, runs[2]) == {"cents": 7}


async def test_an_event_that_comes_before_its_wait_is_kept_for_it(database: Database) -> None:
    workflow = compiled("early", BODY)
    await post(database, "e1", {"order": "a", "cents": 5})
    async with running(database, [workflow], ScriptedTool({}), others=[WaitStep(database)]):
        first = await start(database, workflow, {"order": "a"})
        await ended(database, first)
        assert await output(database, first) == {"cents": 5}
        later = await start(database, workflow, {"order": "a"})
        await until(database, later, waits_for("event"))  # what another run took before it began is not for it


async def test_what_waited_too_long_or_is_too_much_is_not_kept(database: Database) -> None:
    await post(database, "e1", {"order": "a", "cents": 5}, EventLimits(kept_events=1))
    with pytest.raises(LimitError):
        await post(database, "e2", {"order": "a", "cents": 6}, EventLimits(kept_events=1))
    now = SystemClock().now() + timedelta(days=8)
    async with database.transaction(ACTOR.org_id) as connection:
        event = IncomingEvent(ACTOR.org_id, "e3", "/bank", PAID, {"order": "a", "cents": 7}, "user/ana", ("",))
        assert (await post_event(connection, event, now=now, limits=EventLimits(kept_events=1))).created


LOOP = """
steps:
  talk:
    repeat: {said: {wait: {event: payment.received.v1, match: {order: "${input.order}"}}}}
    until: said.event.cents == 3
    max: 9
    start: {all: []}
    give: {all: "${last.all + [said.event.cents]}"}
outcome:
  over: {when: talk.done, give: {all: "${talk.all}"}}
"""


async def test_a_loop_gets_each_event_once_and_in_order_across_crashes(database: Database) -> None:
    workflow = compiled("talks", LOOP)
    others = [WaitStep(database)]
    run_id = await start(database, workflow, {"order": "a"})
    await post(database, "e1", {"order": "a", "cents": 1})
    async with crashing(database, [workflow], ScriptedTool({}), others=others):
        await eventually(lambda: _turned(database, run_id))
    await post(database, "e2", {"order": "a", "cents": 2})
    async with running(database, [workflow], ScriptedTool({}), others=others):
        await until(database, run_id, lambda run: run.status == "waiting")
        await post(database, "e3", {"order": "a", "cents": 3})
        await ended(database, run_id)
    assert await output(database, run_id) == {"all": [1, 2, 3]}


async def _turned(database: Database, run_id: UUID) -> bool:
    return any(event.kind == "group.turned" for event in await journal(database, run_id))


@pytest.mark.parametrize("mode", ["fail", "continue"])
async def test_an_event_that_does_not_come_in_time(database: Database, mode: str) -> None:
    body = """
steps:
  paid: {wait: {event: payment.received.v1}, timeout: 1s, on_timeout: MODE}
  late: {when: "paid.result == 'timed_out'", set: {ok: true}}
  reader: {set: {cents: "${paid.event.cents}"}}
outcome: {late: late.done && reader.result == 'blocked'}
"""
    workflow = compiled("timely", body.replace("MODE", mode))
    async with running(database, [workflow], ScriptedTool({}), others=[WaitStep(database)]):
        run_id = await start(database, workflow, {})
        run = await ended(database, run_id)
    assert run.outcome == ("late" if mode == "continue" else None)
    assert (run.error or {}).get("kind") == (None if mode == "continue" else "timeout")
    assert (await post(database, "e9", {})).run_ids == ()


async def test_waits_for_time_leave_memory_and_end(database: Database) -> None:
    body = """
steps:
  pause: {wait: 1500ms}
  moment: {wait: "${input.due}"}
outcome: {over: pause.done && moment.done}
"""
    workflow = compiled("times", body)
    due = (SystemClock().now() + timedelta(seconds=1.5)).isoformat()
    async with running(database, [workflow], ScriptedTool({}), others=[WaitStep(database)]):
        run_id = await start(database, workflow, {"due": due})
        broken = await start(database, workflow, {"due": "tomorrow"})
        run = await until(database, run_id, lambda run: run.status == "waiting")
        assert {entry["kind"] for entry in run.waiting_for} == {"time"}
        await send(database, run_id, "pause", {"anything": True})
    async with running(database, [workflow], ScriptedTool({}), others=[WaitStep(database)]):
        assert (await ended(database, run_id)).outcome == "over"
        assert ((await ended(database, broken)).error or {})["kind"] == "arguments"


async def test_a_cancelled_wait_takes_no_event_any_more(database: Database) -> None:
    workflow = compiled("cancels", BODY)
    async with running(database, [workflow], ScriptedTool({}), others=[WaitStep(database)]):
        run_id = await start(database, workflow, {"order": "a"})
        await until(database, run_id, waits_for("event"))
        await send(database, run_id, "", {"reason": "enough"}, kind="run.cancel")
        assert (await ended(database, run_id)).status == "cancelled"
    assert (await post(database, "e1", {"order": "a"})).run_ids == ()


async def test_event_and_wait_at_the_same_moment_never_miss_each_other(database: Database) -> None:
    workflow = compiled("races", BODY)
    async with running(database, [workflow], ScriptedTool({}), others=[WaitStep(database)]):
        runs: list[UUID] = []
        for turn in range(20):
            started, _ = await asyncio.gather(
                start(database, workflow, {"order": f"o{turn}"}),
                post(database, f"e{turn}", {"order": f"o{turn}", "cents": turn}),
            )
            runs.append(started)
        for run_id in runs:
            assert (await ended(database, run_id)).outcome == "paid"


async def test_a_reader_of_emitted_events_skips_none_that_commits_late(database: Database) -> None:
    run_id = await start(database, compiled("emits", BODY), {"order": "a"})

    async def emit(path: str, hold: asyncio.Event) -> None:
        async with database.transaction(ACTOR.org_id) as connection:
            await emit_event(
                connection,
                org_id=ACTOR.org_id,
                run_id=run_id,
                path=path,
                event_type="x.v1",
                data={},
                labels=BOTTOM,
                now=SystemClock().now(),
            )
            await hold.wait()

    async def read(after: UUID | None = None) -> list[UUID]:
        async with database.transaction(ACTOR.org_id) as connection:
            return [event.event_id for event in await list_events(connection, ACTOR.org_id, after=after)]

    slow, fast = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(emit("first", slow))
    await asyncio.sleep(0)
    await eventually(lambda: _locked(database))
    fast.set()
    second = asyncio.create_task(emit("second", fast))
    await somebody_waits(database)
    assert await read() == []
    slow.set()
    await asyncio.gather(first, second)
    both = await read()
    assert len(both) == 2
    assert await read(both[0]) == both[1:]


async def _locked(database: Database) -> bool:
    async with database.worker_connection() as connection:
        return await connection.fetchval("SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND granted")
