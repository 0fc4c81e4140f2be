"""Debounced starts whose key has been quiet for long enough become runs."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from signoff.core.errors import UnavailableError
from signoff.foundation.database import Connection, Database, Record
from signoff.runtime.client.beginning import Beginning, begin
from signoff.runtime.starting import store

BATCH = 100  # started in one transaction
FORGOTTEN = 1000  # windows that are over, deleted in one statement
POSTPONED = timedelta(minutes=1)  # what an error of ours kept from starting

_log = logging.getLogger(__name__)


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
                started += await _start(connection, row, now)
        if len(due) < BATCH:
            return started


async def _start(connection: Connection, row: Record, now: datetime) -> int:
    key = (row["org_id"], row["project"], row["workflow"], row["key"])
    try:
        async with connection.transaction():  # a savepoint: one that cannot be started holds up no other
            await begin(connection, Beginning.read(row["request"], row["run_id"], row["org_id"]), now=now)
            await connection.execute(store.DROP_DEBOUNCED, *key)
    except UnavailableError:
        raise
    except Exception:  # noqa: BLE001  (whatever it is, it concerns this start alone)
        _log.exception("the debounced run %s could not be started; it is tried again", row["run_id"])
        await connection.execute(store.POSTPONE_DEBOUNCED, *key, now + POSTPONED)
        return 0
    return 1


async def forget_windows(connection: Connection, now: datetime) -> None:
    """Delete some of the windows of deduplicated starts that are over."""
    await connection.execute(store.FORGET_DEDUPLICATED, now, FORGOTTEN)
