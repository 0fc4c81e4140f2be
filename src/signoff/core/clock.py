"""Time, injected: nothing in the house asks the operating system for it elsewhere."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the engine and its steps ask of time."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never run backwards, for deadlines and durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds of this clock."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        import asyncio  # noqa: PLC0415  (40 ms of loading that commands without a loop are spared)

        await asyncio.sleep(seconds)
