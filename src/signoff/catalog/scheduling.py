"""Schedules at work in one environment: releases come into force, times are run as policy allows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from signoff.catalog.authority import PolicyBook
from signoff.catalog.releases import ReleaseCatalog, environment_release
from signoff.catalog.starts import StartOptions, start_workflow
from signoff.core.clock import Clock
from signoff.core.errors import SignoffError, UnavailableError
from signoff.foundation.database import Connection, Database
from signoff.runtime.client import RunStarted
from signoff.runtime.starting import Fired, Schedule, SchedulePlace, apply_queues, apply_schedules, fire_due, store

APPLIED = 20  # releases that come into force in one round
LONGEST_PAUSE_S = 1.0
SHORTEST_PAUSE_S = 0.01

_log = logging.getLogger(__name__)


class ScheduleStarter:
    """Starts the runs of schedules, as the schedule's own actor, in the release that is current then."""

    def __init__(self, database: Database, releases: ReleaseCatalog, policies: PolicyBook) -> None:
        self._database = database
        self._releases = releases
        self._policies = policies

    async def prepare(self, place: SchedulePlace) -> None:
        """Load the release and its policies, so that the transaction of a start waits for neither."""
        try:
            async with self._database.transaction(place.org_id) as connection:
                digest = await environment_release(connection, place.org_id, place.project, place.environment)
            release = await self._releases.load(place.org_id, digest)
            await self._policies.authority(place.org_id, release, today=digest)
        except UnavailableError:
            raise
        except SignoffError as error:
            _log.warning("schedule %s/%s: %s", place.project, place.name, error.detail)  # the start tells it again

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
        """Start the run of a time, or find it.

        Raises:
            SignoffError: nothing is deployed, policy denies, or the input does not fit.
        """
        jitter = place.jitter(nominal_at, schedule.jitter_s)
        return await start_workflow(
            connection,
            self._releases,
            self._policies,
            schedule.actor(place.org_id),
            project=place.project,
            workflow=schedule.workflow,
            value=schedule.input_at(nominal_at),
            now=now,
            idempotency_key=key or place.key(nominal_at),
            priority=schedule.priority,
            options=StartOptions(
                start_at=nominal_at + jitter if jitter else None,
                team=schedule.team,
                queue=schedule.queue,
                queue_key=schedule.queue_key,
            ),
        )


class Scheduler:
    """A worker's duty: whatever is due in its environment, exactly once over all workers."""

    def __init__(self, database: Database, releases: ReleaseCatalog, policies: PolicyBook, clock: Clock) -> None:
        self._database = database
        self._releases = releases
        self._environment = policies.environment
        self._clock = clock
        self._starter = ScheduleStarter(database, releases, policies)
        self._unusable: set[tuple[str, str]] = set()
        self._applied_up_to: tuple[UUID, str] | None = None

    async def run(self, started: Callable[[int], None]) -> None:
        """Work until cancelled; tells how many runs it started.

        Raises:
            UnavailableError: the database went away.
        """
        while True:
            fired = await self.look()
            if fired.started:
                started(fired.started)
            async with self._database.worker_connection() as connection:
                next_at = await connection.fetchval(store.NEXT_SCHEDULE, self._environment)
            due_s = LONGEST_PAUSE_S if next_at is None else (next_at - self._clock.now()).total_seconds()
            shortest_s = LONGEST_PAUSE_S if fired.broken else SHORTEST_PAUSE_S
            await asyncio.sleep(min(LONGEST_PAUSE_S, max(shortest_s, due_s)))

    async def look(self) -> Fired:
        """Put new releases in force, and start what is due now."""
        await self.apply()
        return await fire_due(self._database, self._environment, self._starter, now=self._clock.now())

    async def apply(self) -> None:
        """Put the queues and schedules of releases in force that the environment points at by now."""
        async with self._database.worker_connection() as connection:
            after = self._applied_up_to or (None, None)
            rows = await connection.fetch(store.TO_APPLY, self._environment, APPLIED, *after)
        self._applied_up_to = (rows[-1]["org_id"], rows[-1]["project"]) if len(rows) == APPLIED else None
        for row in rows:
            org_id, project = row["org_id"], row["project"]
            async with self._database.transaction(org_id) as connection:
                digest = await environment_release(connection, org_id, project, self._environment)
            try:
                release = await self._releases.load(org_id, digest)
            except UnavailableError:
                raise
            except SignoffError as error:
                if (project, digest) not in self._unusable:
                    self._unusable.add((project, digest))
                    _log.error("schedules of %s stay as they were: %s", project, error.detail)
                continue
            now = self._clock.now()
            async with self._database.worker_transaction() as connection:
                current = await connection.fetchval(store.RELEASE_TO_APPLY, org_id, project, self._environment)
                if current != digest:
                    continue  # deployed again in between: the next round has it
                place = (org_id, self._environment, project)
                if await connection.fetchval(store.MARK_APPLIED, org_id, project, self._environment, digest) is None:
                    continue  # another worker was first
                await apply_queues(connection, *place, release.project.queues.values(), now=now)
                await apply_schedules(connection, *place, release.project.schedules.values(), now=now)
