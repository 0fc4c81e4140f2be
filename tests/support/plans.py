"""Plans of PostgreSQL as tests look at them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg


def planned(connection: psycopg.Connection, statement: str) -> list[dict[str, Any]]:
    """The nodes of the plan that does without the parameters, as it is kept for all batches."""
    row = connection.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {statement}".encode()).fetchone()
    assert row is not None
    return list(_nodes(row[0][0]["Plan"]))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
