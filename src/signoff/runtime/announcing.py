"""What a worker tells others: that runs have ended, and that there is something to do."""

from __future__ import annotations

import asyncio
from uuid import UUID

from signoff.foundation.database import Database

WAKE_CHANNEL = "signoff_wake"
ENDED_CHANNEL = "signoff_ended"
NOTIFY_IDS = 150  # ids in one notification: PostgreSQL takes payloads of up to 8,000 bytes


class Announcer:
    """Tells after the commit, coalesced, from one task: a notification in each append's transaction slows all."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ended: list[UUID] = []
        self._told: list[UUID] = []
        self._others_wanted = False
        self._something = asyncio.Event()

    def ended(self, run_id: UUID) -> None:
        """A run has ended: who waits for its outcome is told."""
        self._ended.append(run_id)
        self._something.set()

    def tell(self, run_id: UUID) -> None:
        """A run of ours has given another something to do."""
        self._told.append(run_id)
        self._something.set()

    def want_others(self) -> None:
        """There is more to do than this worker has room for."""
        self._others_wanted = True
        self._something.set()

    async def run(self) -> None:
        """Tell until cancelled.

        Raises:
            UnavailableError: the database is away.
        """
        while True:
            await self._something.wait()
            self._something.clear()
            woken, self._told = self._told, []
            for run_id in woken:
                await self._database.notify(WAKE_CHANNEL, str(run_id))
            if self._others_wanted:
                self._others_wanted = False
                await self._database.notify(WAKE_CHANNEL, "")
            while self._ended:
                batch, self._ended = self._ended[:NOTIFY_IDS], self._ended[NOTIFY_IDS:]
                told = ",".join(str(run_id) for run_id in batch)
                await self._database.notify(ENDED_CHANNEL, told, others_later=True)
