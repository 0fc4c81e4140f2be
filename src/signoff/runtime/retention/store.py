"""Retention's SQL, under the worker role: it plans and reads; what drops rows are two functions of the owner's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID

from signoff.foundation.database import Connection, Record
from signoff.runtime.retention.model import Batch

# Held by a connection, so it dies with its process: one leader among all workers. The letters are "retain".
LEAD = "SELECT pg_try_advisory_lock(125779785591150)"
FOLLOW = "SELECT pg_advisory_unlock(125779785591150)"

# By the index on (org_id, status, run_id): a run that ended before a moment started before it, and ids begin with the
# start's time. The last event's place is its number of events: one look at the journal's key per run.
DUE = """
SELECT v.run_id, coalesce(j.seq, 0) AS events FROM run_view v JOIN run r ON r.run_id = v.run_id
LEFT JOIN LATERAL (SELECT seq FROM journal WHERE run_id = v.run_id ORDER BY seq DESC LIMIT 1) j ON true
WHERE v.org_id = $1 AND v.status = $2 AND v.run_id < $3 AND v.ended_at < $4 AND r.release = ANY ($5::text[])
    AND NOT EXISTS (SELECT FROM run_queue q WHERE q.run_id = v.run_id)
ORDER BY v.run_id LIMIT $6
"""

COUNT_DUE = """
SELECT count(*) FROM (
    SELECT FROM run_view v JOIN run r ON r.run_id = v.run_id
    WHERE v.org_id = $1 AND v.status = $2 AND v.run_id < $3 AND v.ended_at < $4 AND r.release = ANY ($5::text[])
        AND NOT EXISTS (SELECT FROM run_queue q WHERE q.run_id = v.run_id)
    LIMIT $6
) due
"""

# The plan comes first: whoever goes on after a kill finishes this batch, and cannot archive its runs in another.
PLAN = """
INSERT INTO retention_batch (org_id, batch_id, status, run_ids, ended_before, archive, planned_at, project)
VALUES ($1, $2, 'planned', $3, $4, $5, $6, $7)
"""

# One that failed is left alone until its time comes, so that those of others are not behind it; no time means all.
OPEN_BATCHES = """
SELECT org_id, project, batch_id, status, run_ids, ended_before, archive, failures FROM retention_batch
WHERE status <> 'dropped' AND (retry_at IS NULL OR retry_at <= $1 OR $1 IS NULL) ORDER BY batch_id LIMIT $2
"""

# Whose runs are in a batch that is not finished: planned once more, they would be in two archives.
UNFINISHED = "SELECT DISTINCT org_id, project FROM retention_batch WHERE status <> 'dropped'"

FAILED = """
UPDATE retention_batch SET failures = failures + 1, problem = $3, retry_at = $4 WHERE org_id = $1 AND batch_id = $2
"""

# A project that names another archive, because this one could not be written, is heard.
MOVE = "UPDATE retention_batch SET archive = $3 WHERE org_id = $1 AND batch_id = $2 AND status = 'planned'"

ARCHIVED = """
UPDATE retention_batch SET status = 'archived', file = $3, file_digest = $4, file_bytes = $5, events = $6
WHERE org_id = $1 AND batch_id = $2 AND status = 'planned'
"""

RETIRE = "SELECT signoff_retire_batch($1, $2, $3)"

MONTHS_OVER = """
SELECT to_date(substr(c.relname, 9), 'YYYY_MM') AS month FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'journal'::regclass AND c.relname ~ '^journal_[0-9]{4}_[0-9]{2}$'
    AND to_date(substr(c.relname, 9), 'YYYY_MM') < date_trunc('month', now()) - interval '1 month'
ORDER BY month
"""

DROP_MONTH = "SELECT signoff_drop_journal_month($1)"

# What an archive holds of a run, table by table; the journal and artifacts are read apart. `run_ended` names those of
# the batch that would be dropped now, so that an archive holds no run that goes on.
RUNS = """
SELECT v.run_id, v.workflow, v.status, v.ended_at FROM run_view v
WHERE v.org_id = $1 AND v.run_id = ANY ($2::uuid[]) AND v.ended_at < $3
    AND (SELECT true FROM run_queue q WHERE q.run_id = v.run_id) IS NULL
ORDER BY v.run_id
"""
ROWS: dict[str, str] = {
    "run": "SELECT to_json(t)::text AS row FROM run t WHERE org_id = $1 AND run_id = $2",
    "run_view": "SELECT to_json(t)::text AS row FROM run_view t WHERE org_id = $1 AND run_id = $2",
    "run_attribute": """
        SELECT to_json(t)::text AS row FROM run_attribute t WHERE org_id = $1 AND run_id = $2 ORDER BY name
    """,
    "review": "SELECT to_json(t)::text AS row FROM review t WHERE org_id = $1 AND run_id = $2 ORDER BY review_id",
    "approval_use": """
        SELECT to_json(u)::text AS row FROM approval_use u JOIN review r ON r.review_id = u.review_id
        WHERE r.org_id = $1 AND r.run_id = $2 ORDER BY u.review_id
    """,
    "emitted_event": """
        SELECT to_json(t)::text AS row FROM emitted_event t WHERE org_id = $1 AND run_id = $2 ORDER BY path
    """,
    "artifact_use": """
        SELECT to_json(t)::text AS row FROM artifact_use t WHERE org_id = $1 AND run_id = $2 ORDER BY digest
    """,
}

EVENTS = """
SELECT seq, kind, recorded_at, session_id, data FROM journal WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""

DIGESTS = "SELECT DISTINCT digest FROM artifact_use WHERE org_id = $1 AND run_id = $2 ORDER BY digest"


async def due(connection: Connection, *, bound: UUID, wanted: tuple[object, ...], limit: int) -> list[Record]:
    """Runs whose time is over, the oldest first, with their numbers of events."""
    org_id, status, before, releases = wanted
    return await connection.fetch(DUE, org_id, status, bound, before, releases, limit)


async def plan(connection: Connection, batch: Batch, now: datetime) -> None:
    """Record a batch."""
    archive = None if batch.archive is None else str(batch.archive)
    place = (batch.org_id, batch.batch_id)
    await connection.execute(PLAN, *place, list(batch.run_ids), batch.ended_before, archive, now, batch.project)


async def open_batches(connection: Connection, until: datetime | None, limit: int) -> Sequence[Batch]:
    """Batches that were begun and not finished and are to be tried now, the oldest first."""
    return [
        Batch(
            row["org_id"],
            row["project"],
            row["batch_id"],
            row["status"],
            tuple(row["run_ids"]),
            row["ended_before"],
            None if row["archive"] is None else Path(row["archive"]),
            row["failures"],
        )
        for row in await connection.fetch(OPEN_BATCHES, until, limit)
    ]
