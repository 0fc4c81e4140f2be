"""The journal's partitions: one per month of runs' starts, made ahead, with an alarm when the next one is missing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from signoff.core.errors import UnavailableError
from signoff.foundation.database import Connection, DatabaseError
from signoff.runtime.partitions import store

MONTHS_AHEAD = 3
"""Months beyond this one whose partitions are kept ready."""

_CHECK_VIOLATION = "23514"

_log = logging.getLogger(__name__)


class MissingPartitionError(UnavailableError):
    """The journal has no partition for a run's id: a clock is months off, or nobody has made the coming months."""

    code = "journal-partition"
    title = "The journal has no place for it"


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which months have a partition.

    Attributes:
        first: the first month of its own; runs from before share one partition.
        last: the last one.
        months_ahead: how many months after the current one there are; below 1 the next change of month stops starts.
    """

    first: date
    last: date
    months_ahead: int


async def prepare_partitions(connection: Connection, ahead: int = MONTHS_AHEAD) -> Sequence[str]:
    """Make the partitions of this month and the coming ones, where they are missing; gives the names of the new ones.

    Where that fails and the next month is missing, it is logged as an error each time.
    """
    try:
        return [row["name"] for row in await connection.fetch(store.PREPARE_JOURNAL, ahead)]
    except DatabaseError as error:
        found = await covered(connection)
        level = logging.ERROR if found.months_ahead < 1 else logging.WARNING
        _log.log(level, "the journal's partitions end with %s and no further one can be made: %s", found.last, error)
        return []


async def covered(connection: Connection) -> Coverage:
    """The months that have a partition, by the server's clock."""
    row = await connection.fetchrow(store.JOURNAL_MONTHS)
    assert row is not None
    return Coverage(row["first"], row["last"], row["ahead"])


def missing_partition(error: Exception, run_id: UUID) -> MissingPartitionError | None:
    """The problem behind an insert that found no partition; none where the error is another."""
    if getattr(error, "sqlstate", None) != _CHECK_VIOLATION or "no partition" not in str(error):
        return None
    moment = datetime.fromtimestamp((run_id.int >> 80) / 1000, UTC)
    detail = (
        f"The journal has no partition for runs of {moment:%Y-%m}. Either the clock here is wrong, or no worker has"
        " made the coming months' partitions: start one, or run 'signoff retention run'."
    )
    return MissingPartitionError(detail, month=f"{moment:%Y-%m}")
