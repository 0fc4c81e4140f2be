"""Leaving a block that listens, at the very moment at which its connection breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from signoff.foundation.database.listener import listening
from signoff.foundation.settings import DatabaseSettings

PATIENCE_S = 10.0


class Line:
    """A connection that breaks when the test says so."""

    def __init__(self) -> None:
        self.listened = asyncio.Event()
        self.broken: Callable[[Any], None] | None = None

    def add_termination_listener(self, callback: Callable[[Any], None]) -> None:
        self.broken = callback

    async def add_listener(self, _channel: str, _callback: Callable[..., None]) -> None:
        self.listened.set()

    def terminate(self) -> None:
        """Nothing is held."""


async def test_a_block_that_is_left_as_its_connection_breaks_ends() -> None:
    line = Line()

    async def connect() -> Line:
        return line

    async def listen_until_it_breaks() -> None:
        async with listening("bell", lambda _: None, connect=connect, settings=DatabaseSettings()):
            await line.listened.wait()
            await asyncio.sleep(0)  # the listener waits for the break now
            assert line.broken is not None
            line.broken(line)

    await asyncio.wait({task := asyncio.create_task(listen_until_it_breaks())}, timeout=PATIENCE_S)
    assert task.done()
