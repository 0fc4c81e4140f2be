"""Workers that share the work, stop, and hand over; what the journals look like afterwards."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from support.engine import FAST, ScriptedTool, compiled, ended, eventually, journal, running, start, until

from signoff.foundation.database import Database
from signoff.runtime import RuntimeSettings
from signoff.runtime.handlers import Done, StepCall, Waiting
from signoff.workflows.model import Workflow


async def test_two_workers_share_the_work_and_one_that_stops_hands_over(database: Database):
    flow = compiled("shared", "steps:\n  a: {tool: work, with: {}}\noutcome: {ok: a.done}\n", work=False)
    gate = asyncio.Event()

    async def hold(call: StepCall) -> Done:
        await gate.wait()
        return Done({})

    first, second = ScriptedTool({"work": hold}), ScriptedTool({"work": hold})
    few = settings_with(resident_runs=3)
    async with running(database, [flow], second, few):
        async with running(database, [flow], first, few):
            runs = [await start(database, flow, {}) for _ in range(8)]
            await eventually(lambda: len(first.calls) == len(second.calls) == 3)
            gate.set()
        for run_id in runs:
            assert (await ended(database, run_id)).outcome == "ok"
    assert len(first.calls) + len(second.calls) == 8  # nobody did another's work


def settings_with(**changed: Any) -> RuntimeSettings:
    return FAST.model_copy(update=changed)


async def test_a_stopping_worker_begins_nothing_new_and_gives_waiting_runs_back_at_once(database: Database):
    flow = compiled(
        "long",
        "steps:\n  a: {tool: work, with: {}}\n  b: {after: [a], tool: work, with: {}}\noutcome: {ok: b.done}\n",
        work=False,
    )
    soon = compiled("soon", "steps:\n  a: {tool: wait, with: {}}\noutcome: {ok: a.done}\n", wait=False)
    begun, gate = asyncio.Event(), asyncio.Event()

    async def hold(call: StepCall) -> Done:
        begun.set()
        await gate.wait()
        return Done({})

    def wait(call: StepCall) -> Waiting:
        return Waiting("moment", until=call.clock.now() + timedelta(hours=1))

    # A near moment keeps the run in memory; a worker that waited for it, or for its time to drain, would wait for long.
    resident = settings_with(park_after_s=7200.0, drain_s=3600.0)
    tool = ScriptedTool({"work": hold, "wait": wait})
    before_s = 0.0
    async with running(database, [flow, soon], tool, resident) as worker:
        run_id, waiting_id = await start(database, flow, {}), await start(database, soon, {})
        await asyncio.wait_for(begun.wait(), 10)
        await eventually(lambda: any(call.run.run_id == waiting_id for call in tool.calls))
        worker.stop()
        before_s = asyncio.get_running_loop().time()
        gate.set()
    assert asyncio.get_running_loop().time() - before_s < 60
    assert [call.path for call in tool.calls if call.run.run_id == run_id] == ["a"]
    async with database.worker_connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM run_queue WHERE owner IS NOT NULL") == 0
        assert await connection.fetchval("SELECT count(*) FROM worker_session") == 0
    async with running(database, [flow, soon], tool):
        assert (await ended(database, run_id)).outcome == "ok"
        await until(database, waiting_id, lambda run: run.status == "waiting")
    assert [call.path for call in tool.calls if call.run.run_id == run_id] == ["a", "b"]


async def test_a_journal_has_no_holes_after_any_of_this(database: Database):
    flow: Workflow = compiled("holes", "steps:\n  a: {tool: work, with: {}}\noutcome: {ok: a.done}\n", work=False)
    async with running(database, [flow], ScriptedTool({"work": lambda call: Done({})})):
        runs = [await start(database, flow, {}) for _ in range(20)]
        for run_id in runs:
            await ended(database, run_id)
    for run_id in runs:
        events = await journal(database, run_id)
        assert [one.seq for one in events] == list(range(1, len(events) + 1))
