"""Dead workers: they are declared so when their lease is over, and their runs go free."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from signoff.core.clock import Clock
from signoff.foundation.database import Database
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
            dead = await connection.fetch(store.REAP_SESSIONS)
            if dead:
                await connection.execute(store.COUNT_CRASHES, [row["id"] for row in dead])
            freed = await connection.fetch(store.RELEASE_ORPHANS, clock.now())
            if freed:
                _log.warning("took over %d runs of %d dead workers", len(freed), len(dead))
                freed_some()
            # Real time, not the injected clock: the lease is kept by the server's clock.
            await asyncio.sleep(min(settings.lease_s / 4, LONGEST_PAUSE_S))
