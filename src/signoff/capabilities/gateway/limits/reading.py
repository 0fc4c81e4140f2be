"""What is used of limits now, for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast, get_args
from uuid import UUID

import orjson

from signoff.capabilities.gateway.limits import store
from signoff.catalog.model_limits import Calendar, Window
from signoff.core.values import value
from signoff.foundation.database import Connection, Record

MAX_LISTED = 201
"""Rows that are read at once: a page, and one more to know whether another follows."""
_LENGTHS_S = {"minute": 60, "hour": 3_600, "day": 86_400}


@value
class LimitUse:
    """What is used of one limit of one holder.

    Attributes:
        counter: names the count.
        of: `project`, `team`, `workflow`, `key` or `model`.
        holder: whose it is; empty of a project.
        unit: `requests`, `tokens` or `micro_usd`.
        every: its window, as `models.yaml` may say it.
        used: how much of it is used or set aside in the window now.
        most: how much there is, as the last call that it counted knew it.
    """

    counter: str
    of: str
    holder: str
    unit: str
    every: str
    used: int
    most: int


async def list_uses(
    connection: Connection,
    org_id: UUID,
    *,
    project: str,
    environment: str,
    of: str = "",
    holder: str = "",
    after: Sequence[str] = ("", "", ""),
    now: datetime | None = None,
    limit: int = MAX_LISTED,
) -> list[LimitUse]:
    """Limits that were asked for in their last two windows, by what they are of, whose they are and their counter.

    Args:
        connection: in a transaction of the organisation.
        org_id: whose.
        project: whose calls were asked.
        environment: where they were.
        of: only these; all where empty.
        holder: likewise.
        after: `of`, `holder` and `counter` of the last of the page before.
        now: the time; the database's where not given.
        limit: how many.
    """
    few = min(limit, MAX_LISTED)
    rows = await connection.fetch(store.LIST, org_id, project, environment, now, of, holder, *after, few)
    return [_use(row) for row in rows]


def _use(row: Record) -> LimitUse:
    about: dict[str, Any] = orjson.loads(row["about"])
    window, slots = _window(about["every"]), row["slots"]
    oldest = _slot(window, row["moment"]) - slots + 1
    # `slots` numbers of each who shares it, the oldest part first.
    used = sum(amount for place, amount in enumerate(row["used"]) if row["slot"] - slots + 1 + place % slots >= oldest)
    return LimitUse(row["counter"], about["of"], about["holder"], about["unit"], window.told, used, row["most"])


def _window(name: str) -> Window:
    if name in get_args(Calendar):
        return Window(calendar=cast("Calendar", name))
    return Window(length_s=float(name.removesuffix("s")))


def _slot(window: Window, moment: datetime) -> int:
    """The part of a window that a moment is in, as the database counts them."""
    at = moment.astimezone(UTC)
    if window.calendar == "month":
        return at.year * 12 + at.month - 1
    length_s = window.slot_s if window.calendar is None else _LENGTHS_S[window.calendar]
    return int(at.timestamp() * 1_000) // round(length_s * 1_000)
