"""What a worker does for starts beside executing runs: let queues' runs through, start what was debounced."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta

from signoff.core.clock import Clock
from signoff.foundation.database import Connection, Database
from signoff.runtime.starting import store
from signoff.runtime.starting.admission import admit_due
from signoff.runtime.starting.debounce import forget_windows, start_debounced

SOON_S = 0.025  # until a look that hardly ever finds anything
SHORTEST_PAUSE_S = 0.005  # between looks at a turn that is due, but that somebody else is at
TIDYING_PAUSE_S = 60.0
IDLE_BUCKETS = timedelta(days=2)  # a bucket is full again within its period, at most a day
FORGOTTEN = 1000  # of such buckets in one statement


class Turns:
    """Looks at what is due, whenever it is told to, and otherwise each `poll_s` seconds.

    Args:
        database: where turns are.
        clock: the injected clock.
        poll_s: the safety net under wake-ups.
        admitted: called with how many runs may be claimed that could not be before.
    """

    def __init__(self, database: Database, *, clock: Clock, poll_s: float, admitted: Callable[[int], None]) -> None:
        self._database = database
        self._clock = clock
        self._poll_s = poll_s
        self._admitted = admitted
        self._wake = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None
        self._tidied_s = clock.monotonic_s()

    def wake(self) -> None:
        """Something was started, or a run that was in a queue ended or gave its slot back."""
        self._wake.set()

    def wake_soon(self) -> None:
        """A run was told of by its id, most often one of no queue: its first moments need not be shared with a look."""
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(SOON_S, self._wake_now)

    def _wake_now(self) -> None:
        self._later = None
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            UnavailableError: the database went away.
        """
        while True:
            self._wake.clear()
            # Not held between looks: a worker's pool is small, and this needs a connection for a moment only.
            async with self._database.worker_connection() as connection:
                await self._tidy(connection)
                pause_s = await self._pause_s(connection)
            if pause_s <= 0:  # most wake-ups are about runs that go through no queue: those cost a look alone
                now = self._clock.now()
                admitted = await admit_due(self._database, now) + await start_debounced(self._database, now)
                if admitted:
                    self._admitted(admitted)
                    continue
                pause_s = SHORTEST_PAUSE_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()

    async def _pause_s(self, connection: Connection) -> float:
        """Until there is something to do, or to look again; none and less where it is due."""
        moment = await connection.fetchval(store.NEXT_LOOK)
        if moment is None:
            return self._poll_s
        return min(self._poll_s, (moment - self._clock.now()).total_seconds())

    async def _tidy(self, connection: Connection) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._tidied_s >= TIDYING_PAUSE_S:
            self._tidied_s = now_s
            now = self._clock.now()
            await forget_windows(connection, now)
            await connection.execute(store.FORGET_BUCKETS, now - IDLE_BUCKETS, FORGOTTEN)
