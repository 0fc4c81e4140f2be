"""SQL of what points at prompt versions: labels, and environments by their releases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from signoff.foundation.database import Connection, Record

# The upsert takes the row's lock: of two who move it from one place, the second moves nothing. A label that was taken
# away keeps its row, so that its moves go on being counted.
_POINT = """
INSERT INTO prompt_label AS old (org_id, project, name, label, version, place) VALUES ($1, $2, $3, $4, $5, 1)
ON CONFLICT (org_id, project, name, label) DO UPDATE SET version = excluded.version, place = old.place + 1
WHERE old.version IS DISTINCT FROM excluded.version AND ($6::bigint IS NULL OR old.place = $6)
RETURNING place
"""

# Written with the move, never by itself.
_INSERT_CHANGE = """
INSERT INTO prompt_label_change (org_id, project, name, label, place, version, before, reason, changed_at, changed_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""

# With its last move, which says who and why.
_SELECT_LABEL = """
SELECT l.label, l.version, l.place, c.before, c.reason, c.changed_at, c.changed_by
FROM prompt_label AS l JOIN prompt_label_change AS c USING (org_id, project, name, label, place)
WHERE l.org_id = $1 AND l.project = $2 AND l.name = $3 AND ($4::text IS NULL OR l.label = $4)
ORDER BY l.label
"""

# A first label is counted under the row's lock of the next query; how many there may be need not be exact.
_COUNT_LABELS = "SELECT count(*) FROM prompt_label WHERE org_id = $1 AND project = $2 AND name = $3"

# Newest first; the cursor is a place.
_SELECT_CHANGES = """
SELECT label, place, version, before, reason, changed_at, changed_by FROM prompt_label_change
WHERE org_id = $1 AND project = $2 AND name = $3 AND label = $4 AND ($5::bigint IS NULL OR place < $5)
ORDER BY place DESC LIMIT $6
"""

_SELECT_LABELLED = """
SELECT version, label FROM prompt_label
WHERE org_id = $1 AND project = $2 AND name = $3 AND version = ANY ($4) ORDER BY label
"""

# An environment has a version where its release has exactly that file, by the digest of its content.
_SELECT_ENVIRONMENTS = """
SELECT DISTINCT p.version, e.name
FROM environment AS e
JOIN release_file AS f ON f.org_id = e.org_id AND f.release = e.release
JOIN prompt_version AS p ON p.org_id = e.org_id AND p.project = e.project AND p.digest = f.content_digest
WHERE e.org_id = $1 AND e.project = $2 AND p.name = $3 AND p.version = ANY ($4)
ORDER BY p.version, e.name
"""


async def point(
    connection: Connection, org_id: UUID, key: tuple[str, str, str], *, version: str | None, seen: int | None
) -> int | None:
    """Point a label (project, prompt, label) at a version; its new place, or none where nothing was moved."""
    return await connection.fetchval(_POINT, org_id, *key, version, seen)


async def insert_change(
    connection: Connection, org_id: UUID, key: tuple[str, str, str], place: int, row: Mapping[str, Any]
) -> None:
    """Write a move into the label's history."""
    facts = (row["version"], row["before"], row["reason"], row["changed_at"], json.dumps(row["changed_by"]))
    await connection.execute(_INSERT_CHANGE, org_id, *key, place, *facts)


async def select_labels(
    connection: Connection, org_id: UUID, project: str, name: str, label: str | None = None
) -> list[Record]:
    """The labels of a prompt, or one of them, each with its last move; also those that were taken away."""
    return await connection.fetch(_SELECT_LABEL, org_id, project, name, label)


async def count_labels(connection: Connection, org_id: UUID, project: str, name: str) -> int:
    """How many labels a prompt ever had."""
    return await connection.fetchval(_COUNT_LABELS, org_id, project, name)


async def select_changes(
    connection: Connection, org_id: UUID, key: tuple[str, str, str], *, before: int | None, limit: int
) -> list[Record]:
    """The moves of a label below a place, newest first."""
    return await connection.fetch(_SELECT_CHANGES, org_id, *key, before, limit)


async def select_labelled(
    connection: Connection, org_id: UUID, project: str, name: str, versions: Sequence[str]
) -> list[Record]:
    """Version and label, of some versions of a prompt."""
    return await connection.fetch(_SELECT_LABELLED, org_id, project, name, list(versions))


async def select_environments(
    connection: Connection, org_id: UUID, project: str, name: str, versions: Sequence[str]
) -> list[Record]:
    """Version and environment, of some versions of a prompt."""
    return await connection.fetch(_SELECT_ENVIRONMENTS, org_id, project, name, list(versions))
