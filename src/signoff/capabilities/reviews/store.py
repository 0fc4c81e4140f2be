"""All SQL about reviews. Every statement names the organisation: workers' connections cross them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from signoff.core.labels import Labels
from signoff.foundation.database import Connection, Record

from .model import InboxCounts, Review, ReviewResult, ReviewStatus, ReviewSummary
from .presented import read_json

_SUMMARY_COLUMNS = """org_id, review_id, run_id, path, workflow, workflow_version, risk, release, title, role,
    escalate_to, started_by, status, version, digest, opened_at, escalate_at, escalated_at, expire_at, closed_at,
    decided_by, reason, comment"""
_COLUMNS = f"{_SUMMARY_COLUMNS}, presented, annotations, final_values"

# A step may be executed again after a crash: the second opening finds the first.
_INSERT = """
INSERT INTO review (org_id, review_id, run_id, path, workflow, workflow_version, risk, release, title, role,
    escalate_to, started_by, presented, digest, annotations, opened_at, escalate_at, expire_at,
    generation)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
ON CONFLICT (org_id, run_id, path, generation) DO NOTHING
"""

_SELECT = f"SELECT {_COLUMNS} FROM review WHERE org_id = $1 AND review_id = $2"  # noqa: S608  (constants only)

# Of runs that wake together; only what a run takes from a review that has ended.
_RESULTS = """
SELECT review_id, status, digest, decided_by, reason, comment, final_values
FROM review JOIN unnest($1::uuid[], $2::uuid[]) AS wanted (org_id, review_id) USING (org_id, review_id)
WHERE status <> 'open'
"""

# The lock makes two people who decide at the same moment take turns; the second sees the first's decision.
_SELECT_FOR_UPDATE = f"{_SELECT} FOR UPDATE"

_DECIDE = f"""
UPDATE review SET status = $3, closed_at = $4, decided_by = $5, final_values = $6, reason = $7, comment = $8,
    version = version + 1
WHERE org_id = $1 AND review_id = $2 AND status = 'open'
RETURNING {_COLUMNS}
"""  # noqa: S608  (constants only)

# Expiry and withdrawal: ends without a person, and only of what is still open.
_CLOSE = """
UPDATE review SET status = $3, closed_at = $4, version = version + 1
WHERE org_id = $1 AND review_id = $2 AND status = 'open'
"""

# Recorded once; who may decide follows from escalate_at, so a late worker locks nobody out.
_ESCALATE = """
UPDATE review SET escalated_at = $3, version = version + 1
WHERE org_id = $1 AND review_id = $2 AND status = 'open' AND escalate_at <= $3 AND escalated_at IS NULL
"""

# Key-set pagination in the order of the index review_inbox; an open review past its expiry counts as expired.
_LIST = f"""
SELECT {_SUMMARY_COLUMNS} FROM review
WHERE org_id = $1
  AND ($2::text IS NULL
       OR (status = $2 AND NOT ($2 = 'open' AND coalesce(expire_at, 'infinity') <= $3::timestamptz))
       OR ($2 = 'expired' AND status = 'open' AND expire_at <= $3::timestamptz))
  AND ($4::text[] IS NULL OR role = ANY ($4) OR (escalate_at <= $3::timestamptz AND escalate_to && $4))
  AND ($5::uuid IS NULL OR run_id = $5)
  AND ($6::text IS NULL OR workflow = $6)
  AND ($7::uuid IS NULL OR (coalesce(expire_at, 'infinity'), opened_at, review_id)
                         > (coalesce($8::timestamptz, 'infinity'), $9::timestamptz, $7))
ORDER BY coalesce(expire_at, 'infinity'), opened_at, review_id
LIMIT $10
"""  # noqa: S608  (constants only)

# One pass over what is open gives every badge.
_COUNT = """
SELECT count(*) AS open,
    count(*) FILTER (WHERE role = ANY ($3) OR (escalate_at <= $2::timestamptz AND escalate_to && $3)) AS mine,
    count(*) FILTER (WHERE escalate_at <= $2::timestamptz) AS escalated,
    count(*) FILTER (WHERE expire_at <= $4::timestamptz) AS expiring
FROM review
WHERE org_id = $1 AND status = 'open' AND coalesce(expire_at, 'infinity') > $2::timestamptz
"""


async def insert(connection: Connection, values: Sequence[Any]) -> bool:
    """Store a new review, in the order of the columns of `_INSERT`; false where its step has one already."""
    return await connection.execute(_INSERT, *values) == "INSERT 0 1"


async def read(connection: Connection, org_id: UUID, review_id: UUID, *, lock: bool = False) -> Review | None:
    """The review, locked until the transaction's end if asked for."""
    row = await connection.fetchrow(_SELECT_FOR_UPDATE if lock else _SELECT, org_id, review_id)
    return None if row is None else _review(row)


async def results(connection: Connection, keys: Sequence[tuple[UUID, UUID]]) -> dict[UUID, ReviewResult]:
    """How those reviews have ended, given as organisation and id; open ones are left out."""
    org_ids, review_ids = [key[0] for key in keys], [key[1] for key in keys]
    rows = await connection.fetch(_RESULTS, org_ids, review_ids)
    return {
        row["review_id"]: ReviewResult(
            review_id=row["review_id"],
            status=row["status"],
            digest=row["digest"],
            decided_by=row["decided_by"],
            reason=row["reason"],
            comment=row["comment"],
            final_values=None if row["final_values"] is None else read_json(row["final_values"]),
        )
        for row in rows
    }


async def decide(
    connection: Connection,
    review: Review,
    *,
    status: ReviewStatus,
    now: datetime,
    decided_by: str,
    final_values: bytes | None,
    reason: str | None,
    comment: str | None,
) -> Review:
    """Store the decision on a review that this transaction has locked and found open."""
    row = await connection.fetchrow(
        _DECIDE, review.org_id, review.review_id, status, now, decided_by, final_values, reason, comment
    )
    assert row is not None, "the row lock is held since the review was read as open"
    return _review(row)


async def close(connection: Connection, org_id: UUID, review_id: UUID, status: ReviewStatus, now: datetime) -> None:
    """End an open review without a decision; any other is left as it is."""
    await connection.execute(_CLOSE, org_id, review_id, status, now)


async def escalate(connection: Connection, org_id: UUID, review_id: UUID, now: datetime) -> bool:
    """Record the escalation; false where it was recorded before, or there is none to record."""
    return await connection.execute(_ESCALATE, org_id, review_id, now) == "UPDATE 1"


async def list_page(
    connection: Connection,
    org_id: UUID,
    *,
    status: ReviewStatus | None,
    roles: Sequence[str] | None,
    run_id: UUID | None,
    workflow: str | None,
    after: tuple[datetime | None, datetime, UUID] | None,
    limit: int,
    now: datetime,
) -> list[ReviewSummary]:
    """At most `limit` reviews after that position, by expiry and age."""
    expire_at, opened_at, review_id = after or (None, None, None)
    rows = await connection.fetch(
        _LIST, org_id, status, now, roles, run_id, workflow, review_id, expire_at, opened_at, limit
    )
    return [ReviewSummary(**_summary(row)) for row in rows]


async def count(
    connection: Connection, org_id: UUID, roles: Sequence[str], now: datetime, expiring_until: datetime
) -> InboxCounts:
    """How many open reviews there are, and how many of each kind."""
    row = await connection.fetchrow(_COUNT, org_id, now, roles, expiring_until)
    assert row is not None, "an aggregate without groups has one row"
    return InboxCounts(**dict(row.items()))


def _summary(row: Record) -> dict[str, Any]:
    return {name: row[name] for name in ReviewSummary.__dataclass_fields__} | {"escalate_to": tuple(row["escalate_to"])}


def _review(row: Record) -> Review:
    presented, annotations = read_json(row["presented"]), read_json(row["annotations"])
    return Review(
        **_summary(row),
        proposed=presented["proposed"],
        editable=tuple(presented["editable"]),
        shown={item["source"]: item["value"] for item in presented["shown"]},
        sources=annotations["sources"],
        labels={name: Labels.from_dict(label) for name, label in annotations["labels"].items()},
        final_values=None if row["final_values"] is None else read_json(row["final_values"]),
    )
