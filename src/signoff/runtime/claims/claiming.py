"""What a worker looks for: whatever is due, fairly; or, where nothing else is, the runs that it was just told of."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from signoff.core.clock import Clock
from signoff.foundation.database import Connection, Record
from signoff.runtime.claims import store
from signoff.runtime.claims.lanes import Lanes

MOST_NAMED = 16
"""So many runs are looked for by their ids; more are a backlog, of which everybody gets a fair part."""

FEW = 2
"""A claim of fewer than it wanted, and of no more than this, has left nothing: each lane gives twice its part."""

QUIET_S = 0.02
"""After such a claim a worker waits so long for the next news before it asks what is due; no longer is a timer late."""

PAUSES = 8
"""A look at the whole queue is followed by so many times its own duration in which only known lanes are looked at."""


class Claims:
    """The claims of one session.

    A look at the whole queue finds every lane, and reads whatever is at the head of each: also what was claimed long
    ago, where a snapshot that somebody keeps open does not let it be removed. So it takes a part of the time only, and
    between two of them lanes are looked at behind what was claimed there last.

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
        self._lanes = Lanes()
        self._whole_claim, self._whole_due = _Whole(clock), _Whole(clock)

    def name(self, run_id: UUID) -> None:
        """This run has something to do."""
        self._named.add(run_id)
        if len(self._named) > MOST_NAMED:
            self.look()

    def look(self) -> None:
        """Any run may have something to do."""
        self._anything = True
        # Who was named is found by a look at the whole queue; behind the last claims of known lanes perhaps not.
        if len(self._named) > MOST_NAMED or not (self._lanes and self._whole_claim.pauses_s()):
            self._named.clear()

    async def take(self, connection: Connection, limit: int, room_bytes: int, *, alone: bool) -> list[Record]:
        """Claim runs.

        Args:
            connection: one that claims without waiting for the disk.
            limit: how many at most.
            room_bytes: how large their journals may be together.
            alone: one is taken whatever its size.
        """
        if self._anything or not self._nothing_left or len(self._named) > limit:
            asked = self._session_id, self._clock.now(), limit, room_bytes, alone
            if self._lanes and self._whole_claim.pauses_s():
                self._nothing_left = False
                claimed = await connection.fetch(store.CLAIM_BEHIND, *asked, *self._lanes.places(), limit)
                self._lanes.claimed(claimed)
                if claimed or not self._named:
                    return claimed
            else:
                self._anything = False
                self._named.clear()
                with self._whole_claim:
                    claimed = await connection.fetch(store.CLAIM, *asked)
                self._lanes.claimed(claimed)
                self._nothing_left = len(claimed) <= FEW < limit
                return claimed
        return await self._take_named(connection, limit, room_bytes)

    async def _take_named(self, connection: Connection, limit: int, room_bytes: int) -> list[Record]:
        named = list(self._named)[:limit]
        self._named.difference_update(named)
        if not named:
            return []
        each_bytes = room_bytes // len(named)
        claimed = await connection.fetch(store.CLAIM_NAMED, self._session_id, named, self._clock.now(), each_bytes)
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
        """When to look for the next run that nobody has; none where there is none."""
        if self._named and self._whole_claim.pauses_s() and self._lanes:
            return self._clock.now()
        pause_s = self._whole_due.pauses_s()
        if pause_s and self._lanes:
            found = await connection.fetchval(store.NEXT_DUE_BEHIND, *self._lanes.places())
            whole_at = self._clock.now() + timedelta(seconds=pause_s)
            self._due_at, self._nothing_left = whole_at if found is None else min(found, whole_at), False
            return self._due_at
        with self._whole_due:
            found = await connection.fetchval(store.NEXT_DUE)
        now, self._due_at = self._clock.now(), found
        self._nothing_left = found is None or found > now
        if self._lanes and not self._nothing_left:
            self._due_at = now + timedelta(seconds=self._whole_claim.pauses_s())
        return self._due_at


class _Whole:
    """A look at the whole queue, as a block: how long it took, and so how long there is none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_s = self._again_s = float("-inf")

    def __enter__(self) -> None:
        self._began_s = self._clock.monotonic_s()

    def __exit__(self, *_: object) -> None:
        now_s = self._clock.monotonic_s()
        self._again_s = now_s + PAUSES * (now_s - self._began_s)

    def pauses_s(self) -> float:
        """How long there is still none."""
        return max(self._again_s - self._clock.monotonic_s(), 0.0)
