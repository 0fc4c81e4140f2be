"""Runs that wake together learn together what became of their reviews."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.proxy import once_back, proxied
from support.review_cases import APPROVE, LEAD, REJECT, another_organisation, decided, opened

from signoff.capabilities.reviews.results import ReviewResults
from signoff.core.errors import UnavailableError
from signoff.core.ids import uuid7
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.foundation.settings import DatabaseSettings


async def test_each_gets_its_own_and_an_open_one_none(database: Database) -> None:
    approved, rejected, still_open = [await opened(database) for _ in range(3)]
    await decided(database, LEAD, approved.review_id, APPROVE)
    await decided(database, LEAD, rejected.review_id, REJECT)
    results = ReviewResults(database)
    asked = [approved.review_id, rejected.review_id, still_open.review_id, uuid7(), approved.review_id]
    found = await asyncio.gather(*(results.of(DEFAULT_ORG_ID, review_id) for review_id in asked))
    assert [result and result.status for result in found] == ["approved", "rejected", None, None, "approved"]
    assert found[0] is not None
    assert (found[0].final_values, found[0].digest) == (approved.proposed, approved.digest)
    assert found[0].decided_by == str(LEAD)


async def test_another_organisation_finds_nothing_under_the_id(database: Database, database_url: str) -> None:
    review = await opened(database)
    await decided(database, LEAD, review.review_id, APPROVE)
    other = another_organisation(database_url)
    assert await ReviewResults(database).of(other, review.review_id) is None


async def test_everybody_is_told_where_the_database_is_away_and_may_ask_again(
    database: Database, database_url: str
) -> None:
    review = await opened(database)
    await decided(database, LEAD, review.review_id, APPROVE)
    gone = await Database.open(DatabaseSettings(url=database_url, recovery_wait_s=0.05))
    results = ReviewResults(gone)
    await gone.close()
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await results.of(DEFAULT_ORG_ID, review.review_id)


async def test_a_reading_that_gets_no_answer_holds_up_nobody_for_ever(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    review = await opened(database)
    await decided(database, LEAD, review.review_id, APPROVE)
    async with (
        proxied(database_url, tmp_path) as (proxy, url),
        await Database.open(DatabaseSettings(url=url, connect_timeout_s=2.0)) as behind,
    ):
        results = ReviewResults(behind, read_s=0.3)
        proxy.hold()
        with pytest.raises(UnavailableError):
            await asyncio.wait_for(results.of(DEFAULT_ORG_ID, review.review_id), 20)
        proxy.release()
        assert await once_back(lambda: results.of(DEFAULT_ORG_ID, review.review_id)) is not None
