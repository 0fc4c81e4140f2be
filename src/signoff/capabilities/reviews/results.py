"""What became of reviews, for the runs that wait for them: those that wake together are read together."""

from __future__ import annotations

import asyncio
from uuid import UUID

from signoff.foundation.database import Database
from signoff.foundation.database.failures import SHARED_ANSWER_S, answered_within

from . import store
from .model import ReviewResult

MAX_TOGETHER = 500
"""Reviews read by one statement."""

_Key = tuple[UUID, UUID]


class ReviewResults:
    """Reads the results of reviews, by one statement for all that are asked for while the one before is under way.

    Args:
        database: where reviews are.
        read_s: how long one reading may take, in seconds.
    """

    def __init__(self, database: Database, *, read_s: float = SHARED_ANSWER_S) -> None:
        self._database = database
        self._read_s = read_s
        self._wanted: dict[_Key, asyncio.Future[ReviewResult | None]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def of(self, org_id: UUID, review_id: UUID) -> ReviewResult | None:
        """How the review has ended; none while it is open, and where there is none of that id.

        An end is final, so no lock is taken. Whether an open review's time is over is for `expire` to say.

        Raises:
            UnavailableError: PostgreSQL does not answer.
        """
        result = self._wanted.get((org_id, review_id))
        if result is None:
            result = self._wanted[org_id, review_id] = asyncio.get_running_loop().create_future()
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
        # Shielded: who asks for the same review, and is not cut off, still gets it.
        return await asyncio.shield(result)

    async def _read(self) -> None:
        while self._wanted:
            batch = dict(list(self._wanted.items())[:MAX_TOGETHER])
            for key in batch:
                del self._wanted[key]
            try:
                async with answered_within(self._read_s), self._database.worker_connection() as connection:
                    found = await store.results(connection, list(batch))
            except Exception as error:  # noqa: BLE001  (whatever it is, it goes to whoever asked)
                for future in batch.values():
                    future.set_exception(error)
                    future.exception()  # marked as seen: who asked may be gone
            else:
                for (_, review_id), future in batch.items():
                    future.set_result(found.get(review_id))
        self._reading = None
