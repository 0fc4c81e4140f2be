"""LISTEN on a connection of its own, since a pooled one is handed on, with reconnecting."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from signoff.foundation.database.connection import driver
from signoff.foundation.settings import DatabaseSettings

_FIRST_RETRY_S = 0.05
_LONGEST_RETRY_S = 5.0
# An answer to this shows that the other end still lives; a dead network would otherwise stay silent for ever.
_CHECK = "SELECT 1"

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def listening(
    channel: str,
    callback: Callable[[str], None],
    *,
    connect: Callable[[], Awaitable[Any]],
    settings: DatabaseSettings,
) -> AsyncGenerator[None]:
    """Keep a listening connection up while the block lasts; see `Database.listen`."""
    task = asyncio.create_task(_keep_listening(channel, callback, connect, settings), name=f"listen:{channel}")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _keep_listening(
    channel: str,
    callback: Callable[[str], None],
    connect: Callable[[], Awaitable[Any]],
    settings: DatabaseSettings,
) -> None:
    pause_s = _FIRST_RETRY_S
    while True:
        try:
            connection = await connect()
        except (driver.PostgresError, driver.InterfaceError, OSError, TimeoutError) as error:
            _logger.warning("listening on %s: no connection, trying again in %.2f s: %s", channel, pause_s, error)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_RETRY_S)
            continue
        pause_s = _FIRST_RETRY_S
        try:
            await _listen_until_lost(connection, channel, callback, settings.listen_check_interval_s)
        except (driver.PostgresError, driver.InterfaceError, OSError, TimeoutError) as error:
            _logger.warning("listening on %s: connection lost: %s", channel, error)
        finally:
            connection.terminate()


async def _listen_until_lost(
    connection: Any, channel: str, callback: Callable[[str], None], check_interval_s: float
) -> None:
    lost = asyncio.Event()

    def on_termination(_connection: Any) -> None:
        lost.set()

    def on_notification(_connection: Any, _pid: int, _channel: str, payload: str) -> None:
        callback(payload)

    connection.add_termination_listener(on_termination)
    await connection.add_listener(channel, on_notification)
    callback("")
    while not lost.is_set():
        try:
            async with asyncio.timeout(check_interval_s):
                await lost.wait()
        except TimeoutError:
            await connection.execute(_CHECK, timeout=check_interval_s)
