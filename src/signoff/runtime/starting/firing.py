"""Schedules fire: each nominal time once, over any number of workers.

Three things make it so, each enough by itself: the row is locked while it is looked at, it moves on only from the time
that was looked at, and the start's idempotency key is the schedule and the nominal time. All of it is one transaction.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import orjson

from signoff.core.errors import ConflictError, NotFoundError, SignoffError, UnavailableError
from signoff.foundation.database import Connection, Database
from signoff.runtime.client import RunStarted, cancel_run
from signoff.runtime.starting import store
from signoff.runtime.starting.schedules import Schedule, SchedulePlace, due_times

BATCH = 50  # schedules looked at in one round
MOST_WAITING = 100  # times of one schedule that wait for their turn; further ones are skipped
KEPT_FIRINGS = 200  # of each schedule, for people to look at

Cause = Literal["time", "catch_up", "backfill", "trigger"]

_log = logging.getLogger(__name__)


class Starter(Protocol):
    """Starts the runs of schedules, as policy and the workflow's input schema allow."""

    async def prepare(self, place: SchedulePlace) -> None:
        """Load what a start needs, before a transaction is open. What is wrong is told by `start`."""
        ...

    async def start(
        self,
        connection: Connection,
        place: SchedulePlace,
        schedule: Schedule,
        nominal_at: datetime,
        *,
        now: datetime,
        key: str | None = None,
    ) -> RunStarted:
        """Start the run of a time, or find it; by that idempotency key, if not by the time's.

        Raises:
            SignoffError: it may not, or cannot, be started.
        """
        ...


@dataclass(frozen=True, slots=True)
class Fired:
    """What a look at schedules came to.

    Attributes:
        started: runs that were started.
        broken: schedules that an error of ours kept from being looked at: they are looked at again.
    """

    started: int
    broken: int


async def fire_due(database: Database, environment: str, starter: Starter, *, now: datetime) -> Fired:
    """Start what is due in an environment.

    Raises:
        UnavailableError: the database went away; what was not committed is fired later.
    """
    async with database.worker_connection() as connection:
        rows = list(await connection.fetch(store.TO_GO_ON, environment, BATCH))
    started = broken = 0
    looked: set[tuple[UUID, str, str]] = set()
    after: tuple[datetime | UUID | str | None, ...] = (None, None, None, None)
    while True:
        async with database.worker_connection() as connection:
            due = await connection.fetch(store.DUE_SCHEDULES, environment, now, BATCH, *after)
        for org_id, project, name in dict.fromkeys(
            (row["org_id"], row["project"], row["name"]) for row in (*rows, *due)
        ):
            if (org_id, project, name) in looked:
                continue
            looked.add((org_id, project, name))
            place = SchedulePlace(org_id, environment, project, name)
            try:
                started += await _look_at(database, place, starter, now)
            except UnavailableError:
                raise
            except Exception:  # noqa: BLE001  (whatever it is, it concerns this schedule alone)
                broken += 1
                _log.exception("schedule %s/%s could not be looked at; it is looked at again", project, name)
        if len(due) < BATCH:
            return Fired(started, broken)
        rows, last = [], due[-1]
        after = (last["next_at"], last["org_id"], last["project"], last["name"])


async def _look_at(database: Database, place: SchedulePlace, starter: Starter, now: datetime) -> int:
    await starter.prepare(place)
    async with database.worker_transaction() as connection:
        key = (place.org_id, place.environment, place.project, place.name)
        row = await connection.fetchrow(store.LOCK_SCHEDULE, *key)
        if row is None:
            return 0
        schedule = Schedule.from_dict(orjson.loads(row["spec"]))
        turn = Turn(connection, place, schedule, starter, now, row["last_run_id"])
        started = await turn.go_on()
        if row["next_at"] is not None and row["next_at"] <= now:
            started += await turn.fire_until_now(row["next_at"])
        return started


@dataclass(slots=True)
class Turn:
    """One schedule, locked, in one transaction."""

    connection: Connection
    place: SchedulePlace
    schedule: Schedule
    starter: Starter
    now: datetime
    last_run_id: UUID | None

    async def fire_until_now(self, next_at: datetime) -> int:
        """Run what is due by the policies for downtime and overlap, and move on."""
        due = due_times(self.schedule, next_at, self.now)
        started = 0
        for nominal_at in due.fire:
            late = nominal_at is not due.fire[-1]
            started += await self.fire(nominal_at, "catch_up" if late else "time")
        if due.missed is not None:
            await self._record(
                due.missed, "time", "missed", detail="times up to this one passed unseen and are not run"
            )
        moved = await self.connection.fetchval(store.MOVE_ON, *self._key, next_at, due.next_at)
        if moved is None:
            raise ConflictError(f"schedule '{self.place.name}' was moved on by somebody else")
        await self.connection.execute(store.FORGET_FIRINGS, *self._key, KEPT_FIRINGS)
        return started

    async def go_on(self) -> int:
        """Start the first of the times that wait, where the run before it has ended."""
        rows = await self.connection.fetch(store.WAITING, *self._key, 1)
        if not rows or await self._active():
            return 0
        return await self._start(rows[0]["nominal_at"], rows[0]["cause"])

    async def fire(self, nominal_at: datetime, cause: Cause) -> int:
        """Run one time, as far as the run before it allows."""
        overlap = self.schedule.overlap
        if overlap == "allow" or (cause == "backfill" and overlap != "queue"):
            return await self._start(nominal_at, cause)
        waiting = await self.connection.fetch(store.WAITING, *self._key, MOST_WAITING) if overlap == "queue" else []
        if not waiting and not await self._active():
            return await self._start(nominal_at, cause)
        if overlap == "queue":
            full = len(waiting) >= MOST_WAITING
            detail = f"{MOST_WAITING} times wait already" if full else "the run before it has not ended"
            await self._record(nominal_at, cause, "skipped" if full else "waiting", detail=detail)
            return 0
        if overlap == "skip":
            await self._record(nominal_at, cause, "skipped", detail=f"run {self.last_run_id} has not ended")
            return 0
        await self._cancel_last(nominal_at)
        return await self._start(nominal_at, cause)

    async def _start(self, nominal_at: datetime, cause: Cause) -> int:
        try:
            async with self.connection.transaction():  # a savepoint: what is refused leaves nothing behind
                started = await self.starter.start(self.connection, self.place, self.schedule, nominal_at, now=self.now)
        except UnavailableError:
            raise
        except SignoffError as error:
            _log.error("schedule %s/%s could not start its run: %s", self.place.project, self.place.name, error.detail)
            await self._record(nominal_at, cause, "failed", detail=error.detail[:1000])
            return 0
        if started.created:  # an earlier run is not the one that the next must not overlap
            self.last_run_id = started.run_id
            await self.connection.execute(store.REMEMBER_RUN, *self._key, started.run_id)
        detail = "" if started.created else "it had been started before"
        await self._record(nominal_at, cause, "started", run_id=started.run_id, detail=detail)
        return int(started.created)

    async def _cancel_last(self, nominal_at: datetime) -> None:
        assert self.last_run_id is not None
        reason = f"the run of {nominal_at.isoformat()} takes its place"
        actor = self.schedule.actor(self.place.org_id)
        try:
            async with self.connection.transaction():
                await cancel_run(self.connection, actor=actor, run_id=self.last_run_id, reason=reason, now=self.now)
        except (ConflictError, NotFoundError):
            return  # it ended in between, or is gone

    async def _active(self) -> bool:
        return bool(await self.connection.fetchval(store.IS_ACTIVE, self.last_run_id))

    async def _record(
        self, nominal_at: datetime, cause: Cause, status: str, *, run_id: UUID | None = None, detail: str = ""
    ) -> None:
        await self.connection.execute(store.RECORD, *self._key, nominal_at, cause, status, self.now, run_id, detail)

    @property
    def _key(self) -> tuple[UUID, str, str, str]:
        return (self.place.org_id, self.place.environment, self.place.project, self.place.name)
