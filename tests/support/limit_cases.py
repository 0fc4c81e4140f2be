"""What the tests of limits share: callers, models, estimates, a clock that tests move, and a ledger over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from signoff.capabilities.gateway.asking import Asked, Caller, Estimate
from signoff.capabilities.gateway.limits import LimitLedger, LimitSettings
from signoff.catalog.model_limits import ModelLimit, Window
from signoff.catalog.models import ModelSpec
from signoff.core.money import Cost, Usage
from signoff.foundation.database import DEFAULT_ORG_ID, Database

MINUTE = Window(length_s=60.0)
MONTH = Window(calendar="month")
MODEL = ModelSpec("vendor/main", "openai_compatible", {"model": "m"})
ONE_CALL = Usage(1, 10, 5, Cost(100))


@dataclass
class MovedClock:
    """A clock that tests move."""

    at: datetime = field(default_factory=lambda: datetime(2026, 5, 1, tzinfo=UTC))

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def asked(team: str = "support", *, org_id: UUID = DEFAULT_ORG_ID, **facts: Any) -> Asked:
    """A call on a team's account."""
    caller: dict[str, Any] = {
        "org_id": org_id,
        "project": "shop",
        "environment": "dev",
        "release": "r1",
        "principal": f"key/{team}",
        "team": team,
    }
    return Asked(Caller(**{**caller, **facts}))


def estimate(tokens: int = 15, cost: int | None = 100) -> Estimate:
    """What a call may come to."""
    return Estimate(tokens, 0, None if cost is None else Cost(cost))


def ledger(
    database: Database,
    *limits: ModelLimit,
    clock: MovedClock | None = None,
    settings: LimitSettings | None = None,
) -> LimitLedger:
    """A ledger whose callers all have those limits."""

    async def limits_of(_: Caller) -> Sequence[ModelLimit]:
        return limits

    return LimitLedger(database, limits_of, settings=settings or LimitSettings(), clock=clock)
