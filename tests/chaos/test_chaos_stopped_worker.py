"""A worker that stops for longer than its lease and then goes on: it writes nothing, and nothing happens twice."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from support.engine import eventually
from support.killed import Sink, worker_process
from tests.chaos.test_chaos_killed_worker import outcomes, started, stories

from signoff.foundation.database import Database

RUNS = 24
SESSIONS = "SELECT id FROM worker_session"


@pytest.mark.timeout(300)
async def test_a_worker_stopped_past_its_lease_writes_nothing_when_it_goes_on(database: Database, database_url: str):
    with Sink() as sink:
        runs = await started(database, range(RUNS), sink.url)
        async with worker_process(database_url) as stopped:
            await eventually(lambda: sink.payments.total() >= 3, 120)
            os.kill(stopped.pid, signal.SIGSTOP)
            async with database.worker_connection() as connection:
                before = {row["id"] for row in await connection.fetch(SESSIONS)}
                async with worker_process(database_url):
                    found = await outcomes(database, runs, 120)
                    assert found == ["paid"] * RUNS, await stories(database, runs, found)
                    written = await connection.fetchval("SELECT count(*) FROM journal")
                    os.kill(stopped.pid, signal.SIGCONT)

                    async def is_back() -> bool:
                        """The stopped worker has found out that it was declared dead, and has begun anew."""
                        sessions = {row["id"] for row in await connection.fetch(SESSIONS)}
                        return len(sessions) == 2 and not sessions & before

                    await eventually(is_back, 120)
                assert await connection.fetchval("SELECT count(*) FROM journal") == written
                late = "SELECT count(*) FROM journal j JOIN journal o USING (run_id) WHERE j.session_id = ANY($1)"
                after = " AND o.session_id <> ALL($1) AND o.session_id IS NOT NULL AND j.seq > o.seq"
                assert await connection.fetchval(late + after, list(before)) == 0
        await asyncio.to_thread(stopped.join, 30)
        assert set(sink.payments.values()) == {1}
        assert len(sink.payments) == RUNS
