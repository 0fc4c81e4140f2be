"""The pass of the leader: finish what was begun, plan a batch, archive it, drop it; then drop months that are empty."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from signoff.core.clock import Clock
from signoff.core.errors import SignoffError
from signoff.core.ids import uuid7
from signoff.foundation.database import Connection, Database, DatabaseError
from signoff.runtime.partitions import prepare_partitions
from signoff.runtime.retention import archive, store
from signoff.runtime.retention.model import (
    Batch,
    Due,
    ProjectRetention,
    RetentionReport,
    RetentionSettings,
)

COUNTED_RUNS = 10_000
OPEN_BATCHES = 100

Policies = Callable[[], Awaitable[Sequence[ProjectRetention]]]

_log = logging.getLogger(__name__)


class Retention:
    """Keeps the database from growing for ever. Any number of workers hold one; a lock lets one of them work.

    Args:
        policies: what the projects want today.
        settings: bounds of a pass.
    """

    def __init__(
        self, database: Database, policies: Policies, *, clock: Clock, settings: RetentionSettings | None = None
    ) -> None:
        self._database = database
        self._policies = policies
        self._clock = clock
        self._settings = settings or RetentionSettings()

    async def duty(self, _: Callable[[int], None]) -> None:
        """Work for ever, a pass each interval. A pass that fails is told and tried again; runs go on meanwhile."""
        while True:
            try:
                report = await self.run()
                if report.dropped_runs or report.dropped_months:
                    _log.info("retention: dropped %d runs, %s", report.dropped_runs, report.dropped_months)
            except (SignoffError, DatabaseError) as error:
                _log.warning("retention stopped and goes on later: %s", error)
            await self._clock.sleep(self._settings.interval_s)

    async def run(self) -> RetentionReport:
        """One pass. Where another process is at it, nothing.

        Raises:
            UnavailableError: the database or an archive cannot be reached; what was done stays done.
        """
        report = RetentionReport()
        async for _ in self.steps(report):
            await asyncio.sleep(0)  # runs of this worker come first
        return report

    async def due(self) -> RetentionReport:
        """What a pass would find, without doing anything."""
        report = RetentionReport()
        async with self._database.worker_connection() as connection:
            for wanted in await self._policies():
                for status, kept_s in wanted.policy.by_status():
                    before = self._clock.now() - timedelta(seconds=kept_s)
                    place = (wanted.org_id, status, _bound(before), before, list(wanted.releases), COUNTED_RUNS)
                    count = await connection.fetchval(store.COUNT_DUE, *place)
                    report.due.append(Due(wanted.project, status, count, before, wanted.policy.archive))
        return report

    async def steps(self, report: RetentionReport) -> AsyncGenerator[str]:
        """The pass, step by step: after any of them the process may end, and the next pass goes on from there."""
        async with self._database.worker_connection() as connection:
            if not await connection.fetchval(store.LEAD):
                report.leader = False
                return
            try:
                report.made_months += await prepare_partitions(connection, self._settings.months_ahead)
                for batch in await store.open_batches(connection, OPEN_BATCHES):
                    async for step in self._finish(connection, batch, report):
                        yield step
                left = self._settings.pass_batches
                for wanted in await self._policies():
                    for status, kept_s in wanted.policy.by_status():
                        while left > 0 and (batch := await self._plan(connection, wanted, status, kept_s)):
                            left -= 1
                            yield "planned"
                            async for step in self._finish(connection, batch, report):
                                yield step
                await self._drop_months(connection, report)
            finally:
                if not connection.is_closed():
                    await connection.execute(store.FOLLOW)

    async def _plan(self, connection: Connection, wanted: ProjectRetention, status: str, kept_s: float) -> Batch | None:
        now = self._clock.now()
        before = now - timedelta(seconds=kept_s)
        place = (wanted.org_id, status, before, list(wanted.releases))
        rows = await store.due(connection, bound=_bound(before), wanted=place, limit=self._settings.batch_runs)
        chosen: list[UUID] = []
        events = 0
        for row in rows:
            events += row["events"]
            if chosen and events > self._settings.batch_events:
                break
            chosen.append(row["run_id"])
        if not chosen:
            return None
        batch_id = uuid7(time_ms=int(now.timestamp() * 1000))
        batch = Batch(wanted.org_id, batch_id, "planned", tuple(chosen), before, wanted.policy.archive)
        await store.plan(connection, batch, now)
        return batch

    async def _finish(self, connection: Connection, batch: Batch, report: RetentionReport) -> AsyncGenerator[str]:
        if batch.archive is not None and batch.status == "planned":
            found = await asyncio.to_thread(archive.found_whole, batch)
            if found is None:
                async for step in archive.write(connection, batch):
                    if isinstance(step, str):
                        yield step
                    else:
                        found = step
            assert found is not None
            place = (str(found.path), found.digest, found.size_bytes, found.events)
            await connection.execute(store.ARCHIVED, batch.org_id, batch.batch_id, *place)
            report.archived_runs += found.runs
            yield "archived"
        dropped = await connection.fetchval(store.RETIRE, batch.org_id, batch.batch_id, self._clock.now())
        report.dropped_runs += dropped
        yield "dropped"

    async def _drop_months(self, connection: Connection, report: RetentionReport) -> None:
        for row in await connection.fetch(store.MONTHS_OVER):
            try:
                if await connection.fetchval(store.DROP_MONTH, row["month"]):
                    report.dropped_months.append(f"{row['month']:%Y-%m}")
            except DatabaseError as error:
                # Its locks were not to be had without making appends wait: the next pass tries again.
                _log.info("the journal of %s stays for now: %s", row["month"], error)


def _bound(moment: datetime) -> UUID:
    """Ids of runs that started before that moment are less than this."""
    return UUID(int=max(0, int(moment.timestamp() * 1000) + 1) << 80)
