"""How many steps of all runs of a worker execute at once."""

from __future__ import annotations

import asyncio


class Slots(asyncio.Semaphore):
    """A semaphore whose free places are taken without a coroutine: every step takes one, and nearly always one is free.

    Whoever has to wait comes by `acquire`, in turn; `release` gives a place back, however it was taken.
    """

    def taken(self) -> bool:
        """Take a place if one is free and nobody waits for one."""
        if self._value <= 0 or self._waiters:
            return False
        self._value -= 1
        return True

    def release(self) -> None:
        """Give a place back, to whoever waits the longest if anybody does."""
        if self._waiters:
            super().release()
        else:
            self._value += 1
