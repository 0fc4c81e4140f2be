"""A worker that nothing waits for asks nothing of PostgreSQL beyond its polls."""

from __future__ import annotations

from signoff.foundation.database import Database
from signoff.runtime.starting import store


async def test_no_turn_is_due_where_there_is_none(database: Database):
    async with database.worker_connection() as connection:
        assert await connection.fetchval(store.NEXT_LOOK) is None
