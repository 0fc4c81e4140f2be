"""Back-pressure: how many runs may wait. Counted at most once a second per organisation, not for each start."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from signoff.core.errors import LimitError
from signoff.foundation.database import Connection
from signoff.runtime.queues import QueuePlace
from signoff.runtime.starting import store

FRESH_S = 1.0
"""For how long a count is taken as known; starts of this process are added to it meanwhile."""
RETRY_AFTER_S = 5
MOST_COUNTS = 1024
"""How many organisations and queues are remembered."""


class BacklogError(LimitError):
    """Too many runs wait already; later there is room again."""

    code = "backlog"
    title = "Too many runs wait"


@dataclass(slots=True)
class _Count:
    counted_at: datetime
    runs: int


class Backlog:
    """What one server knows of the backlog. Other servers' starts are seen with the next count.

    Args:
        max_queued_runs: of one organisation, due and not executed by any worker.
    """

    def __init__(self, max_queued_runs: int) -> None:
        self._max_queued_runs = max_queued_runs
        self._counts: OrderedDict[tuple[UUID, str], _Count] = OrderedDict()

    async def require_room(
        self, connection: Connection, org_id: UUID, place: QueuePlace | None, *, now: datetime
    ) -> None:
        """Return only where one more run may wait.

        Raises:
            BacklogError: it may not; says when to try again.
        """
        count = await self._count(connection, org_id, "", self._max_queued_runs, now)
        if count.runs >= self._max_queued_runs:
            raise _full(f"{self._max_queued_runs} runs wait already")
        if place is not None:
            most = place.queue.max_queued
            queued = await self._count(connection, org_id, place.path, most, now)
            if queued.runs >= most:
                raise _full(f"{most} runs wait in queue '{place.queue.name}' already")
            queued.runs += 1
        count.runs += 1

    async def _count(self, connection: Connection, org_id: UUID, queue: str, most: int, now: datetime) -> _Count:
        known = self._counts.get((org_id, queue))
        if known is not None and abs((now - known.counted_at).total_seconds()) < FRESH_S:
            return known
        if queue:
            runs = await connection.fetchval(store.COUNT_QUEUE, org_id, queue, most)
        else:
            runs = await connection.fetchval(store.COUNT_WAITING, org_id, now, most)
        found = self._counts[org_id, queue] = _Count(now, runs)
        self._counts.move_to_end((org_id, queue))
        while len(self._counts) > MOST_COUNTS:
            self._counts.popitem(last=False)
        return found


def _full(detail: str) -> BacklogError:
    return BacklogError(f"{detail}. Try again in {RETRY_AFTER_S} seconds.", retry_after_s=RETRY_AFTER_S)
