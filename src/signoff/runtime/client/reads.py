"""Read runs and journals. What a run's state is comes from its journal; lists come from projections."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import orjson

from signoff.core.errors import NotFoundError
from signoff.foundation.database import Connection, Record
from signoff.runtime.client import store
from signoff.runtime.client.model import JournalEvent, RunSummary
from signoff.runtime.codec import CodecError
from signoff.runtime.events import Event, decode, require_next, unreadable
from signoff.runtime.state import RunState

JOURNAL_PAGE_EVENTS = 1000
JOURNAL_PAGE_BYTES = 4 * 1024 * 1024
"""A page of a journal ends with the event that takes it past this."""


async def read_run(connection: Connection, org_id: UUID, run_id: UUID) -> RunSummary:
    """One run.

    Raises:
        NotFoundError: no such run in that organisation.
    """
    row = await connection.fetchrow(store.READ, org_id, run_id)
    if row is None and await connection.fetchrow(store.DEBOUNCED, org_id, run_id) is not None:
        detail = f"run {run_id} has not begun: its start waits until its key is quiet; its explanation says how long"
        raise NotFoundError(detail)
    if row is None:
        raise NotFoundError(f"there is no run {run_id}")
    return summary_of(row)


async def read_journal(
    connection: Connection, org_id: UUID, run_id: UUID, *, after: int = 0, limit: int = JOURNAL_PAGE_EVENTS
) -> list[JournalEvent]:
    """Events of a run in order, after the place `after`; fewer where they are large. None are left where none came.

    Raises:
        NotFoundError: no such run in that organisation.
        CodecError: an event cannot be read here.
    """
    rows = await connection.fetch(store.JOURNAL, org_id, run_id, after, limit, JOURNAL_PAGE_BYTES)
    if not rows and after == 0:
        raise NotFoundError(f"there is no run {run_id}")
    events: list[JournalEvent] = []
    for row in rows:
        try:
            events.append(JournalEvent(row["seq"], row["kind"], row["recorded_at"], decode(row["data"])))
        except CodecError as error:
            raise unreadable(row["seq"], error) from error
    return events


async def read_state(connection: Connection, org_id: UUID, run_id: UUID) -> RunState:
    """The state of a run as its journal describes it now.

    Raises:
        NotFoundError: no such run in that organisation.
        CodecError: an event cannot be read here, or one is missing.
    """
    state = RunState()
    page = await read_journal(connection, org_id, run_id)
    while page:
        for entry in page:
            require_next(entry.seq, state.last_seq)
            state.apply(Event(entry.seq, entry.kind, entry.recorded_at, entry.data))
        page = await read_journal(connection, org_id, run_id, after=page[-1].seq)
    return state


def summary_of(row: Record) -> RunSummary:
    """A row of `store.SUMMARY`."""
    return RunSummary(
        run_id=row["run_id"],
        workflow=row["workflow"],
        version=row["workflow_version"],
        release=row["release"],
        status=row["status"],
        outcome=row["outcome"],
        waiting_for=tuple(orjson.loads(row["waiting_for"])),
        error=orjson.loads(row["error"]) if row["error"] is not None else None,
        usage=orjson.loads(row["usage"]),
        started_by=row["started_by"],
        started_at=row["started_at"],
        updated_at=row["updated_at"],
        ended_at=row["ended_at"],
    )


MOST_COUNTED = 100_000
"""A backlog is counted no further."""


async def queue_depth(connection: Connection, org_id: UUID, *, now: datetime) -> tuple[int, int]:
    """How many runs of an organisation wait for a worker, and how many workers hold, each up to `MOST_COUNTED`."""
    row = await connection.fetchrow(store.QUEUE_DEPTH, org_id, now, MOST_COUNTED)
    assert row is not None
    return row["waiting"], row["working"]
