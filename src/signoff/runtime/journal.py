"""The journal's writer: one per worker. All its runs' events go out in group commits (decision 0002, rules 1, 4 and 5).

Two lanes. The fast lane takes whatever is unconditional: while one statement is under way, the next one fills. The solo
lane gives one transaction to what has a precondition: consuming an approval, choosing an effect's key. A run's entries
keep their order over both lanes, as a run in the solo lane is held back from the fast one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

from signoff.core.errors import ConflictError, SignoffError, UnavailableError
from signoff.core.waiting import begun, resumed
from signoff.foundation.database import Connection, Database
from signoff.foundation.database.failures import DatabaseAwayError
from signoff.runtime import artifacts, store
from signoff.runtime.answering import Answers
from signoff.runtime.entries import Entry, Row, SoloWrite, View, columns_of, resolved

__all__ = ["Entry", "Journal", "NotSentError", "Row", "SessionLostError", "SoloWrite", "View"]

GATHER_S = 0.01
"""How long a group commit waits at most for runs that are being advanced, in seconds."""

GATHER_TURNS = 3
"""Turns of the event loop from the answer to one write to a run's next: it goes on, ends a step, begins another."""


class SessionLostError(UnavailableError):
    """This worker was declared dead, or lost its connection: it owns nothing any more. Its runs go on elsewhere."""

    code = "session-lost"


class NotSentError(SessionLostError):
    """An effect was about to be sent and certainly was not, as the session may be over."""


class Journal:
    """Writes entries in order. `submit` never blocks; whoever must know awaits the entry's `written`.

    Attributes:
        writer: who writes: the beginning of the session's id, hexadecimal.
    """

    def __init__(
        self,
        database: Database,
        session_id: UUID,
        *,
        flush_events: int,
        rejected: Callable[[UUID, BaseException], None],
    ) -> None:
        self._database = database
        self._session_id = session_id
        self.writer = session_id.hex[:12]
        self._flush_events = flush_events
        self._rejected = rejected
        self._pending: dict[UUID, list[Entry]] = {}
        self._held: set[UUID] = set()
        self._solo_tasks: set[asyncio.Task[None]] = set()
        self._flying: list[Entry] = []
        self._answers = Answers()
        self._wake = asyncio.Event()
        self._lost: SignoffError | None = None
        self._quiet = asyncio.Event()
        self._submitted = 0
        self.flushes = 0
        self.events = 0

    @property
    def lost(self) -> bool:
        """Whether the session is gone; nothing can be written any more."""
        return self._lost is not None

    def submit(self, entry: Entry) -> None:
        """Put an entry behind all earlier ones of its run."""
        if self._lost is not None:
            self._fail(entry, self._lost)
            return
        self._submitted += 1
        pending = self._pending.get(entry.run_id)
        if pending is None:  # a list: most runs have one entry waiting, and an empty deque takes ten times the room
            self._pending[entry.run_id] = [entry]
        else:
            pending.append(entry)
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled, or until the session is lost, which raises SessionLostError."""
        async with self._database.worker_connection(resets=True) as connection:
            await connection.execute(store.PLAN_BY_KEY)
            with self._database.flushes.writing():
                await self._write_batches(connection)

    async def _write_batches(self, connection: Connection) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (batch := await self._gathered()) or self._lost is not None:
                self._flying = batch
                if self._lost is not None:
                    raise self._lost
                flushing = self._flush(connection, batch)
                ended, awaited = begun(flushing)  # the statement is on its way
                self._answers.end()
                if not ended:
                    await resumed(flushing, awaited)
                self._flying = []
            self._quiet.set()

    async def drained(self) -> None:
        """Return when nothing is waiting to be written."""
        while (self._pending or self._flying or self._held) and self._lost is None:
            self._quiet.clear()
            await self._quiet.wait()

    def forget(self, run_id: UUID, reason: SignoffError) -> None:
        """Fail what is still waiting to be written of one run; what is on its way to the disk goes there."""
        for entry in self._pending.pop(run_id, ()):
            self._lost_one(entry, reason)

    def close(self, reason: SignoffError) -> None:
        """Fail everything that is still waiting; later entries fail at once."""
        self._lost = self._lost or reason
        self._answers.end()
        pending, self._pending = self._pending, {}
        for entries in (self._flying, *pending.values()):
            for entry in entries:
                self._lost_one(entry, self._lost)
        for task in self._solo_tasks:
            task.cancel()
        self._wake.set()
        self._quiet.set()

    async def _gathered(self) -> list[Entry]:
        """The next batch, once the runs that are being advanced have added theirs.

        What many runs write together costs the database a fraction of what each costs alone. So it waits while others
        have their turn and write something, for `GATHER_S` at most; where nobody does, that is no time at all.
        """
        self._answers.begin(len(self._pending))
        if self._pending or self._answers:
            loop, submitted = asyncio.get_running_loop(), -1
            until_s = loop.time() + GATHER_S
            while submitted != self._submitted and loop.time() < until_s:
                submitted = self._submitted
                for _ in range(GATHER_TURNS):
                    await asyncio.sleep(0)
        batch = self._take()
        if not batch:
            self._answers.end()
        return batch

    def _take(self) -> list[Entry]:
        """The next batch: whole entries, each run's in order, up to the size of a flush."""
        batch: list[Entry] = []
        size = 0
        for run_id in list(self._pending):
            if run_id in self._held:
                continue
            entries = self._pending[run_id]
            while entries and not entries[0].alone and size < self._flush_events:
                entry = entries.pop(0)
                batch.append(entry)
                size += len(entry.rows)
            if entries and entries[0].alone and not any(entry.run_id == run_id for entry in batch):
                self._start_solo(entries.pop(0))
            if not entries:
                del self._pending[run_id]
        return batch

    async def _flush(self, connection: Connection, batch: list[Entry]) -> None:
        try:
            await self._write(connection, batch)
        except UnavailableError as error:
            # Whether it was written cannot be known here: give the session up and let the journal itself tell.
            self._lose(batch, error)
        except Exception:  # noqa: BLE001  (whatever it is, it is told run by run below)
            # One bad row fails the statement for all; run by run, only its own run suffers.
            by_run: dict[UUID, list[Entry]] = {}
            for entry in batch:
                by_run.setdefault(entry.run_id, []).append(entry)
            for run_id, entries in by_run.items():
                try:
                    await self._write(connection, entries)
                except UnavailableError as error:
                    self._lose(batch, error)
                    return
                except Exception as error:  # noqa: BLE001  (a row that the database does not take concerns its run)
                    self._reject(run_id, entries, error)

    async def _write(self, connection: Connection, batch: list[Entry]) -> None:
        flushes = self._database.flushes
        number = flushes.begun()
        result = await store.append(connection, self._session_id, columns_of(batch))
        if result.events:
            flushes.ended(number)
        if not result.alive:
            self._lose(batch, SessionLostError("this worker was declared dead and its runs were given to others"))
            return
        self.flushes += 1
        self.events += result.events
        batch = self._without_moved(batch, result)
        expected = sum(len(entry.rows) for entry in batch)
        if result.events != expected:
            # A run that we do not own any more: only possible after the session was lost and regained.
            self._lose(batch, SessionLostError(f"{expected - result.events} events were fenced off"))
            return
        leaving: list[Entry] = []
        for entry in batch:
            if entry.finish_gen is None and entry.park is None and entry.written is not None:
                self._answers.add(entry.written)
            else:
                leaving.append(entry)
        resolved(leaving, result)

    def _without_moved(self, batch: list[Entry], result: store.Appended) -> list[Entry]:
        """The entries that were written; the runs of the others are told why theirs were not."""
        for run_id in result.moved:
            error = ConflictError("the effect with this business key was undone in between; its key is chosen again")
            self._reject(run_id, [entry for entry in batch if entry.run_id == run_id], error)
        return [entry for entry in batch if entry.run_id not in result.moved]

    def _start_solo(self, entry: Entry) -> None:
        self._held.add(entry.run_id)
        task = asyncio.create_task(self._run_solo(entry))
        self._solo_tasks.add(task)
        task.add_done_callback(self._solo_tasks.discard)

    async def _run_solo(self, entry: Entry) -> None:
        try:
            result = await self._write_alone(entry)
            self.flushes += 1
            self.events += result.events
            resolved((entry,), result)
        except (SessionLostError, DatabaseAwayError) as error:
            self._lose([entry], error)
        except Exception as error:  # noqa: BLE001  (a row that the database does not take concerns its run)
            # So does a lock that was not to be had in time, such as that of a quota that many spend: it is rolled back.
            self._reject(entry.run_id, [entry], error)
        finally:
            self._fail(entry, SessionLostError("the worker stopped in between"))  # where it was cancelled
            self._held.discard(entry.run_id)
            self._wake.set()

    async def _write_alone(self, entry: Entry) -> store.Appended:
        """The precondition and the rows, both or neither. What the rows name is on the disk before."""
        if entry.laden:
            contents = [content for row in entry.rows for content in row.contents]
            async with self._database.worker_transaction() as connection:
                await artifacts.keep(connection, entry.org_id, entry.run_id, contents, entry.rows[-1].recorded_at)
        async with self._database.worker_transaction() as connection:
            with store.mapped_errors():
                if await connection.fetchval(store.FENCE, self._session_id, entry.run_id) is None:
                    raise SessionLostError("this worker was declared dead and its runs were given to others")
                if entry.solo is not None:
                    await entry.solo(connection)
            result = await store.append(connection, self._session_id, columns_of([entry]))
            if result.moved:
                raise ConflictError("the effect with this business key was undone in between; its key is chosen again")
            if not result.alive or result.events != len(entry.rows):
                raise SessionLostError("the run is not ours any more")
        return result

    def _lose(self, batch: list[Entry], error: SignoffError) -> None:
        for entry in batch:
            self._lost_one(entry, error)
        self.close(error if isinstance(error, SessionLostError) else SessionLostError(error.detail))

    def _reject(self, run_id: UUID, entries: list[Entry], error: Exception) -> None:
        for entry in entries:
            self._fail(entry, error)
        self._rejected(run_id, error)

    def _lost_one(self, entry: Entry, error: Exception) -> None:
        self._fail(entry, error)
        told, entry.if_lost = entry.if_lost, []
        for tell in told:
            tell()

    @staticmethod
    def _fail(entry: Entry, error: Exception) -> None:
        leaves, entry.leaves = entry.leaves, None
        if leaves is not None:  # once whoever found out is through with all entries
            asyncio.get_running_loop().call_soon(leaves, error)
        if entry.written is not None and not entry.written.done():
            entry.written.set_exception(error)
            entry.written.exception()  # marked as seen: a run that was dropped has nobody left to await it
