"""Calls and costs for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from uuid import UUID

import orjson

from signoff.capabilities.gateway.records import store
from signoff.capabilities.gateway.records.model import CallFilter, CallSummary, CostFilter, CostLine, Difference
from signoff.capabilities.gateway.records.store import COST_BY
from signoff.core.errors import InvalidError, NotFoundError, did_you_mean
from signoff.foundation.database import Connection, Record

MAX_LISTED = 201
"""Rows that are read at once: a page, and one more to know whether another follows."""

__all__ = ["COST_BY", "list_calls", "read_call", "read_costs", "read_differences"]


async def list_calls(
    connection: Connection, org_id: UUID, wanted: CallFilter, *, after: UUID | None = None, limit: int = MAX_LISTED
) -> list[CallSummary]:
    """An organisation's calls, newest first, those before a given one."""
    rows = await connection.fetch(
        store.LIST,
        org_id,
        after,
        wanted.run_id,
        wanted.team,
        wanted.workflow,
        wanted.model,
        wanted.outcome,
        wanted.project,
        wanted.environment,
        min(limit, MAX_LISTED),
    )
    return [_call(row) for row in rows]


async def read_call(connection: Connection, org_id: UUID, call_id: UUID) -> CallSummary:
    """One call.

    Raises:
        NotFoundError: there is none of that id in the organisation, or not any more.
    """
    row = await connection.fetchrow(store.READ, org_id, call_id)
    if row is None:
        raise NotFoundError(f"There is no record of a model call {call_id}.")
    return _call(row)


async def read_costs(
    connection: Connection,
    org_id: UUID,
    wanted: CostFilter,
    by: Sequence[str],
    *,
    after: Sequence[str] | None = None,
    limit: int = MAX_LISTED,
) -> list[CostLine]:
    """What calls came to, summed up by some of `COST_BY`, in the order of those; the lines after a given one.

    Raises:
        InvalidError: `by` names something else, or nothing.
    """
    for name in by:
        if name not in COST_BY:
            suggestion = did_you_mean(name, COST_BY) or f"Costs are summed up by: {', '.join(COST_BY)}."
            raise InvalidError(f"Costs cannot be summed up by '{name}'. {suggestion}")
    if not by or len(set(by)) != len(by) or (after is not None and len(after) != len(by)):
        raise InvalidError(f"Say by what to sum up, each once, of: {', '.join(COST_BY)}.")
    statement = store.COSTS_OF_CALLS if any(name in store.OF_CALLS for name in by) else store.COSTS_OF_DAYS
    rows = await connection.fetch(statement, *_filter(org_id, wanted), after, min(limit, MAX_LISTED), list(by))
    return [
        CostLine(
            tuple(row["by"]),
            row["calls"],
            row["failed_calls"],
            row["cached_calls"],
            row["tries"],
            row["input_tokens"],
            row["output_tokens"],
            row["cost_micro_usd"],
        )
        for row in rows
    ]


async def read_differences(
    connection: Connection, org_id: UUID, wanted: CostFilter, *, after: str | None = None, limit: int = MAX_LISTED
) -> list[tuple[str, Difference]]:
    """What was estimated, reported and counted of each model and day, each with the cursor behind it."""
    rows = await connection.fetch(store.DIFFERENCES, *_filter(org_id, wanted), after, min(limit, MAX_LISTED))
    return [(row["place"], Difference(**{one.name: row[one.name] for one in fields(Difference)})) for row in rows]


def _filter(org_id: UUID, wanted: CostFilter) -> tuple[object, ...]:
    named = (wanted.project, wanted.environment, wanted.team, wanted.workflow, wanted.model)
    return (org_id, wanted.first, wanted.last, *named)


def _call(row: Record) -> CallSummary:
    facts = {one.name: row[one.name] for one in fields(CallSummary) if one.name != "details"}
    return CallSummary(**facts, details=orjson.loads(row["details"]))
