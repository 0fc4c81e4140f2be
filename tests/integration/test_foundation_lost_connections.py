"""A connection that is lost while it is held and idle: whoever holds it is told so, by the error that says it."""

from __future__ import annotations

import psycopg
import pytest
from support.engine import eventually

from signoff.core.errors import UnavailableError
from signoff.foundation.database import Database


async def test_a_held_connection_that_its_server_ended_is_unavailable(
    database: Database, administration: psycopg.Connection
):
    """The driver takes such a connection back at once: asking it whether it is closed ended a whole worker."""

    async def hold() -> None:
        async with database.worker_connection() as held, database.worker_connection() as other:
            pid = await held.fetchval("SELECT pg_backend_pid()")
            administration.execute("SELECT pg_terminate_backend(%s)", (pid,))

            async def gone() -> bool:
                return not await other.fetchval("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", pid)

            await eventually(gone)
            await held.fetchval("SELECT 1")

    with pytest.raises(UnavailableError):
        await hold()
    await database.ping()
