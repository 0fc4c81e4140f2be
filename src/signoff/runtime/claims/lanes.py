"""How far each lane of the queue has been claimed: organisation, team and priority, and the last run of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from signoff.foundation.database import Record
from signoff.runtime.store import written

MOST_LANES = 64
"""So many lanes are kept, those of which was claimed last; a look at the whole queue finds the others."""

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class Lanes:
    """What a worker knows of the lanes that it claims from. A lane is claimed in the order of due moments and ids."""

    def __init__(self) -> None:
        self._last: dict[tuple[UUID, str, int], tuple[datetime, UUID]] = {}

    def __len__(self) -> int:
        return len(self._last)

    def claimed(self, rows: Iterable[Record]) -> None:
        """These runs were claimed, of each lane the first that were free.

        A run may come free again behind this place: it is found by a look at the whole queue.
        """
        last = self._last
        found: dict[tuple[UUID, str, int], tuple[datetime, UUID]] = {}
        for row in rows:
            lane, place = (row["org_id"], row["team"], row["priority"]), (row["due_at"], row["run_id"])
            if lane not in found or found[lane] < place:
                found[lane] = place
        for lane, place in found.items():
            last.pop(lane, None)
            last[lane] = place
        while len(last) > MOST_LANES:
            del last[next(iter(last))]

    def places(self) -> tuple[str, list[str], str, str, str]:
        """The lanes and their places, as the statements take them."""
        lanes, last = self._last.keys(), self._last.values()
        return (
            written(org_id for org_id, _, _ in lanes),
            [team for _, team, _ in lanes],
            written(priority for _, _, priority in lanes),
            written((due_at - _EPOCH) // _MICROSECOND for due_at, _ in last),
            written(run_id for _, run_id in last),
        )
