"""The pass of the leader: finish what was begun, plan a batch, archive it, drop it; then drop months that are empty."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from signoff.core.clock import Clock
from signoff.core.errors import SignoffError
from signoff.core.ids import uuid7
from signoff.foundation.database import Connection, Database, DatabaseError
from signoff.runtime.partitions import prepare_partitions
from signoff.runtime.retention import archive, store
from signoff.runtime.retention.files import Files
from signoff.runtime.retention.model import (
    Batch,
    Due,
    ProjectRetention,
    RetentionReport,
    Trouble,
)
from signoff.runtime.retention.settings import RetentionSettings

COUNTED_RUNS = 10_000
OPEN_BATCHES = 100
PROBLEM_CHARACTERS = 500  # what is kept of an error's text

Policies = Callable[[], Awaitable[Sequence[ProjectRetention]]]

_log = logging.getLogger(__name__)


class Retention:
    """Keeps the database from growing for ever. Any number of workers hold one; a lock lets one of them work.

    Args:
        policies: what the projects want today.
        archives: the directory that all archives are below.
        settings: bounds of a pass.
    """

    def __init__(
        self,
        database: Database,
        policies: Policies,
        *,
        clock: Clock,
        archives: Path,
        settings: RetentionSettings | None = None,
    ) -> None:
        self._database = database
        self._policies = policies
        self._archives = archives
        self._clock = clock
        self._settings = settings or RetentionSettings()
        self._files = Files(self._settings.file_s)

    async def duty(self, _: Callable[[int], None]) -> None:
        """Work for ever, a pass each interval. A pass that fails is told and tried again; runs go on meanwhile."""
        while True:
            try:
                report = await self.run()
                if report.dropped_runs or report.dropped_months:
                    months = ", ".join(report.dropped_months) or "no month"
                    _log.info("retention dropped %d runs and, of the journal, %s", report.dropped_runs, months)
            except (SignoffError, DatabaseError) as error:
                _log.warning("retention stopped and goes on later: %s", error)
            await self._clock.sleep(self._settings.interval_s)

    async def run(self, *, retry_all: bool = False) -> RetentionReport:
        """One pass. Where another process is at it, nothing. What cannot be finished is told in the report.

        Args:
            retry_all: try what failed again now, rather than when its time comes.

        Raises:
            UnavailableError: the database cannot be reached; what was done stays done.
        """
        report = RetentionReport()
        async for _ in self.steps(report, retry_all=retry_all):
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
                    archive = None if wanted.policy.archive is None else self._archives / wanted.policy.archive
                    report.due.append(Due(wanted.project, status, count, before, archive))
        return report

    async def steps(self, report: RetentionReport, *, retry_all: bool = False) -> AsyncGenerator[str]:
        """The pass, step by step: after any of them the process may end, and the next pass goes on from there."""
        async with self._database.worker_connection(resets=True) as connection:
            if not await connection.fetchval(store.LEAD):
                report.leader = False
                return
            try:
                report.made_months += await prepare_partitions(connection, self._settings.months_ahead)
                wanted = await self._policies()
                until = None if retry_all else self._clock.now()
                for batch in await store.open_batches(connection, until, OPEN_BATCHES):
                    async for step in self._finish(connection, await _moved(connection, batch, wanted), report):
                        yield step
                busy = {(row["org_id"], row["project"]) for row in await connection.fetch(store.UNFINISHED)}
                left = self._settings.pass_batches
                for one in wanted:
                    if not busy & {(one.org_id, one.project), (one.org_id, None)}:
                        async for step in self._begin(connection, one, report, left):
                            left -= step == "planned"
                            yield step
                await self._drop_months(connection, report)
            finally:
                if not connection.is_closed():
                    await connection.execute(store.FOLLOW)

    async def _begin(
        self, connection: Connection, wanted: ProjectRetention, report: RetentionReport, left: int
    ) -> AsyncGenerator[str]:
        """Batches of what is due of a project, until one of them fails."""
        troubles = len(report.troubles)
        for status, kept_s in wanted.policy.by_status():
            while left > 0:
                try:
                    batch = await self._plan(connection, wanted, status, kept_s)
                except DatabaseError as error:
                    if connection.is_closed():
                        raise
                    _log.error("retention of project %s is planned later: %s", wanted.project, error)
                    return
                if batch is None:
                    break
                left -= 1
                yield "planned"
                async for step in self._finish(connection, batch, report):
                    yield step
                if len(report.troubles) > troubles:
                    return

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
        owner = (wanted.org_id, wanted.project, uuid7(time_ms=int(now.timestamp() * 1000)))
        batch = Batch(*owner, "planned", tuple(chosen), before, wanted.policy.archive)
        await store.plan(connection, batch, now)
        return batch

    async def _finish(self, connection: Connection, batch: Batch, report: RetentionReport) -> AsyncGenerator[str]:
        """Archive and drop a batch. What goes wrong with it holds up no other: it is told, and tried again later."""
        try:
            async for step in self._archive_and_drop(connection, batch, report):
                yield step
        except (SignoffError, DatabaseError, OSError, ValueError) as error:
            if connection.is_closed():
                raise
            pause_s = min(self._settings.interval_s * 2.0 ** min(batch.failures, 30), self._settings.longest_retry_s)
            detail, retry_at = str(error)[:PROBLEM_CHARACTERS], self._clock.now() + timedelta(seconds=pause_s)
            _log.error("retention of project %s waits until %s: %s", batch.project, retry_at, detail)
            await connection.execute(store.FAILED, batch.org_id, batch.batch_id, detail, retry_at)
            report.troubles.append(Trouble(batch.org_id, batch.project, batch.batch_id, detail, retry_at))
            yield "failed"

    async def _archive_and_drop(
        self, connection: Connection, batch: Batch, report: RetentionReport
    ) -> AsyncGenerator[str]:
        if batch.archive is not None and batch.status == "planned":
            place = str(batch.archive)
            found = await self._files.do(place, archive.found_whole, self._archives, batch)
            if found is None:
                async for step in archive.write(connection, self._files, self._archives, batch):
                    if isinstance(step, str):
                        yield step
                    else:
                        found = step
            assert found is not None
            told = (str(found.path), found.digest, found.size_bytes, found.events)
            await connection.execute(store.ARCHIVED, batch.org_id, batch.batch_id, *told)
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


async def _moved(connection: Connection, batch: Batch, all_wanted: Sequence[ProjectRetention]) -> Batch:
    """The batch with the archive that its project names today, where the one of then could not be written."""
    if batch.failures == 0 or batch.status != "planned" or batch.archive is None:
        return batch
    for wanted in all_wanted:
        archive = wanted.policy.archive
        if (wanted.org_id, wanted.project) == (batch.org_id, batch.project) and archive not in {None, batch.archive}:
            await connection.execute(store.MOVE, batch.org_id, batch.batch_id, str(archive))
            return replace(batch, archive=archive)
    return batch


def _bound(moment: datetime) -> UUID:
    """Ids of runs that started before that moment are less than this."""
    return UUID(int=max(0, int(moment.timestamp() * 1000) + 1) << 80)
