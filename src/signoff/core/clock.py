"""Time, injected: nothing in the house asks the operating system for it elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
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


def _clock_that_never_stops() -> Callable[[], float]:
    """A lease runs out while the machine sleeps too, which Python's own choice of clock does not count on Linux."""
    if not hasattr(time, "clock_gettime"):
        return time.monotonic
    return partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


_elapsed_s = _clock_that_never_stops()


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    monotonic_s = staticmethod(_elapsed_s)  # asked eight times for a step with an effect: no function around it

    async def sleep(self, seconds: float) -> None:
        import asyncio  # noqa: PLC0415  (40 ms of loading that commands without a loop are spared)

        await asyncio.sleep(seconds)
