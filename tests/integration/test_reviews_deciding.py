"""A review is decided once, by who may, on what was shown; and its run is told in the same transaction."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from support.review_cases import (
    ADMIN,
    APPROVE,
    FINANCE,
    FOUR_EYES,
    HIGH_AMOUNTS,
    LEAD,
    NOW,
    OTHER_LEAD,
    REJECT,
    another_organisation,
    decided,
    opened,
    policies,
    started_run,
)

from signoff.capabilities.reviews import Review, ReviewDecision, decide, expire, read_review, withdraw
from signoff.core.actors import Actor
from signoff.core.errors import ConflictError, ForbiddenError, InvalidError, LimitError, NotFoundError, SignoffError
from signoff.core.ids import derived_id, uuid7
from signoff.foundation.database import DEFAULT_ORG_ID, Database


async def messages(database: Database, run_id: UUID) -> list[dict[str, Any]]:
    async with database.worker_transaction() as connection:
        rows = await connection.fetch("SELECT * FROM inbox WHERE run_id = $1", run_id)
    return [{**dict(row.items()), "data": orjson.loads(row["data"])} for row in rows]


async def unchanged(database: Database, review: Review) -> None:
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert await read_review(connection, DEFAULT_ORG_ID, review.review_id) == review
    assert await messages(database, review.run_id) == []


async def test_an_approval_returns_the_values_as_edited_and_tells_the_run(database: Database) -> None:
    review = await opened(database)
    approval = ReviewDecision("approve", {"cents": 900}, comment="half of it", digest=review.digest)
    result = await decided(database, LEAD, review.review_id, approval)
    assert (result.status, result.decided_by, result.version) == ("approved", "user/ana@example.com", 2)
    assert result.closed_at == NOW + timedelta(hours=1)
    assert result.final_values == {"order": "W1", "cents": 900}
    assert result.proposed == review.proposed
    assert result.digest == review.digest
    [message] = await messages(database, review.run_id)
    assert (message["kind"], message["path"], message["sent_by"]) == ("review.decision", "decision", str(LEAD))
    assert message["message_id"] == derived_id(review.review_id, "decision")
    policy = message["data"].pop("policy")
    assert policy["permit"]
    assert message["data"] == {
        "result": "approved",
        "values": {"order": "W1", "cents": 900},
        "reason": None,
        "decided_by": "user/ana@example.com",
        "digest": review.digest,
        "review_id": str(review.review_id),
    }


async def test_a_rejection_has_a_reason_and_no_values(database: Database) -> None:
    review = await opened(database)
    with pytest.raises(InvalidError) as caught:
        await decided(database, LEAD, review.review_id, ReviewDecision("reject", {"cents": 1}, reason=" \n"))
    assert [problem.pointer for problem in caught.value.problems] == ["/reason", "/values"]
    await unchanged(database, review)
    result = await decided(database, LEAD, review.review_id, REJECT)
    assert (result.status, result.reason, result.final_values) == ("rejected", "not our jug", None)
    [message] = await messages(database, review.run_id)
    assert (message["data"]["result"], message["data"]["values"]) == ("rejected", None)


async def test_of_two_who_decide_at_once_exactly_one_wins(database: Database) -> None:
    for _ in range(5):
        review = await opened(database)
        answers = await asyncio.gather(
            decided(database, LEAD, review.review_id, APPROVE),
            decided(database, OTHER_LEAD, review.review_id, REJECT),
            decided(database, LEAD, review.review_id, ReviewDecision("approve", {"cents": 1})),
            return_exceptions=True,
        )
        winners = [answer for answer in answers if isinstance(answer, Review)]
        losers = [answer for answer in answers if isinstance(answer, ConflictError)]
        assert (len(winners), len(losers)) == (1, 2)
        [message] = await messages(database, review.run_id)
        assert message["data"]["decided_by"] == winners[0].decided_by
        for loser in losers:
            assert f"was {winners[0].status} by {winners[0].decided_by} at 2026-11-22T13:00:00" in loser.detail


async def test_deciding_a_second_time_says_who_did_when(database: Database) -> None:
    review = await opened(database)
    await decided(database, LEAD, review.review_id, APPROVE)
    with pytest.raises(ConflictError, match=r"approved by user/ana@example.com at 2026-11-22T13:00:00\+00:00"):
        await decided(database, LEAD, review.review_id, APPROVE)


@pytest.mark.parametrize("actor", [FINANCE, ADMIN, replace(LEAD, roles=frozenset[str]())])
async def test_without_the_role_nobody_decides_not_even_an_admin(database: Database, actor: Actor) -> None:
    review = await opened(database)
    with pytest.raises(ForbiddenError, match="role/support-lead"):
        await decided(database, actor, review.review_id, APPROVE)
    await unchanged(database, review)


async def test_the_escalated_role_decides_from_the_moment_of_escalation(database: Database) -> None:
    review = await opened(database)
    early, late = NOW + timedelta(hours=4, seconds=-1), NOW + timedelta(hours=4)
    with pytest.raises(ForbiddenError):
        await decided(database, FINANCE, review.review_id, APPROVE, now=early)
    result = await decided(database, FINANCE, review.review_id, APPROVE, now=late)
    assert (result.decided_by, result.escalated_at) == (str(FINANCE), None)


async def test_after_the_expiry_nobody_decides_although_no_worker_has_seen_it(database: Database) -> None:
    review = await opened(database)
    with pytest.raises(ConflictError, match="expired at 2026-11-24T12:00:00"):
        await decided(database, LEAD, review.review_id, APPROVE, now=NOW + timedelta(days=2))
    await unchanged(database, review)
    async with database.worker_transaction() as connection:
        await expire(connection, DEFAULT_ORG_ID, review.review_id, now=NOW + timedelta(days=2))
    with pytest.raises(ConflictError, match="expired"):
        await decided(database, LEAD, review.review_id, APPROVE, now=NOW)


async def test_a_withdrawn_review_is_not_decided(database: Database) -> None:
    review = await opened(database)
    async with database.worker_transaction() as connection:
        await withdraw(connection, DEFAULT_ORG_ID, review.review_id, now=NOW)
    with pytest.raises(ConflictError, match="withdrawn"):
        await decided(database, LEAD, review.review_id, APPROVE)


async def test_the_digest_must_be_that_of_what_is_shown(database: Database) -> None:
    review, other = await opened(database), await opened(database, proposed={"order": "W1", "cents": 1251})
    with pytest.raises(ConflictError, match="digest") as caught:
        await decided(database, LEAD, review.review_id, replace(APPROVE, digest=other.digest))
    assert caught.value.members["digest"] == review.digest
    await unchanged(database, review)


@pytest.mark.parametrize(
    ("values", "code"),
    [({"order": "W2"}, "not-editable"), ({"cents": "900"}, "wrong-type"), ({"payee": "me"}, "unknown")],
)
async def test_only_editable_fields_change_and_keep_their_type(
    database: Database, values: dict[str, Any], code: str
) -> None:
    review = await opened(database)
    with pytest.raises(InvalidError) as caught:
        await decided(database, LEAD, review.review_id, ReviewDecision("approve", values))
    assert [problem.code for problem in caught.value.problems] == [code]
    await unchanged(database, review)


@pytest.mark.parametrize(
    ("decision", "error"),
    [
        (replace(REJECT, reason="x" * 4001), LimitError),
        (replace(APPROVE, comment="a\0b"), InvalidError),
        (replace(REJECT, reason="\ud800"), InvalidError),
        (replace(APPROVE, values={"note": "x" * 300_000}), LimitError),
    ],
)
async def test_words_and_values_are_bounded(
    database: Database, decision: ReviewDecision, error: type[SignoffError]
) -> None:
    review = await opened(database, proposed={"note": ""}, editable=("note",))
    with pytest.raises(error):
        await decided(database, LEAD, review.review_id, decision)
    await unchanged(database, review)


async def test_without_a_permit_the_role_is_not_enough(database: Database) -> None:
    review = await opened(database)
    nothing = policies().parse({"none.cedar": ""}).decide
    with pytest.raises(ForbiddenError):
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            await decide(connection, LEAD, review.review_id, APPROVE, authorise=nothing, now=NOW)
    await unchanged(database, review)


async def test_four_eyes_forbid_the_starter(database: Database) -> None:
    review = await opened(database, started_by=LEAD)
    with pytest.raises(ForbiddenError) as caught:
        await decided(database, LEAD, review.review_id, APPROVE, FOUR_EYES)
    assert caught.value.members["policies"] == ["four-eyes"]
    await unchanged(database, review)
    assert (await decided(database, OTHER_LEAD, review.review_id, APPROVE, FOUR_EYES)).status == "approved"


async def test_policy_sees_the_final_values(database: Database) -> None:
    review = await opened(database)
    with pytest.raises(ForbiddenError, match="high-amounts"):
        await decided(database, LEAD, review.review_id, ReviewDecision("approve", {"cents": 5001}), HIGH_AMOUNTS)
    await unchanged(database, review)
    approval = ReviewDecision("approve", {"cents": 5000})
    assert (await decided(database, LEAD, review.review_id, approval, HIGH_AMOUNTS)).status == "approved"


async def test_a_value_that_policy_reads_and_cannot_see_is_a_deny(database: Database) -> None:
    review = await opened(database, proposed={"cents": 12.5})
    with pytest.raises(ForbiddenError):
        await decided(database, LEAD, review.review_id, APPROVE, HIGH_AMOUNTS)
    await unchanged(database, review)


async def test_where_the_run_cannot_be_told_nothing_is_decided(database: Database) -> None:
    review = await opened(database)
    async with database.worker_transaction() as connection:
        await connection.execute("DELETE FROM run_queue WHERE run_id = $1", review.run_id)
    with pytest.raises(ConflictError, match="has ended"):
        await decided(database, LEAD, review.review_id, APPROVE)
    await unchanged(database, review)


async def test_another_organisation_sees_and_decides_nothing(database: Database, database_url: str) -> None:
    review = await opened(database)
    elsewhere = another_organisation(database_url)
    stranger = replace(LEAD, org_id=elsewhere)
    with pytest.raises(NotFoundError):
        await decided(database, stranger, review.review_id, APPROVE)
    async with database.transaction(elsewhere) as connection:
        # Even SQL that names the right organisation finds nothing: the row-level policy decides.
        with pytest.raises(NotFoundError):
            await read_review(connection, DEFAULT_ORG_ID, review.review_id)
        assert await connection.fetchval("SELECT count(*) FROM review") == 0
    await unchanged(database, review)


async def test_an_unknown_review_is_not_found(database: Database) -> None:
    await started_run(database)
    with pytest.raises(NotFoundError):
        await decided(database, LEAD, uuid7(), APPROVE)
