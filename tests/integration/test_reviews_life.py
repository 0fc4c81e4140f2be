"""Opening, escalating, expiring and withdrawing: each once, whoever calls how often."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from support.review_cases import APPROVE, LEAD, NOW, another_organisation, decided, opened, request_for, started_run

from signoff.capabilities.reviews import Review, escalate, expire, open_review, read_review, withdraw
from signoff.core.errors import ConflictError, InvalidError, LimitError, NotFoundError
from signoff.core.ids import uuid7
from signoff.core.labels import Trust
from signoff.foundation.database import DEFAULT_ORG_ID, Database, DatabaseError, constraint_of

ESCALATION = NOW + timedelta(hours=4)
EXPIRY = NOW + timedelta(days=2)


async def test_what_was_opened_is_read_back_exactly(database: Database) -> None:
    review = await opened(database)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert await read_review(connection, DEFAULT_ORG_ID, review.review_id) == review
    assert (review.status, review.version, review.role, review.escalate_to) == (
        "open", 1, "support-lead", ("finance-manager",),
    )  # fmt: skip
    assert list(review.shown) == ["input.ticket.text", "order"]
    assert review.shown["input.ticket.text"] == "my jug \0 is broken"
    assert review.labels["cents"].trust is Trust.UNTRUSTED
    assert review.sources == {"cents": "${facts.cents}"}


async def test_opening_again_after_a_crash_finds_the_first(database: Database) -> None:
    run_id = await started_run(database)

    async def open_once() -> Any:
        async with database.worker_transaction() as connection:
            return await open_review(connection, DEFAULT_ORG_ID, request_for(run_id))

    reviews = await asyncio.gather(*(open_once() for _ in range(4)))
    assert len({review.review_id for review in reviews}) == 1
    await decided(database, LEAD, reviews[0].review_id, APPROVE)
    assert (await open_once()).status == "approved"


async def test_a_step_cannot_present_something_else_the_second_time(database: Database) -> None:
    review = await opened(database)
    changed = request_for(review.run_id, proposed={"order": "W1", "cents": 999_999})
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        with pytest.raises(ConflictError, match="presents something else"):
            await open_review(connection, DEFAULT_ORG_ID, changed)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"role": "role/"}, InvalidError),
        ({"escalate_to": ()}, InvalidError),
        ({"escalate_at": None}, InvalidError),
        ({"editable": ("amount",)}, InvalidError),
        ({"shown": {"x": float("nan")}}, InvalidError),
        ({"shown": {"x": "y" * 1_100_000}}, LimitError),
    ],
)
async def test_what_nobody_could_decide_is_not_opened(
    database: Database, changes: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await opened(database, **changes)


async def test_an_escalation_is_recorded_once(database: Database) -> None:
    review = await opened(database)
    async with database.worker_transaction() as connection:
        assert not await escalate(connection, DEFAULT_ORG_ID, review.review_id, now=ESCALATION - timedelta(seconds=1))
        assert await escalate(connection, DEFAULT_ORG_ID, review.review_id, now=ESCALATION)
        assert not await escalate(connection, DEFAULT_ORG_ID, review.review_id, now=EXPIRY)
        after = await read_review(connection, DEFAULT_ORG_ID, review.review_id)
    assert (after.status, after.escalated_at, after.version) == ("open", ESCALATION, 2)


async def test_nothing_escalates_that_is_decided_or_was_never_to(database: Database) -> None:
    done, quiet = await opened(database), await opened(database, escalate_at=None, escalate_to=())
    await decided(database, LEAD, done.review_id, APPROVE)
    async with database.worker_transaction() as connection:
        assert not await escalate(connection, DEFAULT_ORG_ID, done.review_id, now=EXPIRY)
        assert not await escalate(connection, DEFAULT_ORG_ID, quiet.review_id, now=EXPIRY)


async def test_expiring_waits_for_the_time_and_happens_once(database: Database) -> None:
    review = await opened(database)
    async with database.worker_transaction() as connection:
        early = await expire(connection, DEFAULT_ORG_ID, review.review_id, now=EXPIRY - timedelta(seconds=1))
        first = await expire(connection, DEFAULT_ORG_ID, review.review_id, now=EXPIRY)
        second = await expire(connection, DEFAULT_ORG_ID, review.review_id, now=EXPIRY + timedelta(days=1))
    assert early == review
    assert (first.status, first.closed_at, first.decided_by) == ("expired", EXPIRY, None)
    assert second == first


async def test_expiry_and_withdrawal_never_undo_a_decision(database: Database) -> None:
    review = await opened(database)
    approved = await decided(database, LEAD, review.review_id, APPROVE)
    async with database.worker_transaction() as connection:
        assert await expire(connection, DEFAULT_ORG_ID, review.review_id, now=EXPIRY) == approved
        assert await withdraw(connection, DEFAULT_ORG_ID, review.review_id, now=EXPIRY) == approved


async def test_withdrawing_twice_is_as_once(database: Database) -> None:
    review = await opened(database)
    async with database.worker_transaction() as connection:
        first = await withdraw(connection, DEFAULT_ORG_ID, review.review_id, now=NOW)
        assert await withdraw(connection, DEFAULT_ORG_ID, review.review_id, now=EXPIRY) == first
    assert (first.status, first.closed_at) == ("withdrawn", NOW)


async def test_whoever_comes_first_of_decision_expiry_and_withdrawal_wins(database: Database) -> None:
    async def expired(review_id: UUID) -> Review:
        async with database.worker_transaction() as connection:
            return await expire(connection, DEFAULT_ORG_ID, review_id, now=EXPIRY)

    async def withdrawn(review_id: UUID) -> Review:
        async with database.worker_transaction() as connection:
            return await withdraw(connection, DEFAULT_ORG_ID, review_id, now=EXPIRY)

    for _ in range(5):
        review_id = (await opened(database)).review_id
        answers = await asyncio.gather(
            expired(review_id),
            decided(database, LEAD, review_id, APPROVE),
            withdrawn(review_id),
            return_exceptions=True,
        )
        async with database.worker_transaction() as connection:
            end = await read_review(connection, DEFAULT_ORG_ID, review_id)
        assert end.version == 2
        refused = [answer for answer in answers if isinstance(answer, ConflictError)]
        assert len(refused) == (end.status != "approved")
        assert all(answer == end for answer in answers if isinstance(answer, Review))


async def test_what_is_unknown_is_not_found(database: Database) -> None:
    async with database.worker_transaction() as connection:
        with pytest.raises(NotFoundError):
            await expire(connection, DEFAULT_ORG_ID, uuid7(), now=NOW)
        with pytest.raises(NotFoundError):
            await withdraw(connection, DEFAULT_ORG_ID, uuid7(), now=NOW)
        assert not await escalate(connection, DEFAULT_ORG_ID, uuid7(), now=NOW)


async def test_no_organisation_writes_into_another(database: Database, database_url: str) -> None:
    elsewhere = another_organisation(database_url)
    run_id = await started_run(database)
    with pytest.raises(DatabaseError, match="row-level security"):
        async with database.transaction(elsewhere) as connection:
            await open_review(connection, DEFAULT_ORG_ID, request_for(run_id))


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("status = 'approved'", None),
        ("status = 'approved', closed_at = now(), final_values = '{}'", "review_decided_by_somebody"),
        ("status = 'approved', closed_at = now(), decided_by = 'user/x'", "review_approved_with_values"),
        ("status = 'rejected', closed_at = now(), decided_by = 'user/x'", "review_rejected_with_reason"),
        ("status = 'rejected', closed_at = now(), decided_by = 'user/x', reason = ''", "review_rejected_with_reason"),
        ("status = 'expired'", "review_closed_if_not_open"),
        ("presented = '{}'", "review_digest_is_of_what_was_presented"),
        ("escalate_to = '{}'", "review_escalates_to_somebody"),
        ("reason = 'because'", "review_words_only_of_a_decision"),
    ],
)
async def test_wrong_states_cannot_be_stored(database: Database, change: str, constraint: str | None) -> None:
    review = await opened(database)
    with pytest.raises(DatabaseError) as caught:
        async with database.worker_transaction() as connection:
            await connection.execute(f"UPDATE review SET {change} WHERE review_id = $1", review.review_id)
    assert constraint_of(caught.value) is not None
    assert constraint in (None, constraint_of(caught.value))
