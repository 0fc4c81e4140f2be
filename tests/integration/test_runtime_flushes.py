"""What was committed without waiting for the disk, and who takes it there."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

from support.engine import ACTOR

from signoff.core.ids import uuid7
from signoff.foundation.database import Database
from signoff.foundation.database.flushes import Flushes
from signoff.runtime import store
from signoff.runtime.journal import Entry, Journal, Row

NOW = datetime(2030, 1, 1, tzinfo=UTC)


async def never() -> None:
    """A flush that nobody will see the end of: what is told is told by somebody's commit."""
    await asyncio.get_running_loop().create_future()


def nobody(run_id: UUID, error: BaseException) -> None:
    """No row is rejected here."""


@asynccontextmanager
async def journal_of(database: Database, *, alive: bool) -> AsyncGenerator[tuple[Journal, Entry]]:
    """A journal's writer at work, and an entry for it of a run that its session has."""
    session_id, run_id = uuid.uuid4(), uuid7()
    async with database.worker_connection() as connection:
        await connection.execute(store.OPEN_SESSION, session_id, "here", 1, 60.0)
        insert = "INSERT INTO run_queue (run_id, org_id, priority, due_at, owner) VALUES ($1, $2, 5, $3, $4)"
        await connection.execute(insert, run_id, ACTOR.org_id, NOW, session_id)
        if not alive:
            await connection.execute(store.CLOSE_SESSION, session_id)
    journal = Journal(database, session_id, flush_events=100, rejected=nobody)
    task = asyncio.create_task(journal.run())
    entry = Entry(ACTOR.org_id, run_id, [Row(1, "step.noted", NOW, b"{}")])
    entry.written = asyncio.get_running_loop().create_future()
    try:
        yield journal, entry
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_has_been_flushed_is_on_the_disk(database: Database):
    """Each time: the server also writes its log by itself, a little later."""
    for _ in range(10):
        async with database.transaction(ACTOR.org_id, flushes=False) as connection:
            await connection.execute("SELECT pg_logical_emit_message(true, 'test', 'committed')")
        async with database.worker_connection() as connection:
            committed = await connection.fetchval("SELECT pg_current_wal_insert_lsn()::text")
        await database.flushes.wait()
        async with database.worker_connection() as connection:
            assert await connection.fetchval("SELECT pg_current_wal_flush_lsn() >= $1::text::pg_lsn", committed)


async def test_events_that_are_written_take_it_to_the_disk(database: Database):
    database.flushes = Flushes(never)
    async with journal_of(database, alive=True) as (journal, entry):
        waiting = asyncio.create_task(database.flushes.wait())
        await asyncio.sleep(0)
        journal.submit(entry)
        async with asyncio.timeout(10):
            await waiting
    await database.flushes.close()


async def test_events_of_a_lost_session_take_nothing_to_the_disk(database: Database):
    """A statement that wrote nothing did not wait for the disk either."""
    database.flushes = Flushes(never)
    async with journal_of(database, alive=False) as (journal, entry):
        waiting = asyncio.create_task(database.flushes.wait())
        await asyncio.sleep(0)
        journal.submit(entry)
        assert entry.written is not None
        await asyncio.wait([entry.written])
        assert entry.written.exception() is not None
        assert not waiting.done()
        await database.flushes.close()
        await asyncio.wait([waiting])
