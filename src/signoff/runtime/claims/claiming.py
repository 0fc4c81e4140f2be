"""What a worker looks for: whatever is due, fairly; or, where nothing else is, the runs that it was just told of."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from signoff.core.clock import Clock
from signoff.foundation.database import Connection, Record
from signoff.runtime.claims import store

MOST_NAMED = 16
"""So many runs are looked for by their ids; more are a backlog, of which everybody gets a fair part."""

FEW = 2
"""A claim of fewer than it wanted, and of no more than this, has left nothing: each lane gives twice its part."""

QUIET_S = 0.02
"""After such a claim a worker waits so long for the next news before it asks what is due; no longer is a timer late."""


class Claims:
    """The claims of one session.

    Args:
        session_id: who claims.
        clock: the injected clock.
    """

    def __init__(self, session_id: UUID, clock: Clock) -> None:
        self._session_id = session_id
        self._clock = clock
        self._named: set[UUID] = set()
        self._anything = True
        self._nothing_left = False
        self._due_at: datetime | None = None

    def name(self, run_id: UUID) -> None:
        """This run has something to do."""
        self._named.add(run_id)
        if len(self._named) > MOST_NAMED:
            self.look()

    def look(self) -> None:
        """Any run may have something to do."""
        self._anything = True
        self._named.clear()

    async def take(self, connection: Connection, limit: int, room_bytes: int, *, alone: bool) -> list[Record]:
        """Claim runs.

        Args:
            connection: one that claims without waiting for the disk.
            limit: how many at most.
            room_bytes: how large their journals may be together.
            alone: one is taken whatever its size.
        """
        named, now = list(self._named), self._clock.now()
        self._named.clear()
        if self._anything or not self._nothing_left or len(named) > limit:
            self._anything = False
            claimed = await connection.fetch(store.CLAIM, self._session_id, now, limit, room_bytes, alone)
            self._nothing_left = len(claimed) <= FEW < limit
            return claimed
        if not named:
            return []
        claimed = await connection.fetch(store.CLAIM_NAMED, self._session_id, named, now, room_bytes // len(named))
        if len(claimed) < len(named):
            self._nothing_left = False  # perhaps somebody has it, perhaps it is too large, or not due: asked for soon
        return claimed

    def quiet_s(self) -> float:
        """How long nothing need be asked for: none where more may be due than was claimed."""
        if not self._nothing_left:
            return 0.0
        due_s = QUIET_S if self._due_at is None else (self._due_at - self._clock.now()).total_seconds()
        return min(QUIET_S, max(due_s, 0.0))

    async def next_due(self, connection: Connection) -> datetime | None:
        """When the next run is due that nobody has; none where there is none."""
        self._due_at = await connection.fetchval(store.NEXT_DUE)
        self._nothing_left = self._due_at is None or self._due_at > self._clock.now()
        return self._due_at
