"""What the ledger writes in one statement, as the database reads it: calls that wait for room, what others came to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from signoff.capabilities.gateway.asking import Admission, Asked, Estimate, LimitReached
from signoff.capabilities.gateway.limits.counting import Counter, Share
from signoff.capabilities.gateway.limits.flows import Flow, Settlement, about
from signoff.catalog.models import ModelSpec

_GRAVEST = ("refuse", "ask", "park", "cheaper")


@dataclass(slots=True)
class Pending:
    """A call that waits for room.

    Attributes:
        flow: whose calls it is one of; none where it is counted alone.
        wish: for how many such calls room is wished.
        patience: how often it is asked again where there is room that is lent to others, before it is refused.
    """

    org_id: UUID
    reservation: UUID
    shares: Sequence[Share]
    asked: Asked
    spec: ModelSpec
    estimate: Estimate
    answer: asyncio.Future[Admission]
    flow: Flow | None = None
    wish: int = 1
    patience: int = 2

    def asked_for(self) -> None:
        """It has been answered, or will not be: its flow may ask for a block again."""
        if self.wish > 1 and self.flow is not None:
            self.flow.asks = False


@dataclass(slots=True)
class Batch:
    """What is written in one statement."""

    pending: Sequence[Pending]
    settled: Sequence[Settlement]

    def counters(self) -> list[Counter]:
        """All that it touches, in the order in which they are locked."""
        found = {share.counter for item in (*self.pending, *self.settled) for share in item.shares}
        return sorted(found, key=lambda counter: (str(counter.org_id), counter.id))

    def arguments(self, counters: Sequence[Counter], *, lease_s: float, block_s: float) -> tuple[str, str, str]:
        """Counters, settlements and admissions as JSON."""
        place = {counter: number for number, counter in enumerate(counters, 1)}
        lease_ms, block_ms = round(lease_s * 1000), round(block_s * 1000)
        return (
            _json([_counter(counter) for counter in counters]),
            _json([_settlement(item, place, lease_ms) for item in self.settled]),
            _json([_admission(item, place, lease_ms, block_ms) for item in self.pending]),
        )


def reached(shares: Sequence[Share], misses: Sequence[tuple[int, int | None]]) -> LimitReached:
    """The gravest of the limits that have no room, and when all of them have some again."""
    missed = [shares[which] for which, _ in misses]
    first = min(missed, key=lambda share: _GRAVEST.index(share.at_limit))
    waits = [wait_ms for _, wait_ms in misses]
    known = [wait_ms for wait_ms in waits if wait_ms is not None]
    retry_after_s = max(known) / 1000 if len(known) == len(waits) else None
    kind = "budget" if first.unit == "micro_usd" else "quota"
    return LimitReached(kind, first.told, first.at_limit, retry_after_s)


def _counter(counter: Counter) -> dict[str, Any]:
    told = dict(counter.about)
    return {"o": str(counter.org_id), "c": counter.id, "n": counter.slots, "ms": counter.slot_ms, "about": told}


def _settlement(item: Settlement, place: Mapping[Counter, int], lease_ms: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "o": str(item.org_id),
        "r": str(item.reservation),
        "x": [place[share.counter] for share in item.shares],
        "d": list(item.differences),
        "t": list(item.slots),
        "s": [share.sharer for share in item.shares],
    }
    if item.kept is not None:
        kept = [{"r": str(one.reservation), "lease_ms": lease_ms, "about": one.about} for one in item.kept]
        found |= {"k": kept, "a": list(item.asked), "l": list(item.lent)}
    return found


def _admission(item: Pending, place: Mapping[Counter, int], lease_ms: int, block_ms: int) -> dict[str, Any]:
    over_limit = item.asked.over_limit
    found: dict[str, Any] = {
        "o": str(item.org_id),
        "r": str(item.reservation),
        "x": [place[share.counter] for share in item.shares],
        "a": [share.amount for share in item.shares],
        "m": [share.most for share in item.shares],
        "f": [over_limit and share.at_limit == "ask" for share in item.shares],
        "s": [share.sharer for share in item.shares],
        "w": item.patience > 0,
        "lease_ms": lease_ms,
        "about": about(item.asked, item.spec, item.estimate),
    }
    if item.wish > 1:
        found |= {"n": item.wish, "ms": block_ms}
    return found


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
