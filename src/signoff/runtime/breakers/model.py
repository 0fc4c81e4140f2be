"""A breaker as people and workers see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

State = Literal["closed", "open", "half_open"]
Key = tuple[UUID, str]


@dataclass(frozen=True, slots=True)
class Breaker:
    """One breaker that has seen failures.

    Attributes:
        target: what it is about: `tool/payments.refund`, `model/vendor/main`.
        state: closed lets calls through; open lets none; half_open lets one through, to see.
        failures: how many there were in the window, as of the last one.
        slow_calls: likewise.
        trips: how often in a row it was opened.
        retry_at: when the next call may be let through; none of a closed one.
        reason: the kind of the latest failure, or `slow`.
        changed_at: when it last changed its state, or was made.
    """

    target: str
    state: State
    failures: int
    slow_calls: int
    trips: int
    retry_at: datetime | None
    reason: str
    changed_at: datetime
