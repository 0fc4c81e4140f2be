"""Runs of a schedule beside its times: one now, or those of a span of time again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from signoff.core.errors import ConflictError, InvalidError, LimitError, Problem
from signoff.foundation.database import Connection
from signoff.runtime.client import RunStarted
from signoff.runtime.starting import SchedulePlace, Starter, Turn, store
from signoff.runtime.starting.operating import read_schedule

MOST_BACKFILLED = 1000
"""The most times of one backfill."""


@dataclass(frozen=True, slots=True)
class Backfilled:
    """The nominal times of a span.

    Attributes:
        times: all of them, in order.
        before: those that were run before, and are not run again.
    """

    times: list[datetime]
    before: list[datetime]


async def trigger(
    connection: Connection, place: SchedulePlace, starter: Starter, *, now: datetime, key: str | None = None
) -> RunStarted:
    """Start its run now, whatever its times, its overlap and its pause say. The same key gives the same run.

    Raises:
        NotFoundError: there is no such schedule.
        SignoffError: the run may not, or cannot, be started.
    """
    state = await read_schedule(connection, place)
    at_once = replace(state.schedule, jitter_s=0.0)
    row = (place.org_id, place.environment, place.project, place.name)
    run_key = None if key is None else place.trigger_key(key)
    if run_key is not None:  # its input may have the time in it, so the second one is found rather than compared
        await connection.execute(store.HOLD_SCHEDULE, *row)
        found = await connection.fetchval(store.RUN_OF_KEY, place.org_id, run_key)
        if found is not None:
            return RunStarted(found, created=False)
    started = await starter.start(connection, place, at_once, now, now=now, key=run_key)
    await connection.execute(store.RECORD, *row, now, "trigger", "started", now, started.run_id, "")
    return started


async def backfill(
    connection: Connection,
    place: SchedulePlace,
    starter: Starter | None,
    *,
    first: datetime,
    last: datetime,
    now: datetime,
) -> Backfilled:
    """Run the times of a span that is over, but for those that were run before. Without a starter, only tell them.

    Under `overlap: queue` they wait for each other; otherwise all start at once, in their queue if they have one.

    Raises:
        NotFoundError: there is no such schedule.
        InvalidError: the span ends before it begins, or is not over.
        LimitError: it has more than `MOST_BACKFILLED` times.
        ConflictError: a worker is at the schedule just now.
    """
    if not first <= last <= now:
        detail = "A backfill goes from a time to a later one that is over."
        raise InvalidError(detail, problems=[Problem(detail, pointer="/to", code="wrong")])
    state = await read_schedule(connection, place)
    times = list(islice(state.schedule.timetable.between(first, last), MOST_BACKFILLED + 1))
    if len(times) > MOST_BACKFILLED:
        raise LimitError(f"That are more than {MOST_BACKFILLED} times; take a shorter span.")
    used = await connection.fetch(store.KEYS_USED, place.org_id, [place.key(nominal_at) for nominal_at in times])
    keys = {str(row["idempotency_key"]) for row in used}
    found = Backfilled(times, [nominal_at for nominal_at in times if place.key(nominal_at) in keys])
    if starter is None:
        return found
    key = (place.org_id, place.environment, place.project, place.name)
    row = await connection.fetchrow(store.LOCK_SCHEDULE, *key)
    if row is None:
        raise ConflictError("A worker is at the schedule just now; try again.")
    turn = Turn(connection, place, state.schedule, starter, now, row["last_run_id"])
    for nominal_at in times:
        if nominal_at not in found.before:
            await turn.fire(nominal_at, "backfill")
    return found
