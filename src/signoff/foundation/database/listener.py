"""LISTEN on a connection of its own, since a pooled one is handed on, with reconnecting."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any

from signoff.foundation.database.connection import driver
from signoff.foundation.settings import DatabaseSettings

# `InternalClientError`: the server's parting words came between two statements, and the driver is out of step.
_BROKEN = (driver.PostgresError, driver.InterfaceError, driver.InternalClientError, OSError, TimeoutError)
_FIRST_RETRY_S = 0.05
_LONGEST_RETRY_S = 5.0
# An answer to this shows that the other end still lives; a dead network would otherwise stay silent for ever.
_CHECK = "SELECT 1"

NO_BACKEND = 0
"""The process id of none: what the listener says by itself."""

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def listening(
    channel: str,
    callback: Callable[[str], None],
    *,
    connect: Callable[[], Awaitable[Any]],
    settings: DatabaseSettings,
    passed_over: Collection[int] = (),
) -> AsyncGenerator[None]:
    """Keep a listening connection up while the block lasts; see `Database.listen`.

    What backends of `passed_over` notify of, by process id at the time that it comes, is not told.
    """

    def heard(backend: int, payload: str) -> None:
        if backend not in passed_over:
            callback(payload)

    task = asyncio.create_task(_keep_listening(channel, heard, connect, settings), name=f"listen:{channel}")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _keep_listening(
    channel: str,
    heard: Callable[[int, str], None],
    connect: Callable[[], Awaitable[Any]],
    settings: DatabaseSettings,
) -> None:
    pause_s = _FIRST_RETRY_S
    while True:
        try:
            connection = await connect()
        except _BROKEN as error:
            _logger.warning("listening on %s: no connection, trying again in %.2f s: %s", channel, pause_s, error)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_RETRY_S)
            continue
        pause_s = _FIRST_RETRY_S
        try:
            await _listen_until_lost(connection, channel, heard, settings.listen_check_interval_s)
        except _BROKEN as error:
            _logger.warning("listening on %s: connection lost: %s", channel, error)
        finally:
            connection.terminate()


async def _listen_until_lost(
    connection: Any, channel: str, heard: Callable[[int, str], None], check_interval_s: float
) -> None:
    lost = asyncio.Event()

    def on_termination(_connection: Any) -> None:
        lost.set()

    def on_notification(_connection: Any, backend: int, _channel: str, payload: str) -> None:
        heard(backend, payload)

    connection.add_termination_listener(on_termination)
    await connection.add_listener(channel, on_notification)
    heard(NO_BACKEND, "")
    while not lost.is_set():
        try:
            async with asyncio.timeout(check_interval_s):
                await lost.wait()
        except TimeoutError:
            await connection.execute(_CHECK, timeout=check_interval_s)
