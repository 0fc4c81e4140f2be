"""The inbox: what waits for whom, by expiry and then by age."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from signoff.core.errors import InvalidError, Problem
from signoff.foundation.database import Connection

from . import store
from .model import DEFAULT_LIMITS, InboxCounts, ReviewLimits, ReviewPage, ReviewStatus, ReviewSummary

DEFAULT_PAGE = 50
"""Reviews in a page where nobody asked for another number."""

EXPIRING_WITHIN = timedelta(hours=24)
"""How near an expiry is for the badge to count it."""


async def list_reviews(
    connection: Connection,
    org_id: UUID,
    *,
    now: datetime,
    status: ReviewStatus | None = "open",
    roles: Iterable[str] | None = None,
    run_id: UUID | None = None,
    workflow: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_PAGE,
    limits: ReviewLimits = DEFAULT_LIMITS,
) -> ReviewPage:
    """A page of the organisation's reviews: what expires first, then what has waited longest.

    Args:
        connection: within a transaction of that organisation.
        org_id: the organisation.
        now: an open review past its expiry is listed as expired; roles count from their escalation on.
        status: only those; none for all.
        roles: only those that a holder of one of these roles may decide, such as `actor.roles`; none for all.
        run_id: only those of that run.
        workflow: only those of that workflow.
        cursor: a page's `next_cursor`, to go on behind it. Reviews that open meanwhile do not disturb it.
        limit: reviews in the page, from 1 to `limits.page`.
        limits: the bounds.

    Raises:
        InvalidError: a cursor that no page gave, or a limit out of bounds.
    """
    if not 1 <= limit <= limits.page:
        detail = f"a page has 1 to {limits.page} reviews, not {limit}."
        raise InvalidError(detail, problems=[Problem(detail, pointer="/limit")])
    found = await store.list_page(
        connection,
        org_id,
        status=status,
        roles=None if roles is None else sorted(roles),
        run_id=run_id,
        workflow=workflow,
        after=None if cursor is None else _position(cursor),
        limit=limit + 1,
        now=now,
    )
    page = found[:limit]
    return ReviewPage(tuple(page), cursor_of(page[-1]) if len(found) > limit else None)


async def count_reviews(
    connection: Connection,
    org_id: UUID,
    *,
    roles: Iterable[str],
    now: datetime,
    expiring_within: timedelta = EXPIRING_WITHIN,
) -> InboxCounts:
    """How many reviews are open, and of them how many are for these roles, escalated, or about to expire."""
    return await store.count(connection, org_id, sorted(roles), now, now + expiring_within)


def cursor_of(review: ReviewSummary) -> str:
    """The cursor right behind a review."""
    expire_at = None if review.expire_at is None else review.expire_at.isoformat()
    position = [expire_at, review.opened_at.isoformat(), review.review_id.hex]
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _position(cursor: str) -> tuple[datetime | None, datetime, UUID]:
    try:
        expire_at, opened_at, review_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        position = (
            None if expire_at is None else datetime.fromisoformat(expire_at),
            datetime.fromisoformat(opened_at),
            UUID(hex=review_id),
        )
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        detail = "this cursor is not one that a list gave; start again without it."
        raise InvalidError(detail, problems=[Problem(detail, pointer="/cursor")]) from error
    if any(moment is not None and moment.tzinfo is None for moment in position[:2]):
        raise InvalidError("this cursor is not one that a list gave; start again without it.")
    return position
