"""Debounced starts whose key has been quiet for long enough become runs."""

from __future__ import annotations

from datetime import datetime

from signoff.foundation.database import Connection, Database
from signoff.runtime.client.beginning import Beginning, begin
from signoff.runtime.starting import store

BATCH = 100  # started in one transaction
FORGOTTEN = 1000  # windows that are over, deleted in one statement


async def start_debounced(database: Database, now: datetime) -> int:
    """Start what is due, each exactly once over any number of workers; gives how many.

    Raises:
        UnavailableError: the database went away; what was not committed is started later.
    """
    started = 0
    while True:
        async with database.worker_transaction() as connection:
            due = await connection.fetch(store.DUE_DEBOUNCED, now, BATCH)
            for row in due:
                beginning = Beginning.read(row["request"], row["run_id"], row["org_id"])
                await begin(connection, beginning, now=now)
                await connection.execute(
                    store.DROP_DEBOUNCED, row["org_id"], row["project"], row["workflow"], row["key"]
                )
        started += len(due)
        if len(due) < BATCH:
            return started


async def next_debounced(connection: Connection) -> datetime | None:
    """When the next of them is due."""
    return await connection.fetchval(store.NEXT_DEBOUNCED)


async def forget_windows(connection: Connection, now: datetime) -> None:
    """Delete some of the windows of deduplicated starts that are over."""
    await connection.execute(store.FORGET_DEDUPLICATED, now, FORGOTTEN)
