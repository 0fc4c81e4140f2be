"""Waiting for the disk once for many: whoever committed without waiting, and may say so only once it is there."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

from signoff.core.errors import UnavailableError

GRACE_S = 0.01
"""How long a commit of our own is waited for that takes others' to the disk with its own, in seconds."""


class Flushes:
    """Tells when what was committed is on the disk.

    PostgreSQL's log is one sequence: a commit that waited for the disk took everything there that was committed before
    it began. Where this process writes such commits all the time, one of them soon does; else one is made for it.

    Args:
        flush: commits something, and returns once that is on the disk.
    """

    def __init__(self, flush: Callable[[], Awaitable[None]]) -> None:
        self._flush = flush
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._begun = 0
        self._writers = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        """Return once everything committed so far is on the disk; raises what the flush raises."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._begun, waiting))
        self._see_to_it()
        await waiting

    @contextmanager
    def writing(self) -> Generator[None]:
        """While the block lasts, somebody here makes such commits: what waits, waits `GRACE_S` for one."""
        self._writers += 1
        try:
            yield
        finally:
            self._writers -= 1

    def begun(self) -> int:
        """A commit that waits for the disk is about to be sent; its number, for `ended`."""
        self._begun += 1
        return self._begun

    def ended(self, number: int) -> None:
        """That one has written something, and it is on the disk."""
        for waiting in self._begun_before(number):
            waiting.set_result(None)
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def close(self) -> None:
        """End the flush under way; who still waits is told that nothing more is known."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for waiting in self._begun_before(self._begun + 1):
            waiting.set_exception(UnavailableError("This process has closed its connections to PostgreSQL"))

    def _begun_before(self, number: int) -> Generator[asyncio.Future[None]]:
        """Those who wait for what was committed before that commit began, who wait no more."""
        while self._waiting and self._waiting[0][0] < number:
            _, waiting = self._waiting.popleft()
            if not waiting.done():
                yield waiting

    def _see_to_it(self) -> None:
        """Have a flush of its own made for those who wait, now or in a while, unless that is seen to already."""
        if self._task is not None or self._timer is not None:
            return
        if self._writers:
            self._timer = asyncio.get_running_loop().call_later(GRACE_S, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        self._timer = None
        self._task = asyncio.create_task(self._flush_once(), name="flush")
        self._task.add_done_callback(self._flushed)

    def _flushed(self, _: object) -> None:
        self._task = None
        if self._waiting:
            self._see_to_it()  # who came while it was under way: it may have begun before what they committed

    async def _flush_once(self) -> None:
        number = self.begun()
        try:
            await self._flush()
        except Exception as error:  # noqa: BLE001  (it is told to those who wait)
            for waiting in self._begun_before(number):
                waiting.set_exception(error)
        else:
            self.ended(number)
