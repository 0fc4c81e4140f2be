"""Who waits for what was written, and when they are told: not all at once, so that nobody idles.

Runs with effects write an intent, wait, and act. Told all at once, they would compute while PostgreSQL has nothing to
do, and then all wait for it. Where most runs wait for the same write, half of them write their next before the others
go on; from then on one half computes while the other is written.
"""

from __future__ import annotations

import asyncio
from collections import deque

HALVED_FROM = 32
"""From how many on, who wait for one write, they go on in two halves. Fewer are written in no time, and cost more."""


class Answers:
    """Who is to be told that something was written. What it was is on the disk: they may be told any time later."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[bool]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, waiting: asyncio.Future[bool]) -> None:
        """It was written what this one waits for."""
        self._waiting.append(waiting)

    def begin(self, others: int) -> None:
        """Tell some, or all, where but few others are going to be written next."""
        waiting = len(self._waiting)
        if others * 2 < waiting:
            self._tell(waiting // 2 if waiting >= HALVED_FROM else waiting)

    def end(self) -> None:
        """Tell all that have not been told."""
        self._tell(len(self._waiting))

    def _tell(self, count: int) -> None:
        for _ in range(count):
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(True)
