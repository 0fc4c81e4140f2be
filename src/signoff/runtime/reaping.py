"""Dead workers: they are declared so when their lease is over; what they hold is let go of, and their runs go free."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from signoff.core.clock import Clock
from signoff.foundation.database import Connection, Database
from signoff.runtime import store
from signoff.runtime.settings import RuntimeSettings

LONGEST_PAUSE_S = 0.5  # between looks for dead workers: what it adds to a lease before their runs go on

_log = logging.getLogger(__name__)


async def reap(database: Database, clock: Clock, settings: RuntimeSettings, freed_some: Callable[[], None]) -> None:
    """Declare workers dead that have sent no heartbeat for a lease, and free their runs, until cancelled.

    Raises:
        UnavailableError: the database is away.
    """
    async with database.worker_connection() as connection:
        while True:
            await _end_backends(connection, [])  # first: nobody would look for those of a session that is gone
            dead = await connection.fetch(store.REAP_SESSIONS)
            if dead:
                await _end_backends(connection, [row["client"] for row in dead])
                await connection.execute(store.COUNT_CRASHES, [row["id"] for row in dead])
            freed = await connection.fetch(store.RELEASE_ORPHANS, clock.now())
            if freed:
                _log.warning("took over %d runs of %d dead workers", len(freed), len(dead))
                freed_some()
            # Real time, not the injected clock: the lease is kept by the server's clock.
            await asyncio.sleep(min(settings.lease_s / 4, LONGEST_PAUSE_S))


async def _end_backends(connection: Connection, clients: Sequence[str]) -> None:
    """A cut host's transactions would keep their locks until the server sees that nobody is there (rule 2)."""
    found = await connection.fetchrow(store.END_BACKENDS, clients)
    if found is not None and found["ended"]:
        _log.warning("ended %d connections of workers that are dead", found["ended"])
    if found is not None and found["refused"]:
        _log.warning("%d connections of dead workers stay open: this login may not end them", found["refused"])
