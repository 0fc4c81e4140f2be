"""One session of a worker: from its fence row in the database to the loss or end of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from signoff.core.clock import Clock
from signoff.core.errors import UnavailableError
from signoff.foundation.database import Connection, Database
from signoff.runtime import store
from signoff.runtime.announcing import WAKE_CHANNEL, Announcer
from signoff.runtime.breakers import LATE, Breakers, BreakerSettings
from signoff.runtime.claims import Claims
from signoff.runtime.claims.store import CLAIM_WITHOUT_FLUSH
from signoff.runtime.continuity import suspect_before
from signoff.runtime.duties import Duty, kept
from signoff.runtime.engine import Engine
from signoff.runtime.execution import RunExecution
from signoff.runtime.handlers import Message, PureHandler, ReleaseLoader, StepHandler
from signoff.runtime.journal import Entry, Journal, SessionLostError
from signoff.runtime.lease import Lease
from signoff.runtime.loading import Loader
from signoff.runtime.loop_lag import LoopLag
from signoff.runtime.reaping import reap
from signoff.runtime.reports import Reporter
from signoff.runtime.settings import RuntimeSettings
from signoff.runtime.slots import Slots
from signoff.runtime.starting import Turns
from signoff.runtime.views import stuck_view

FAILED_RUN_PAUSE_S = 30.0  # before a run is tried again that an error of ours put out of memory
FIRST_IDLE_S = 0.005  # before runs are claimed again that are due but were not to be had: somebody has them locked

_log = logging.getLogger(__name__)


class Session:
    """Claims, keeps and gives back runs while the fence row exists."""

    def __init__(
        self,
        database: Database,
        *,
        session_id: UUID,
        handlers: Mapping[str, StepHandler],
        pure: Mapping[str, PureHandler],
        releases: ReleaseLoader,
        clock: Clock,
        settings: RuntimeSettings,
        stopping: asyncio.Event,
        ready: asyncio.Event,
        chance: Callable[[], float],
        breakers: BreakerSettings,
        reporter: Reporter,
        duties: Sequence[Duty] = (),
    ) -> None:
        self._database = database
        self._id = session_id
        self._clock = clock
        self._settings = settings
        self._stopping = stopping
        self._ready = ready
        self._residents: dict[UUID, RunExecution] = {}
        self._wake = asyncio.Event()
        self._claims = Claims(session_id, clock)
        self._messaged: set[UUID] = set()
        self._announcer = Announcer(database)
        self._full = False
        self._lease = Lease(clock, settings.lease_s)
        self._polled_s = 0.0
        self._idle_s = FIRST_IDLE_S
        self._reports: set[asyncio.Task[None]] = set()
        self._lag = LoopLag(settings.loop_lag_s)
        self._turns = Turns(database, clock=clock, poll_s=settings.poll_s, admitted=self._admitted)
        self._duties = duties
        self._journal = Journal(database, session_id, flush_events=settings.flush_events, rejected=self._run_failed)
        self._breakers = Breakers(database, clock=clock, settings=breakers, chance=chance, believed=self._blames)
        self._engine = Engine(
            database=database,
            journal=self._journal,
            handlers=handlers,
            pure=pure,
            clock=clock,
            settings=settings,
            slots=Slots(settings.tasks),
            lease_holds=self._lease.holds,
            gone=self._gone,
            read_inbox=self._read_inbox,
            report=partial(reporter.report, session_id),
            failed=self._run_failed,
            draining=stopping.is_set,
            chance=chance,
            breakers=self._breakers,
            wake=self._announcer.tell,
        )
        self._loader = Loader(self._engine, releases)

    @property
    def statistics(self) -> Mapping[str, int]:
        """Resident runs, group commits and events written."""
        return {
            "resident_runs": len(self._residents),
            "flushes": self._journal.flushes,
            "events": self._journal.events,
            "loop_lag_ms": round(self._lag.longest_s * 1000),
        }

    def wake(self) -> None:
        """Look for work now, whatever it is."""
        self._claims.look()
        self._wake.set()

    async def run(self) -> None:
        """Work until stopped.

        Raises:
            UnavailableError: the session or the database is lost; everything in memory has been dropped.
        """
        opened_s = self._clock.monotonic_s()
        async with self._database.worker_connection() as connection:
            await connection.execute(store.OPEN_SESSION, self._id, platform.node(), os.getpid(), self._settings.lease_s)
            self._engine.suspect_before = await suspect_before(connection)
        self._lease.kept(opened_s)
        try:
            async with self._database.listen(WAKE_CHANNEL, self._notified), asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(work)
                    for work in (
                        self._journal.run(),
                        self._heartbeat(),
                        reap(self._database, self._clock, self._settings, self.wake),
                        self._announcer.run(),
                        self._lag.watch(),
                        kept(self._turns.run),
                        self._breakers.run(),
                    )
                ]
                tasks += [group.create_task(kept(partial(duty, self._admitted))) for duty in self._duties]
                self._ready.set()
                await self._claim_until_stopped()
                await self._drain()
                for task in tasks:
                    task.cancel()
        except BaseExceptionGroup as group:
            lost, others = group.split(UnavailableError)
            if others is not None or lost is None:
                raise
            raise UnavailableError(str(_first(lost))) from group
        finally:
            self._ready.clear()
            self._drop(SessionLostError("the session has ended"))
            await self._close()

    # --- claiming ----------------------------------------------------------------------------------------------

    async def _claim_until_stopped(self) -> None:
        async with self._database.worker_connection(resets=True) as connection:
            await connection.execute(CLAIM_WITHOUT_FLUSH)
            await connection.execute(store.PLAN_BY_KEY)
            while not self._stopping.is_set():
                self._wake.clear()
                limit = min(self._settings.resident_runs - len(self._residents), self._lag.allowed(self._settings))
                room_bytes = self._room_bytes()
                self._full = room_bytes <= 0
                claimed = []
                if limit > 0 and room_bytes > 0:
                    alone = not self._residents  # a run that is larger than all that may be loaded still goes on
                    claimed = await self._claims.take(connection, limit, room_bytes, alone=alone)
                    for execution in await self._loader.load(connection, claimed, self._id):
                        self._residents[execution.run_id] = execution
                        self._guarded_advance(execution)
                await self._poll_inbox(connection)
                await self._deliver(connection)
                if len(claimed) < limit or not claimed:
                    await self._wait_for_work(connection, claimed=bool(claimed))
                if self._journal.lost:
                    raise SessionLostError("the journal's writer has lost the session")

    def _room_bytes(self) -> int:
        loaded_bytes = sum(execution.journal_bytes for execution in self._residents.values())
        return self._settings.resident_bytes - loaded_bytes

    async def _wait_for_work(self, connection: Connection, *, claimed: bool) -> None:
        """Until a wake-up, the next parked run's moment, or the poll that finds what no wake-up told of.

        Where something was just claimed, whatever else is due is claimed at once; to ask first is the cheaper look. It
        is not asked while a run that was just claimed writes its first events, unless something was left.
        """
        if await self._woken(self._claims.quiet_s()):
            return
        pause_s, has_room = self._settings.poll_s, len(self._residents) < self._settings.resident_runs
        due_at = await self._claims.next_due(connection) if has_room else None
        if due_at is not None:
            due_s = (due_at - self._clock.now()).total_seconds()
            pause_s = min(pause_s, max(due_s, 0.0 if claimed else self._idle_s))
            self._idle_s = FIRST_IDLE_S if due_s > 0 or claimed else self._idle_s * 2
        if not await self._woken(pause_s):
            self._claims.look()

    async def _woken(self, within_s: float) -> bool:
        """Whether a wake-up came."""
        if within_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._wake.wait()
        return self._wake.is_set()

    async def _poll_inbox(self, connection: Connection) -> None:
        """The safety net under notifications, however busy the worker is."""
        now_s = self._clock.monotonic_s()
        if now_s - self._polled_s >= self._settings.poll_s:
            self._polled_s = now_s
            rows = await connection.fetch(store.RESIDENT_WITH_MESSAGES, self._id)
            self._messaged.update(row["run_id"] for row in rows)

    async def _deliver(self, connection: Connection) -> None:
        """Bring messages to runs that are in memory. One that is leaving looks by itself, as its generation moved."""
        wanted, self._messaged = self._messaged & self._residents.keys(), set()
        wanted = {run_id for run_id in wanted if not self._residents[run_id].resting}
        if not wanted:
            return
        inboxes = await self._loader.inboxes(connection, wanted, self._id)
        for run_id, (messages, gen) in inboxes.items():
            execution = self._residents.get(run_id)
            if execution is not None and not execution.resting:
                execution.receive(messages, gen)
                self._guarded_advance(execution)

    def _guarded_advance(self, execution: RunExecution) -> None:
        try:
            execution.advance()
        except Exception as error:  # noqa: BLE001  (whatever it is, it concerns this run alone)
            self._run_failed(execution.run_id, error)

    def _notified(self, payload: str) -> None:
        if payload:
            self._told_of(UUID(payload))
            self._turns.wake_soon()
        else:
            self._claims.look()
            self._turns.wake()
        self._wake.set()

    def _told_of(self, run_id: UUID) -> None:
        """A message came for a run of ours, or somebody's run has something to do: perhaps it has just been started."""
        self._messaged.add(run_id)
        execution = self._residents.get(run_id)
        if execution is None or execution.resting:
            self._claims.name(run_id)

    def _admitted(self, runs: int) -> None:
        """Runs may be claimed that could not be before; by others too where they are more than we have room for."""
        self.wake()
        if runs > self._settings.resident_runs - len(self._residents):
            self._announcer.want_others()

    # --- keeping -----------------------------------------------------------------------------------------------

    async def _heartbeat(self) -> None:
        async with self._database.worker_connection() as connection:
            while True:
                # Real time, not the injected clock: the lease is kept by the server's clock.
                await asyncio.sleep(self._settings.heartbeat_s)
                sent_s = self._clock.monotonic_s()
                try:
                    async with asyncio.timeout(self._settings.lease_s):
                        alive = await connection.fetchval(store.HEARTBEAT, self._id, self._settings.lease_s)
                except TimeoutError as error:
                    raise SessionLostError("PostgreSQL did not answer for a lease") from error
                if alive is None:
                    raise SessionLostError("this worker was declared dead and its runs were given to others")
                self._lease.kept(sent_s)

    def _blames(self, wrong: str) -> bool:
        """Whether a call that went wrong is put down to what was called: not while we may be dead, or were late."""
        return self._lease.holds() and not (wrong in LATE and self._lag.is_late)

    async def _read_inbox(self, run_id: UUID) -> tuple[list[tuple[str, Message]], int]:
        async with self._database.worker_connection() as connection:
            inboxes = await self._loader.inboxes(connection, {run_id}, self._id)
        if run_id not in inboxes:
            raise SessionLostError("the run is not ours any more")
        return inboxes[run_id]

    # --- giving back -------------------------------------------------------------------------------------------

    def _gone(self, run_id: UUID, ended: bool) -> None:
        was_full = len(self._residents) >= self._settings.resident_runs or self._full
        execution = self._residents.pop(run_id, None)
        if execution is not None:
            execution.left()
            if execution.queued:
                self._turns.wake()  # a slot may have come free
        if ended:
            self._announcer.ended(run_id)
        if was_full or self._stopping.is_set():
            self.wake()  # otherwise there was room before, and whatever came since has sent its own wake-up

    def _run_failed(self, run_id: UUID, error: BaseException) -> None:
        """An error of ours: the run leaves memory as its journal has it and is tried again after a pause."""
        if self._journal.lost:
            return  # with it everything in memory
        _log.error("run %s is put aside: %s", run_id, error, exc_info=not isinstance(error, UnavailableError) and error)
        execution = self._residents.pop(run_id, None)
        self._journal.forget(run_id, SessionLostError("the run was put aside"))
        if execution is not None:
            execution.abandon()
        task = asyncio.create_task(self._put_aside(run_id, execution, error))
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def _put_aside(self, run_id: UUID, execution: RunExecution | None, error: BaseException) -> None:
        now, away = self._clock.now(), isinstance(error, UnavailableError)
        due_at = now + timedelta(seconds=self._settings.poll_s if away else FAILED_RUN_PAUSE_S)
        try:
            if execution is not None:
                # Behind what the journal still writes of this run: released before, it would be another's already.
                last = Entry(execution.facts.org_id, run_id, written=asyncio.get_running_loop().create_future())
                if not away:
                    detail = f"an error inside Signoff ({type(error).__name__}); it is tried again"
                    last.view = stuck_view(execution.state, now, {"code": "internal", "detail": detail})
                self._journal.submit(last)
                assert last.written is not None
                await last.written
            await self._release(run_id, due_at)
        except UnavailableError as lost:
            _log.warning("run %s goes free with this session: %s", run_id, lost.detail)

    async def _release(self, run_id: UUID, due_at: datetime) -> str:
        """Give a run up that is in memory no more. A sender may have its row locked: while the session lives, again."""
        while True:
            try:
                async with self._database.worker_connection() as connection:
                    return await connection.execute(store.RELEASE_RUNS, self._id, [run_id], due_at)
            except UnavailableError:
                if self._journal.lost:
                    raise
            await self._clock.sleep(self._settings.poll_s)

    async def _drain(self) -> None:
        """Let steps under way finish; runs that only wait are parked or given back as they are."""
        deadline_s = self._clock.monotonic_s() + self._settings.drain_s
        while any(execution.tasks or execution.resting for execution in self._residents.values()):
            if self._clock.monotonic_s() > deadline_s:
                busy, drain_s = len(self._residents), self._settings.drain_s
                _log.warning(
                    "%d runs were still busy after %g s, the time to drain; others go on with them", busy, drain_s
                )
                break
            self._wake.clear()
            try:
                async with asyncio.timeout(0.05):
                    await self._wake.wait()
            except TimeoutError:
                continue
        for execution in self._residents.values():
            execution.push()
        await self._journal.drained()

    def _drop(self, reason: SessionLostError) -> None:
        self._journal.close(reason)
        residents, self._residents = self._residents, {}
        for execution in residents.values():
            execution.abandon()

    async def _close(self) -> None:
        """Give the fence up, so that others need not wait for the lease. Where PostgreSQL is away, the lease tells."""
        try:
            async with self._database.worker_connection() as connection:
                await connection.execute(store.CLOSE_SESSION, self._id)
                await connection.execute(store.RELEASE_ORPHANS, self._clock.now())
            if self._stopping.is_set():
                await self._database.notify(WAKE_CHANNEL, "")
        except UnavailableError as error:
            _log.warning("the session's row could not be removed: %s", error.detail)


def _first(group: BaseExceptionGroup[UnavailableError]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
