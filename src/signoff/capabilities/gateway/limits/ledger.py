"""The ledger of limits: room is set aside before a call and settled after it, exactly, over all processes.

All calls of a process that wait are admitted in one statement, with the settlements that have come in meanwhile before
them: while one statement is under way the next batch gathers (group commit). A counter's row is locked for that long
only, and rows are locked in one order, so processes wait for each other a moment and never for ever.

Where calls come all the time and there is much room, one statement takes a block of it (`flows`), which the next calls
are admitted by without another one. Nobody is refused while room is lent in blocks: they come back first.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import orjson

from signoff.capabilities.gateway.asking import Admission, Asked, Caller, Estimate
from signoff.capabilities.gateway.limits import store
from signoff.capabilities.gateway.limits.batches import Batch, Pending, reached
from signoff.capabilities.gateway.limits.counting import Share, amounts_of, shares_of, shares_of_runs, used_of
from signoff.capabilities.gateway.limits.flows import Block, Flow, Flows, Settlement
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

_RETRY_S = 0.5
HOLD_S = 0.25
"""How long a connection is kept while one statement follows the other, in seconds: others want one too."""
LINGER_S = 0.05
"""How long what is left of a block that is over waits for a call to go back with, in seconds."""
_log = logging.getLogger(__name__)


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
        self.ledger.settle(Settlement(self.org_id, self.reservation, self.shares, self.slots, differences))


class _Unlimited:
    """No limit counts the call."""

    async def settle(self, usage: Usage) -> None:
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
    _waiting: deque[Pending] = field(default_factory=deque[Pending])
    _settling: deque[Settlement] = field(default_factory=deque[Settlement])
    _pump: asyncio.Task[None] | None = None
    _hurry: asyncio.Event = field(default_factory=asyncio.Event)
    _swept_s: float = 0.0
    _flows: Flows = field(default_factory=Flows)
    _blocks: set[Block] = field(default_factory=set[Block])
    _later: set[asyncio.Task[None]] = field(default_factory=set["asyncio.Task[None]"])

    async def admit(self, asked: Asked, spec: ModelSpec, estimate: Estimate) -> Admission:
        """Set room aside in every limit that counts the call, or in none.

        Raises:
            LimitReached: one has no room, or money is limited and the price unknown.
            LimitError: too many calls of this process wait already.
            UnavailableError: the database is away: what cannot be counted is not let through.
        """
        caller = asked.caller
        flow = self._flows.of(await self.limits_of(caller), caller, spec.name)
        amounts = amounts_of(flow.counted, spec.name, estimate)
        # What a person lets beyond a limit, or runs share a limit of, is like no other call.
        alone = asked.over_limit or bool(asked.ceilings)
        if amounts and not alone:
            drawn = flow.draw(self._monotonic_s(), amounts, asked, spec, estimate)
            if drawn is not None:
                return drawn
        shares = [*shares_of(flow.counted, amounts), *shares_of_runs(asked, estimate)]
        if not shares:
            return UNLIMITED
        if len(self._waiting) >= self.settings.waiting:
            raise LimitError(f"{self.settings.waiting} calls of this process wait to be admitted.")
        answer = asyncio.get_running_loop().create_future()
        pending = Pending(caller.org_id, self.ids(), shares, asked, spec, estimate, answer)
        if not alone:
            self._wish(pending, flow)
        self._waiting.append(pending)
        self._hurry.set()
        self._start()
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                await answer.result().settle(Usage())  # it came in the same moment: nobody else gives it back
            raise

    def settle(self, settlement: Settlement) -> None:
        """Write it with the next statement, which waits a moment for calls to admit: they are one statement then."""
        if len(self._settling) >= self.settings.unsettled:
            lost = self._settling.popleft()
            _log.warning("the settlement of call %s is given up: it counts as spent in full", lost.reservation)
        self._settling.append(settlement)
        self._start()

    async def flush(self) -> None:
        """Return when all settlements so far are written, or cannot be, and all blocks are given back."""
        self._close_blocks()
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

    async def _gathered(self) -> Batch | None:
        """What is to be written next; none where nothing is left. Settlements alone wait a moment for company."""
        while self._waiting or self._settling:
            if not self._waiting:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.settings.settle_s):
                        await self._hurry.wait()
            self._hurry.clear()
            pending = [self._waiting.popleft() for _ in range(min(self.settings.batch, len(self._waiting)))]
            for item in pending:
                if item.answer.done():
                    item.asked_for()
            pending = [item for item in pending if not item.answer.done()]
            settled = [self._settling.popleft() for _ in range(min(self.settings.batch, len(self._settling)))]
            if pending or settled:
                return Batch(pending, settled)
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

    async def _write(self, connection: Connection, batch: Batch) -> None:
        counters, settings = batch.counters(), self.settings
        arguments = batch.arguments(counters, lease_s=settings.lease_s, block_s=settings.block_s)
        # A block is lost in a crash of PostgreSQL with all that was spent of it, and is one flush for many calls.
        durable = settings.durable or any(item.wish > 1 for item in batch.pending)
        answer, asked_s = None, 0.0
        while answer is None:  # null where a row went away in that moment
            asked_s = self._monotonic_s()
            answer = await connection.fetchval(store.ADMIT, *arguments, self._now(), durable)
        told = orjson.loads(answer)
        slots = dict(zip(counters, told["slots"], strict=True))
        for item, answered in zip(batch.pending, told["answers"], strict=True):
            self._tell(item, [slots[share.counter] for share in item.shares], answered, asked_s)

    def _tell(self, item: Pending, slots: Sequence[int], answered: Any, asked_s: float) -> None:
        """Tell a call what became of it."""
        item.asked_for()
        if answered is None:
            admitted = _Admitted(self, item.org_id, item.reservation, item.shares, slots)
            if item.answer.done():  # who asked has gone away meanwhile
                nothing = [-share.amount for share in item.shares]
                self.settle(Settlement(item.org_id, item.reservation, item.shares, slots, nothing))
            else:
                item.answer.set_result(admitted)
        elif isinstance(answered, list):
            if not item.answer.done():
                item.answer.set_exception(reached(item.shares, cast("list[tuple[int, int | None]]", answered)))
        elif "w" in answered:
            self._wait(item, answered["w"] / 1000)
        else:
            # The time counts from before it was asked for: it is over here before it is there.
            self._open(item, slots, answered["n"], asked_s + answered["ms"] / 1000)

    def _wish(self, pending: Pending, flow: Flow) -> None:
        """Ask for a block with a call where many come, instead of one that is used up or over."""
        pending.flow, pending.wish = flow, flow.wish(self._monotonic_s(), self.settings.block_s)
        if pending.wish > 1:
            flow.asks = True
            if flow.block is not None:
                self._close(flow.block)

    def _open(self, item: Pending, slots: Sequence[int], calls: int, until_s: float) -> None:
        """A block is there: for the call that asked for it, and for those that have come meanwhile."""
        flow = item.flow
        assert flow is not None
        block = Block(item.org_id, item.reservation, item.shares, slots, calls, until_s, self.ids, self.settle)
        flow.block = block
        self._blocks.add(block)
        left_s = until_s - self._monotonic_s()
        asyncio.get_running_loop().call_later(max(left_s, 0.0) + LINGER_S, self._close, block)
        # Over or not, it was admitted by it; the others begin now.
        for one in (item, *self._waiting) if left_s > 0 else (item,):
            if one.flow is flow and not one.answer.done():
                drawn = block.draw([share.amount for share in one.shares], one.asked, one.spec, one.estimate)
                if drawn is not None:
                    one.answer.set_result(drawn)

    def _close(self, block: Block) -> bool:
        """Give back what is left of a block. False where it was."""
        self._blocks.discard(block)
        return block.close()

    def _close_blocks(self) -> bool:
        """Give all of them back. False where there are none."""
        closed = [self._close(block) for block in tuple(self._blocks)]
        return any(closed)

    def _wait(self, item: Pending, wait_s: float) -> None:
        """Room is lent: a call asks again when it has come back, this process's at once."""
        item.patience -= 1
        if self._close_blocks() and item.patience > 0:
            self._again(item)
        else:
            item.patience = 0
            later = asyncio.ensure_future(self._again_after(item, wait_s))
            self._later.add(later)
            later.add_done_callback(self._later.discard)

    async def _again_after(self, item: Pending, wait_s: float) -> None:
        await (self.clock or SystemClock()).sleep(wait_s)
        self._again(item)

    def _again(self, item: Pending) -> None:
        item.wish = 1
        self._waiting.appendleft(item)
        self._hurry.set()
        self._start()


def _fail(batch: Batch | None, error: Exception) -> None:
    for item in batch.pending if batch else ():
        item.asked_for()
        if not item.answer.done():
            item.answer.set_exception(error)
