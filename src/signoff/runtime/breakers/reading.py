"""Breakers for people."""

from __future__ import annotations

from uuid import UUID

from signoff.foundation.database import Connection
from signoff.runtime.breakers import store
from signoff.runtime.breakers.model import Breaker

MAX_LISTED = 201
"""Breakers that are read at once: a page, and one more to know whether another follows."""


async def list_breakers(
    connection: Connection, org_id: UUID, *, after: str | None = None, limit: int = MAX_LISTED
) -> list[Breaker]:
    """An organisation's breakers by target, those after a given one. Targets that never failed have none."""
    rows = await connection.fetch(store.LIST, org_id, after, min(limit, MAX_LISTED))
    return [Breaker(**dict(row)) for row in rows]
