"""The ledger of limits: room is set aside before a call and settled after it, exactly, over all processes.

All calls of a process that wait are admitted in one statement, with the settlements that have come in meanwhile before
them: while one statement is under way the next batch gathers (group commit). A counter's row is locked for that long
only, and rows are locked in one order, so processes wait for each other a moment and never for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from signoff.capabilities.gateway.asking import Admission, Asked, Caller, Estimate, LimitReached
from signoff.capabilities.gateway.limits import store
from signoff.capabilities.gateway.limits.counting import Counter, Share, shares_of, shares_of_runs, used_of
from signoff.capabilities.gateway.limits.settings import LimitSettings
from signoff.catalog.model_limits import ModelLimit
from signoff.catalog.models import ModelSpec
from signoff.core.clock import Clock, SystemClock
from signoff.core.errors import LimitError, SignoffError, UnavailableError
from signoff.core.ids import IdSource, uuid7
from signoff.core.money import Usage
from signoff.foundation.database import Connection, Database

LimitsOf = Callable[[Caller], Awaitable[Sequence[ModelLimit]]]
"""The limits of a caller's release."""

_GRAVEST = ("refuse", "ask", "park", "cheaper")
_RETRY_S = 0.5
HOLD_S = 0.25
"""How long a connection is kept while one statement follows the other, in seconds: others want one too."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Pending:
    """A call that waits for room."""

    org_id: UUID
    reservation: UUID
    shares: Sequence[Share]
    about: Mapping[str, Any]
    over_limit: bool
    answer: asyncio.Future[_Admitted]


@dataclass(slots=True)
class _Settlement:
    org_id: UUID
    reservation: UUID
    shares: Sequence[Share]
    slots: Sequence[int]
    differences: Sequence[int]


@dataclass(slots=True)
class _Batch:
    """What is written in one statement."""

    pending: Sequence[_Pending]
    settled: Sequence[_Settlement]


@dataclass(slots=True)
class _Admitted:
    """Room that was set aside."""

    ledger: LimitLedger
    org_id: UUID
    reservation: UUID
    shares: Sequence[Share]
    slots: Sequence[int]
    settled: bool = False

    async def settle(self, usage: Usage) -> None:
        """Tell what was used. It is written with the process's next statement; a second time does nothing."""
        if self.settled:
            return
        self.settled = True
        differences = [used_of(share.unit, usage) - share.amount for share in self.shares]
        self.ledger.settle(_Settlement(self.org_id, self.reservation, self.shares, self.slots, differences))

    async def renew(self) -> None:
        """Keep the room for another lease.

        Raises:
            UnavailableError: the database is away.
        """
        await self.ledger.renew(self.org_id, self.reservation)


class _Unlimited:
    """No limit counts the call."""

    async def settle(self, usage: Usage) -> None:
        """Nothing was set aside."""

    async def renew(self) -> None:
        """Nothing was set aside."""


UNLIMITED: Admission = _Unlimited()


@dataclass(slots=True)
class LimitLedger:
    """One process's way to the ledger.

    Args:
        database: where all processes count.
        limits_of: what limits there are.
        settings: bounds.
        clock: the time by which windows are counted; the database's own where not given, which is the same for all.
        ids: of reservations.
    """

    database: Database
    limits_of: LimitsOf
    settings: LimitSettings = field(default_factory=LimitSettings)
    clock: Clock | None = None
    ids: IdSource = uuid7
    _waiting: deque[_Pending] = field(default_factory=deque[_Pending])
    _settling: deque[_Settlement] = field(default_factory=deque[_Settlement])
    _pump: asyncio.Task[None] | None = None
    _hurry: asyncio.Event = field(default_factory=asyncio.Event)
    _swept_s: float = 0.0

    async def admit(self, asked: Asked, spec: ModelSpec, estimate: Estimate) -> Admission:
        """Set room aside in every limit that counts the call, or in none.

        Raises:
            LimitReached: one has no room, or money is limited and the price unknown.
            LimitError: too many calls of this process wait already.
            UnavailableError: the database is away: what cannot be counted is not let through.
        """
        caller = asked.caller
        shares = shares_of(await self.limits_of(caller), caller, spec.name, estimate)
        shares += shares_of_runs(asked, estimate)
        if not shares:
            return UNLIMITED
        if len(self._waiting) >= self.settings.waiting:
            raise LimitError(f"{self.settings.waiting} calls of this process wait to be admitted.")
        answer = asyncio.get_running_loop().create_future()
        pending = _Pending(caller.org_id, self.ids(), shares, _about(asked, spec, estimate), asked.over_limit, answer)
        self._waiting.append(pending)
        self._hurry.set()
        self._start()
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                await answer.result().settle(Usage())  # it came in the same moment: nobody else gives it back
            raise

    def settle(self, settlement: _Settlement) -> None:
        """Write it with the next statement, which waits a moment for calls to admit: they are one statement then."""
        if len(self._settling) >= self.settings.unsettled:
            lost = self._settling.popleft()
            _log.warning("the settlement of call %s is given up: it counts as spent in full", lost.reservation)
        self._settling.append(settlement)
        self._start()

    async def renew(self, org_id: UUID, reservation: UUID) -> None:
        """Keep a reservation for another lease."""
        async with self.database.worker_connection() as connection:
            await connection.execute(store.RENEW, org_id, reservation, self._now(), self.settings.lease_s)

    async def flush(self) -> None:
        """Return when all settlements so far are written, or cannot be."""
        while self._pump is not None and not self._pump.done():
            self._hurry.set()
            with suppress(SignoffError):
                await asyncio.shield(self._pump)

    async def aclose(self) -> None:
        """Write what is to be settled, if the database is there."""
        try:
            async with asyncio.timeout(self.settings.close_s):
                await self.flush()
        except TimeoutError:
            _log.warning("%s calls could not be settled: they count as spent in full", len(self._settling))
            if self._pump is not None:
                self._pump.cancel()

    def _now(self) -> datetime | None:
        return None if self.clock is None else self.clock.now()

    def _start(self) -> None:
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        """One statement after the other, until nothing waits."""
        while (batch := await self._gathered()) is not None:
            try:
                async with self.database.worker_connection() as connection:
                    until_s = self._monotonic_s() + HOLD_S
                    while batch is not None:
                        await self._write(connection, batch)
                        batch = None
                        await self._sweep(connection)
                        # Taking a connection and giving it back takes as long as a call's statement does in Python.
                        batch = await self._gathered() if self._monotonic_s() < until_s else None
            except UnavailableError as error:
                self._settling.extendleft(reversed(batch.settled if batch else ()))
                _fail(batch, error)
                if not self._waiting:
                    await (self.clock or SystemClock()).sleep(_RETRY_S)
            except Exception as error:  # noqa: BLE001  (whatever it is, those who wait are told)
                _fail(batch, error)
                lost = len(batch.settled) if batch else 0
                _log.exception("%s settlements were not written: those calls count as spent in full", lost)

    async def _gathered(self) -> _Batch | None:
        """What is to be written next; none where nothing is left. Settlements alone wait a moment for company."""
        while self._waiting or self._settling:
            if not self._waiting:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.settings.settle_s):
                        await self._hurry.wait()
            self._hurry.clear()
            pending = [self._waiting.popleft() for _ in range(min(self.settings.batch, len(self._waiting)))]
            pending = [item for item in pending if not item.answer.done()]
            settled = [self._settling.popleft() for _ in range(min(self.settings.batch, len(self._settling)))]
            if pending or settled:
                return _Batch(pending, settled)
        return None

    def _monotonic_s(self) -> float:
        return (self.clock or SystemClock()).monotonic_s()

    async def _sweep(self, connection: Connection) -> None:
        """From time to time, and not before a while after the start: who waits comes first."""
        now_s = self._monotonic_s()
        self._swept_s = self._swept_s or now_s
        if now_s - self._swept_s >= self.settings.sweep_s:
            self._swept_s = now_s
            await connection.execute(store.FORGET, self._now())

    async def _write(self, connection: Connection, batch: _Batch) -> None:
        pending, settled = batch.pending, batch.settled
        counters = sorted(
            {share.counter for item in (*pending, *settled) for share in item.shares},
            key=lambda counter: (str(counter.org_id), counter.id),
        )
        place = {counter: number for number, counter in enumerate(counters, 1)}
        lease_ms = round(self.settings.lease_s * 1000)
        arguments = (
            _json([_counter(counter) for counter in counters]),
            _json([_settlement(item, place) for item in settled]),
            _json([_admission(item, place, lease_ms) for item in pending]),
        )
        answer = None
        while answer is None:  # null where a row went away in that moment
            answer = await connection.fetchval(store.ADMIT, *arguments, self._now(), self.settings.durable)
        told = orjson.loads(answer)
        slots = dict(zip(counters, told["slots"], strict=True))
        for item, misses in zip(pending, told["answers"], strict=True):
            self._tell(item, slots, misses)

    def _tell(self, item: _Pending, slots: Mapping[Counter, int], misses: list[tuple[int, int | None]] | None) -> None:
        if misses is not None:
            if not item.answer.done():
                item.answer.set_exception(_reached(item.shares, misses))
            return
        numbers = [slots[share.counter] for share in item.shares]
        admitted = _Admitted(self, item.org_id, item.reservation, item.shares, numbers)
        if item.answer.done():  # who asked has gone away meanwhile
            nothing = [-share.amount for share in item.shares]
            self.settle(_Settlement(item.org_id, item.reservation, item.shares, numbers, nothing))
        else:
            item.answer.set_result(admitted)


def _fail(batch: _Batch | None, error: Exception) -> None:
    for item in batch.pending if batch else ():
        if not item.answer.done():
            item.answer.set_exception(error)


def _reached(shares: Sequence[Share], misses: Sequence[tuple[int, int | None]]) -> LimitReached:
    """The gravest of the limits that have no room, and when all of them have some again."""
    missed = [shares[which] for which, _ in misses]
    first = min(missed, key=lambda share: _GRAVEST.index(share.at_limit))
    waits = [wait_ms for _, wait_ms in misses]
    known = [wait_ms for wait_ms in waits if wait_ms is not None]
    retry_after_s = max(known) / 1000 if len(known) == len(waits) else None
    kind = "budget" if first.unit == "micro_usd" else "quota"
    return LimitReached(kind, first.told, first.at_limit, retry_after_s)


def _about(asked: Asked, spec: ModelSpec, estimate: Estimate) -> dict[str, Any]:
    """What is told of a call that nobody settled."""
    caller = asked.caller
    return {
        "project": caller.project,
        "environment": caller.environment,
        "release": caller.release,
        "principal": caller.principal,
        "team": caller.team,
        "key": None if caller.key is None else str(caller.key),
        "workflow": caller.workflow,
        "run_id": None if caller.run_id is None else str(caller.run_id),
        "step": caller.step,
        "task": asked.task,
        "prompt": asked.prompt,
        "model": spec.name,
        "provider": spec.provider,
        "input_tokens": estimate.input_tokens,
        "output_tokens": estimate.output_tokens,
        "cost_micro_usd": None if estimate.cost is None else estimate.cost.micro_usd,
    }


def _counter(counter: Counter) -> dict[str, Any]:
    about = dict(counter.about)
    return {"o": str(counter.org_id), "c": counter.id, "n": counter.slots, "ms": counter.slot_ms, "about": about}


def _settlement(item: _Settlement, place: Mapping[Counter, int]) -> dict[str, Any]:
    return {
        "o": str(item.org_id),
        "r": str(item.reservation),
        "x": [place[share.counter] for share in item.shares],
        "d": list(item.differences),
        "t": list(item.slots),
        "s": [share.sharer for share in item.shares],
    }


def _admission(item: _Pending, place: Mapping[Counter, int], lease_ms: int) -> dict[str, Any]:
    return {
        "o": str(item.org_id),
        "r": str(item.reservation),
        "x": [place[share.counter] for share in item.shares],
        "a": [share.amount for share in item.shares],
        "m": [share.most for share in item.shares],
        "f": [item.over_limit and share.at_limit == "ask" for share in item.shares],
        "s": [share.sharer for share in item.shares],
        "lease_ms": lease_ms,
        "about": item.about,
    }


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
