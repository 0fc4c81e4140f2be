"""How well models do, by the records of their latest tries: over all processes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from signoff.capabilities.gateway.records import store
from signoff.core.ids import uuid7
from signoff.core.values import value
from signoff.foundation.database import Connection

MAX_CALLS = 5_000
"""Calls that are looked at, the latest."""
FAILED = ("timeout", "rate_limited", "unavailable", "setup", "quota")
"""Outcomes that speak against a model; what a request has of itself (`context_overflow`, `rejected`) does not."""


@value
class ModelHealth:
    """How a model did lately.

    Attributes:
        tries: how many calls to it there were.
        error_rate: share of them that failed by the model's or its vendor's fault, 0 to 1.
        latency_s: median and 95th percentile of calls that succeeded, in seconds; none where there was none.
        first_token_s: likewise to the first token, of streams.
    """

    model: str
    tries: int
    error_rate: float
    latency_s: tuple[float, float] | None
    first_token_s: tuple[float, float] | None


async def measured_health(
    connection: Connection, org_id: UUID, *, environment: str, since: datetime
) -> dict[str, ModelHealth]:
    """The health of each model that was tried since a moment, by its name."""
    first = uuid7(time_ms=int(since.timestamp() * 1000), random_bytes=bytes(10))
    rows = await connection.fetch(store.HEALTH, org_id, first, environment, MAX_CALLS, list(FAILED))
    return {
        row["model"]: ModelHealth(
            row["model"],
            row["tries"],
            row["failed"] / row["tries"],
            None if row["latency_s"] is None else tuple(row["latency_s"]),
            None if row["first_token_s"] is None else tuple(row["first_token_s"]),
        )
        for row in rows
    }
