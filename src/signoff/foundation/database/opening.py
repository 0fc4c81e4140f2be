"""From settings to an open, migrated database: embedded where no URL is configured."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from signoff.core.errors import UnavailableError
from signoff.foundation.database.database import Database
from signoff.foundation.database.embedded import EmbeddedServer
from signoff.foundation.database.migrate import migrate
from signoff.foundation.settings import Settings

_WATCH_INTERVAL_S = 1.0

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncGenerator[str]:
    """The URL of a running, migrated database. The embedded server runs while this block, in any process, lasts.

    Raises:
        UnavailableError: PostgreSQL does not answer, cannot be started, or cannot be migrated.
    """
    if settings.database.url:
        url = settings.database.url
        await asyncio.to_thread(migrate, url, wait_s=settings.database.migration_timeout_s)
        yield url
        return
    server = EmbeddedServer(
        settings.state_path,
        start_timeout_s=settings.database.embedded_start_timeout_s,
        max_connections=settings.database.embedded_max_connections,
    )
    url = await asyncio.to_thread(server.start)
    watch = asyncio.create_task(_keep_alive(server), name="embedded-postgresql")
    try:
        await asyncio.to_thread(migrate, url, wait_s=settings.database.migration_timeout_s)
        yield url
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncGenerator[Database]:
    """An open `Database` for the block, with whatever it needs started before and stopped after.

    Raises:
        UnavailableError: as for `database_url`.
    """
    async with database_url(settings) as url:
        database = await Database.open(settings.database.model_copy(update={"url": url}))
        async with database:
            yield database


async def _keep_alive(server: EmbeddedServer) -> None:
    """Nobody else restarts a server of ours that was killed or ran out of disk."""
    while True:
        await asyncio.sleep(_WATCH_INTERVAL_S)
        try:
            if await asyncio.to_thread(server.revive):
                _logger.warning("the embedded PostgreSQL had died and was started again; its log: %s", server.log_path)
        except UnavailableError as error:
            _logger.error("%s", error)  # noqa: TRY400  (the message says it all)
