"""Reports of what a worker saw of effects, as the worker stops and its connections close."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from support.engine import ACTOR, ScriptedTool, compiled, eventually, running, start

from signoff.core.clock import SystemClock
from signoff.core.ids import uuid7
from signoff.foundation.database import Database
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime.effects import OBSERVED
from signoff.runtime.handlers import Done, Effect, StepCall
from signoff.runtime.reports import Reporter

PAY = "steps:\n  pay: {tool: pay, with: {}}\noutcome: {ok: pay.done}\n"
LOCK = "SELECT FROM run_queue WHERE run_id = $1 FOR UPDATE"
TOLD = "SELECT count(*) FROM inbox WHERE run_id = $1 AND kind = $2"


async def test_a_worker_that_stops_lets_its_last_report_arrive(database: Database):
    """Its connections are closed right after it: what a fenced worker saw of an effect was lost with them."""
    flow = compiled("told_last", PAY, pay=True)

    async def pay(call: StepCall) -> Done:
        async with database.worker_connection() as connection:
            await connection.execute("DELETE FROM worker_session")
        return Done({})

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("ask")})
    held = asyncio.Event()
    async with running(database, [flow], tool) as worker:
        run_id = await start(database, flow, {})
        await eventually(lambda: bool(tool.calls))
        async with database.transaction(ACTOR.org_id) as connection:
            await connection.execute(LOCK, run_id)
            worker.stop()
            asyncio.get_running_loop().call_later(0.5, held.set)  # whatever it does meanwhile, it waits for that lock
            await held.wait()
    async with database.worker_connection() as connection:
        assert await connection.fetchval(TOLD, run_id, OBSERVED) == 1


async def test_a_report_that_is_cut_off_is_told_in_the_log_and_no_exception_is_left(
    database_url: str, caplog: pytest.LogCaptureFixture
):
    left: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: left.append(context))
    database = await Database.open(DatabaseSettings(url=database_url))
    reporter = Reporter(database, SystemClock())
    closing = asyncio.create_task(database.close())
    for path in ("first", "last"):
        reporter.report(uuid7(time_ms=0), ACTOR.org_id, uuid7(time_ms=0), path, {})
        await closing
    reporter.close()
    reporter.report(uuid7(time_ms=0), ACTOR.org_id, uuid7(time_ms=0), "late", {})
    await asyncio.sleep(0)
    gc.collect()
    await asyncio.sleep(0)
    assert left == []
    told = [record.getMessage() for record in caplog.records]
    assert [line.split()[3] for line in told if line.startswith("what became of")] == ["first", "last", "late"]
