"""Pages of lists: bounded, with a cursor, showing only what policy lets the asker see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Query

MAX_PAGE = 200
"""Items on one page."""
DEFAULT_PAGE = 50
MAX_SCANS = 10
"""Reads for one page where policy hides most of what is read; the cursor then goes on from there."""

Item = TypeVar("Item")
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Items on the page.")]


async def visible_page(
    read: Callable[[str | None, int], Awaitable[tuple[list[Item], str | None]]],
    visible: Callable[[Item], Awaitable[bool]],
    cursor_of: Callable[[Item], str],
    *,
    cursor: str | None,
    limit: int,
) -> tuple[list[Item], str | None]:
    """Up to `limit` visible items after a cursor, and the next cursor; none at the end.

    Args:
        read: the rows after a cursor, at most as many as asked, and the cursor behind them, none at the end.
        visible: whether the asker may see an item.
        cursor_of: the cursor right behind an item.
        cursor: where to begin.
        limit: items wanted.
    """
    found: list[Item] = []
    position = cursor
    for _ in range(MAX_SCANS):
        rows, after = await read(position, limit)
        for index, row in enumerate(rows):
            if await visible(row):
                found.append(row)
            if len(found) == limit:
                at_end = after is None and index == len(rows) - 1
                return found, None if at_end else cursor_of(row)
        if after is None:
            return found, None
        position = after
    return found, position
