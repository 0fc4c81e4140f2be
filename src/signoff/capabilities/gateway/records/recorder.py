"""Writes records of calls in batches, off the calls' way. What cannot wait any more is dropped, counted and told."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import orjson

from signoff.capabilities.gateway.asking import CallRecord
from signoff.capabilities.gateway.records import store
from signoff.capabilities.gateway.records.rows import DaySums, call_row, lost_row
from signoff.capabilities.gateway.records.settings import RecordSettings
from signoff.core.clock import Clock
from signoff.core.errors import UnavailableError
from signoff.core.ids import uuid7
from signoff.foundation.database import Connection, Database, DatabaseError

TELL_EVERY_S = 60.0
"""How often dropped records are told of in the log, in seconds."""

_log = logging.getLogger(__name__)


class CallRecorder:
    """Keeps the records of one process.

    Args:
        database: where they are kept.
        clock: for what is too old.
        settings: bounds.

    Attributes:
        dropped: records that were not kept, since the start.
    """

    def __init__(self, database: Database, clock: Clock, settings: RecordSettings | None = None) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings or RecordSettings()
        self._queue: deque[CallRecord] = deque()
        self._batch: Sequence[CallRecord] = ()
        """What is being written."""
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._told_s = -TELL_EVERY_S
        self._swept_s = -self._settings.sweep_s
        self.dropped = 0

    def record(self, record: CallRecord) -> None:
        """Keep it, unless too many wait already: a call never waits for its record."""
        if len(self._queue) >= self._settings.queue:
            self._drop(1)
            return
        self._queue.append(record)
        if len(self._queue) >= self._settings.batch:
            self._hurry.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def flush(self) -> None:
        """Return when all records so far are written or given up."""
        while self._task is not None and not self._task.done():
            self._hurry.set()
            await asyncio.shield(self._task)

    async def aclose(self) -> None:
        """Write what there is; what the database does not take in time is dropped."""
        try:
            async with asyncio.timeout(self._settings.close_s):
                await self.flush()
        except TimeoutError:
            if self._task is not None:
                self._task.cancel()
            self._drop(len(self._queue) + len(self._batch))
            self._queue.clear()
            self._batch = ()

    async def sweep(self) -> None:
        """Turn reservations whose lease is over into records, and delete what is too old, a bounded number of each.

        Raises:
            UnavailableError: the database is away.
        """
        now, rows = self._clock.now(), self._settings.sweep_rows
        async with self._database.worker_transaction() as connection:
            lost = await connection.fetch(store.LOST, now, rows)
            if lost:
                calls, sums = list[Mapping[str, Any]](), DaySums()
                for row in lost:
                    about = orjson.loads(row["about"])
                    calls.append(lost_row(row["org_id"], row["reservation_id"], row["expires_at"], about))
                    sums.add_lost(row["org_id"], row["expires_at"], about)
                await _write(connection, calls, sums)
                _log.warning("%s calls ended with their process: they count as spent in full", len(lost))
        oldest = uuid7(
            time_ms=int((now - timedelta(days=self._settings.keep_days)).timestamp() * 1000), random_bytes=bytes(10)
        )
        async with self._database.worker_connection() as connection:
            await connection.execute(store.FORGET_CALLS, oldest, rows)
            await connection.execute(
                store.FORGET_DAYS, (now - timedelta(days=self._settings.keep_cost_days)).date(), rows
            )

    async def _run(self) -> None:
        """Gather, write, and again, until nothing waits."""
        while self._queue:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.gather_s):
                    await self._hurry.wait()
            self._hurry.clear()
            self._batch = [self._queue.popleft() for _ in range(min(self._settings.batch, len(self._queue)))]
            try:
                await self._keep_once_there(self._batch)
            except Exception:  # noqa: BLE001  (whatever it is, calls go on without their records)
                await self._keep_each(self._batch)
            self._batch = ()
            await self._sweep_at_times()

    async def _keep_each(self, batch: Sequence[CallRecord]) -> None:
        """One by one: what cannot be written of one call must not take the records of others with it."""
        for place, record in enumerate(batch):
            self._batch = batch[place:]
            try:
                await self._keep_once_there([record])
            except Exception:  # noqa: BLE001  (likewise)
                self._drop(1)
                _log.exception("the record of call %s could not be written", record.id)

    async def _keep_once_there(self, batch: Sequence[CallRecord]) -> None:
        """Write them, however long the database is away meanwhile."""
        while True:
            try:
                return await self._keep(batch)
            except UnavailableError as error:
                # They may have been written all the same: they are tried again as they are, by which that is known.
                waiting = len(self._queue) + len(self._batch)
                _log.warning("records of %s calls wait for the database: %s", waiting, error.detail)
                await self._clock.sleep(self._settings.retry_s)

    async def _keep(self, batch: Sequence[CallRecord]) -> None:
        calls = [call_row(record) for record in batch]
        sums = DaySums()
        for record in batch:
            sums.add(record)
        async with self._database.worker_connection() as connection:
            await _write(connection, calls, sums)

    async def _sweep_at_times(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._swept_s >= self._settings.sweep_s:
            self._swept_s = now_s
            try:
                await self.sweep()
            except (UnavailableError, DatabaseError) as error:
                _log.warning("old records of calls are deleted later: %s", error)

    def _drop(self, count: int) -> None:
        self.dropped += count
        now_s = self._clock.monotonic_s()
        if count and now_s - self._told_s >= TELL_EVERY_S:
            self._told_s = now_s
            _log.warning("%s records of calls were dropped since the start: too many wait to be written", self.dropped)


async def _write(connection: Connection, calls: Sequence[Mapping[str, Any]], sums: DaySums) -> None:
    await connection.execute(store.WRITE, *(orjson.dumps(part).decode() for part in (calls, sums.rows())))
