"""Room for many calls at once: blocks, which a process spends by itself, without asking the database for each call.

A block is a reservation of many calls' room (escrow: O'Neil, "The Escrow Transactional Method", 1986). It stands in the
counters from the moment it is made, so whatever is spent of it is within every limit, in all processes. Its calls begin
before its end, which comes no later than that of the part of any window that counts it: no call is counted in an
earlier part than the one in which it began. Then what is left goes back, and each call that is still under way has a
reservation of its own. A process that dies leaves its block spent in full.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from signoff.capabilities.gateway.asking import Asked, Caller, Estimate
from signoff.capabilities.gateway.limits.counting import Counted, Share, counted_by, used_of
from signoff.catalog.model_limits import ModelLimit
from signoff.catalog.models import ModelSpec
from signoff.core.ids import IdSource
from signoff.core.money import Usage

KNOWN_FLOWS = 4_096
"""Of how many callers, by model, it is kept what counts them: a program asks with the same key all day."""
FEW = 4
"""Calls that come one by one are asked for one by one: so many are worth a block."""
SPARE = 1.25
"""A block has room for so many times the calls that came lately in as long."""
GROWTH = 2
"""And at most so many times those that came since the last one: the first calls say little of how many will come."""
LARGEST = 256
"""Calls of a block: of what a process takes with it when it dies."""


def about(asked: Asked, spec: ModelSpec, estimate: Estimate) -> dict[str, Any]:
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


@dataclass(slots=True)
class Kept:
    """A call under way of a block that is over: it has a reservation of its own from then on."""

    reservation: UUID
    about: Mapping[str, Any]


@dataclass(slots=True)
class Settlement:
    """What a call came to, or all calls of a block.

    Attributes:
        kept: of a block, its calls under way; none of a single call.
        asked: of a block, what its calls asked for beyond the one that it was made for.
        lent: of a block, how much it was.
    """

    org_id: UUID
    reservation: UUID
    shares: Sequence[Share]
    slots: Sequence[int]
    differences: Sequence[int]
    kept: Sequence[Kept] | None = None
    asked: Sequence[int] = ()
    lent: Sequence[int] = ()


@dataclass(slots=True, eq=False)
class Block:
    """Room for calls that are counted alike.

    Args:
        shares: what the call needs that it was made for.
        slots: which part of each window counts it.
        calls: how many such calls it has room for.
        until_s: its end, on the ledger's clock.
        settle: writes what it came to.
    """

    org_id: UUID
    reservation: UUID
    shares: Sequence[Share]
    slots: Sequence[int]
    calls: int
    until_s: float
    ids: IdSource
    settle: Callable[[Settlement], None]
    open: bool = True
    _free: list[int] = field(default_factory=list[int])
    _asked: list[int] = field(default_factory=list[int])
    _under_way: set[Drawn] = field(default_factory=set["Drawn"])

    def __post_init__(self) -> None:
        self._free = [share.amount * self.calls for share in self.shares]
        self._asked = [-share.amount for share in self.shares]

    def draw(self, amounts: Sequence[int], asked: Asked, spec: ModelSpec, estimate: Estimate) -> Drawn | None:
        """Room for one call; none where there is not enough of it."""
        free = self._free
        for at, needs in enumerate(amounts):
            if needs > free[at]:
                return None
        for at, needs in enumerate(amounts):
            free[at] -= needs
            self._asked[at] += needs
        drawn = Drawn(self, amounts, asked, spec, estimate)
        self._under_way.add(drawn)
        return drawn

    def ended(self, drawn: Drawn, usage: Usage) -> None:
        """A call has come to so much: what it did not need is there for others, while the block is."""
        differences = [
            used_of(share.unit, usage) - needed for share, needed in zip(self.shares, drawn.amounts, strict=True)
        ]
        if self.open:
            self._under_way.discard(drawn)
            for at, difference in enumerate(differences):
                self._free[at] -= difference
        elif drawn.reservation is not None:
            self.settle(Settlement(self.org_id, drawn.reservation, self.shares, self.slots, differences))

    def close(self) -> bool:
        """Give back what is left; calls under way have reservations of their own from now on. False where it was."""
        if not self.open:
            return False
        self.open = False
        kept: list[Kept] = []
        for drawn in self._under_way:
            drawn.reservation = self.ids()
            kept.append(Kept(drawn.reservation, about(drawn.asked, drawn.spec, drawn.estimate)))
        self._under_way.clear()
        lent = [share.amount * self.calls for share in self.shares]
        back = [-free for free in self._free]
        self.settle(Settlement(self.org_id, self.reservation, self.shares, self.slots, back, kept, self._asked, lent))
        return True


@dataclass(slots=True, eq=False)
class Drawn:
    """Room for one call, of a block.

    Attributes:
        reservation: its own, once its block is over.
    """

    block: Block
    amounts: Sequence[int]
    asked: Asked
    spec: ModelSpec
    estimate: Estimate
    reservation: UUID | None = None
    settled: bool = False

    async def settle(self, usage: Usage) -> None:
        """Tell what was used. A second time does nothing."""
        if not self.settled:
            self.settled = True
            self.block.ended(self, usage)


@dataclass(slots=True, eq=False)
class Flow:
    """Calls that the same limits count alike: of one caller, to one model.

    Attributes:
        limits: the release's, by which `counted` was found.
        counted: what counts them.
        asks: whether a block is being asked for.
    """

    limits: Sequence[ModelLimit]
    counted: Sequence[Counted]
    block: Block | None = None
    asks: bool = False
    _calls: int = 0
    _since_s: float = 0.0

    def draw(
        self, now_s: float, amounts: Sequence[int], asked: Asked, spec: ModelSpec, estimate: Estimate
    ) -> Drawn | None:
        """Room for one call of the block; none where there is none, or not enough of it."""
        self._calls += 1
        block = self.block
        if block is None or not block.open or now_s >= block.until_s:
            return None
        return block.draw(amounts, asked, spec, estimate)

    def wish(self, now_s: float, life_s: float) -> int:
        """For how many calls room is to be asked for, for the next `life_s` seconds, by those that came lately."""
        if self.asks or life_s <= 0:
            return 1
        elapsed_s, calls = now_s - self._since_s, self._calls
        if elapsed_s > 2 * life_s or elapsed_s < 0:
            self._since_s, self._calls = now_s, 1
            return 1
        if calls < FEW:
            return 1
        self._since_s, self._calls = now_s, 0
        will_come = math.ceil(calls * SPARE * life_s / max(elapsed_s, life_s / LARGEST))
        return min(will_come, calls * GROWTH, LARGEST)


class Flows:
    """The flows of a process, bounded."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Flow] = {}

    def of(self, limits: Sequence[ModelLimit], caller: Caller, model: str) -> Flow:
        """The flow of a caller's calls to a model: all runs of a workflow that the same person starts are one."""
        key = (
            caller.org_id,
            caller.project,
            caller.environment,
            caller.team,
            caller.key,
            caller.workflow,
            caller.principal,
            model,
        )
        found = self._known.get(key)
        if found is None or found.limits is not limits:
            if len(self._known) >= KNOWN_FLOWS:
                self._known.pop(next(iter(self._known)))
            found = self._known[key] = Flow(limits, counted_by(limits, caller, model))
        return found
