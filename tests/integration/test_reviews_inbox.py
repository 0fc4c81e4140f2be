"""The inbox: what expires first, then what waits longest; each organisation its own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.review_cases import APPROVE, LEAD, NOW, another_organisation, decided, opened

from signoff.capabilities.reviews import InboxCounts, ReviewPage, count_reviews, list_reviews
from signoff.core.errors import InvalidError
from signoff.foundation.database import DEFAULT_ORG_ID, Database

HOUR = timedelta(hours=1)


def titles(page: ReviewPage) -> list[str]:
    return [review.title for review in page.reviews]


async def filled(database: Database) -> None:
    await opened(database, title="never, young", expire_at=None, opened_at=NOW + HOUR, escalate_at=NOW + 5 * HOUR)
    await opened(database, title="never, old", expire_at=None)
    await opened(database, title="late", expire_at=NOW + 48 * HOUR, role="auditor")
    await opened(database, title="soon, young", expire_at=NOW + 2 * HOUR, opened_at=NOW + HOUR)
    await opened(database, title="soon, old", expire_at=NOW + 2 * HOUR)
    review = await opened(database, title="decided")
    await decided(database, LEAD, review.review_id, APPROVE)


async def test_the_order_is_by_expiry_then_age(database: Database) -> None:
    await filled(database)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        page = await list_reviews(connection, DEFAULT_ORG_ID, now=NOW)
    assert titles(page) == ["soon, old", "soon, young", "late", "never, old", "never, young"]
    assert page.next_cursor is None


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_pages_cover_the_list_without_gap_or_repetition(database: Database, limit: int) -> None:
    await filled(database)
    found: list[str] = []
    cursor: str | None = None
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        while True:
            page = await list_reviews(connection, DEFAULT_ORG_ID, now=NOW, limit=limit, cursor=cursor)
            assert len(page.reviews) <= limit
            found += titles(page)
            if (cursor := page.next_cursor) is None:
                break
    assert found == ["soon, old", "soon, young", "late", "never, old", "never, young"]


async def test_filters(database: Database) -> None:
    await filled(database)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        everything = await list_reviews(connection, DEFAULT_ORG_ID, now=NOW, status=None)
        assert len(everything.reviews) == 6
        approved = await list_reviews(connection, DEFAULT_ORG_ID, now=NOW, status="approved")
        assert titles(approved) == ["decided"]
        mine = await list_reviews(connection, DEFAULT_ORG_ID, now=NOW, roles={"auditor"})
        assert titles(mine) == ["late"]
        before = await list_reviews(connection, DEFAULT_ORG_ID, now=NOW + HOUR, roles={"finance-manager"})
        assert titles(before) == []
        after = await list_reviews(connection, DEFAULT_ORG_ID, now=NOW + 4 * HOUR, roles={"finance-manager"})
        assert titles(after) == ["late", "never, old"]
        run_id = approved.reviews[0].run_id
        of_run = await list_reviews(connection, DEFAULT_ORG_ID, now=NOW, status=None, run_id=run_id)
        assert titles(of_run) == ["decided"]
        none = await list_reviews(connection, DEFAULT_ORG_ID, now=NOW, workflow="support/other")
        assert none == ReviewPage((), None)


async def test_what_is_past_its_expiry_is_expired_before_a_worker_says_so(database: Database) -> None:
    await filled(database)
    later = NOW + 2 * HOUR
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        still_open = await list_reviews(connection, DEFAULT_ORG_ID, now=later)
        assert titles(still_open) == ["late", "never, old", "never, young"]
        expired = await list_reviews(connection, DEFAULT_ORG_ID, now=later, status="expired")
        assert titles(expired) == ["soon, old", "soon, young"]
        assert {review.status_at(later) for review in expired.reviews} == {"expired"}


async def test_counts_for_a_badge(database: Database) -> None:
    await filled(database)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        at_start = await count_reviews(connection, DEFAULT_ORG_ID, roles={"support-lead"}, now=NOW)
        later = await count_reviews(connection, DEFAULT_ORG_ID, roles={"finance-manager"}, now=NOW + 4 * HOUR)
        nobody = await count_reviews(connection, DEFAULT_ORG_ID, roles=(), now=NOW)
    assert at_start == InboxCounts(open=5, mine=4, escalated=0, expiring=2)
    assert later == InboxCounts(open=3, mine=2, escalated=2, expiring=0)
    assert nobody == InboxCounts(open=5, mine=0, escalated=0, expiring=2)


async def test_another_organisation_has_an_empty_inbox(database: Database, database_url: str) -> None:
    await filled(database)
    async with database.transaction(another_organisation(database_url)) as connection:
        assert titles(await list_reviews(connection, DEFAULT_ORG_ID, now=NOW, status=None)) == []
        counts = await count_reviews(connection, DEFAULT_ORG_ID, roles={"support-lead"}, now=NOW)
    assert counts == InboxCounts(0, 0, 0, 0)


@pytest.mark.parametrize("cursor", ["", "x", "W10=", "W251bGwsICJ4IiwgInkiXQ==", "é", "bnVsbA=="])
async def test_a_cursor_from_elsewhere_is_refused(database: Database, cursor: str) -> None:
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        with pytest.raises(InvalidError, match="cursor"):
            await list_reviews(connection, DEFAULT_ORG_ID, now=NOW, cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 201])
async def test_a_page_has_bounds(database: Database, limit: int) -> None:
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        with pytest.raises(InvalidError, match="1 to 200"):
            await list_reviews(connection, DEFAULT_ORG_ID, now=NOW, limit=limit)
