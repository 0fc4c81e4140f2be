"""Notifications that may come a moment later: coalesced, and sent from a task of their own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from signoff.core.errors import UnavailableError

PAUSE_S = 0.025
"""How long others are told later, in seconds."""

NOTICES = 100
"""How many go out in one statement."""

_logger = logging.getLogger(__name__)

Notice = tuple[str, str]
"""A channel and a payload."""


class Notices:
    """Keeps what is to be told until a pause is over, each once. What cannot be told is lost, as it always may be."""

    def __init__(self, send: Callable[[Sequence[Notice]], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: dict[Notice, None] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, channel: str, payload: str) -> None:
        """Tell it within `PAUSE_S`."""
        self._waiting[channel, payload] = None
        if self._task is None:
            self._task = asyncio.create_task(self._tell(PAUSE_S), name="notices")

    async def close(self) -> None:
        """Tell what still waits, now."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._tell(0.0)

    async def _tell(self, pause_s: float) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(pause_s)
                batch = list(self._waiting)[:NOTICES]
                for notice in batch:
                    del self._waiting[notice]
                try:
                    await self._send(batch)
                except UnavailableError as error:
                    _logger.warning("%d notifications were not sent: %s", len(batch), error.detail)
        finally:
            self._task = None
