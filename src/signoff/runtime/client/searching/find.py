"""Find runs by a filter: for lists, and for whatever is done to many runs at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from signoff.foundation.database import Connection
from signoff.runtime.client.model import RunSummary
from signoff.runtime.client.reads import summary_of
from signoff.runtime.client.searching import store
from signoff.runtime.client.searching.grammar import Condition, Operator, RunFilter
from signoff.runtime.settings import StartLimits

EVERY_RUN = RunFilter()
PAGE_RUNS = 500


async def find_runs(
    connection: Connection, org_id: UUID, wanted: RunFilter, *, before: UUID | None = None, limit: int = 50
) -> list[RunSummary]:
    """Runs that match, newest first, after the cursor `before` (the last run id of the page before).

    Call it within a transaction: it sets how that plans its queries.
    """
    before, since, rest = _bounds(wanted, before)
    rows = await store.find(connection, org_id, rest, before=before, since=since, limit=limit)
    return [summary_of(row) for row in rows]


async def each_run(connection: Connection, org_id: UUID, wanted: RunFilter, *, most: int) -> AsyncIterator[RunSummary]:
    """At most that many runs that match, newest first, read a page at a time."""
    before: UUID | None = None
    while most > 0:
        page = await find_runs(connection, org_id, wanted, before=before, limit=min(most, PAGE_RUNS))
        for run in page:
            yield run
        most -= len(page)
        if len(page) < PAGE_RUNS:
            return
        before = page[-1].run_id


async def list_runs(
    connection: Connection,
    org_id: UUID,
    *,
    status: str | None = None,
    workflow: str | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[RunSummary]:
    """Runs of one status or workflow, newest first, after the cursor `before`."""
    return await find_runs(
        connection, org_id, with_equal(EVERY_RUN, status=status, workflow=workflow), before=before, limit=limit
    )


def with_equal(wanted: RunFilter, **fields: str | None) -> RunFilter:
    """The filter, and each field given besides."""
    further = (Condition(name, "=", (value,)) for name, value in fields.items() if value is not None)
    return replace(wanted, conditions=(*wanted.conditions, *further))


_DEBOUNCED_MS = int(StartLimits().max_wait_s * 1000)
_SINCE: tuple[Operator, ...] = (">", ">=")


def _bounds(wanted: RunFilter, before: UUID | None) -> tuple[UUID | None, UUID | None, RunFilter]:
    """Bounds of run ids that follow from when runs started; the exact comparison stays among the conditions.

    Ids are made from the start's time, so a range of times is a range of every index that ends with the id. A debounced
    run has its id from the first start of its key, and begins later by as much as that may wait.
    """
    since: UUID | None = None
    for condition in wanted.conditions:
        if condition.field != "started" or not isinstance(condition.value, datetime):
            continue
        bound = store.first_id_of(condition.value)
        if condition.operator in _SINCE:
            bound = UUID(int=max(0, bound.int - (_DEBOUNCED_MS << 80)))
            since = bound if since is None else max(since, bound)
        else:
            end = UUID(int=bound.int + (1 << 80))  # the millisecond itself belongs to it
            before = end if before is None else min(before, end)
    return before, since, wanted
