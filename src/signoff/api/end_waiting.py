"""Wait for runs to end without holding a database connection per request.

One task serves all who wait: it listens for the ends that workers announce, and looks itself now and then, as an
announcement may be lost. It lives only while somebody waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from uuid import UUID

from signoff.core.errors import LimitError, UnavailableError
from signoff.foundation.database import Database
from signoff.foundation.database.failures import answered_within
from signoff.runtime.announcing import ENDED_CHANNEL
from signoff.runtime.client import store

POLL_S = 1.0


class EndWaiters:
    """Everybody in this process who waits for a run's end.

    Args:
        database: asked which of the runs have ended.
        most: requests that may wait at once; further ones are refused.
    """

    def __init__(self, database: Database, *, most: int) -> None:
        self._database = database
        self._most = most
        self._waiting: dict[UUID, set[asyncio.Future[None]]] = {}
        self._count = 0
        self._look = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def ended(self, run_id: UUID, timeout_s: float) -> bool:
        """Whether the run ended within that time.

        Raises:
            LimitError: too many requests wait already.
        """
        if self._count >= self._most:
            raise LimitError(f"{self._most} requests wait for runs already; ask again, or read the run now and then")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(run_id, set()).add(future)
        self._count += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve())
        self._look.set()
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            return False
        finally:
            self._leave(run_id, future)
        return True

    def _leave(self, run_id: UUID, future: asyncio.Future[None]) -> None:
        self._count -= 1
        others = self._waiting.get(run_id, set())
        others.discard(future)
        if not others:
            self._waiting.pop(run_id, None)
        if not self._waiting:
            self._look.set()

    def _announced(self, payload: str) -> None:
        if not payload:
            self._look.set()  # connected anew: whatever was announced meanwhile is lost
            return
        for text in payload.split(","):
            self._tell(UUID(text))

    def _tell(self, run_id: UUID) -> None:
        for future in self._waiting.get(run_id, ()):
            if not future.done():
                future.set_result(None)

    async def _serve(self) -> None:
        async with self._database.listen(ENDED_CHANNEL, self._announced):
            while self._waiting:
                self._look.clear()
                with contextlib.suppress(UnavailableError):
                    async with answered_within(), self._database.worker_connection() as connection:
                        for row in await connection.fetch(store.ENDED_OF, list(self._waiting)):
                            self._tell(row["run_id"])
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._look.wait()
                await asyncio.sleep(0)  # whoever was told leaves first
