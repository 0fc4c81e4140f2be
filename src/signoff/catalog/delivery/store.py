"""SQL of delivery: environments as people see them, publications, deletion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from signoff.foundation.database import Connection, Record

# Two who publish one project at once: the second sees the prompt versions of the first.
_ONE_PUBLISHER = "SELECT pg_advisory_xact_lock(hashtextextended('signoff.publish.' || $1::uuid || '.' || $2, 0))"

# The first who stood behind it stays named; the same files published again are the same publication.
_INSERT_PUBLICATION = """
INSERT INTO release_publication (org_id, release, project, message, published_at, published_by)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
"""

# With its last move, which says who and why.
_SELECT_ENVIRONMENT = """
SELECT e.name, e.release, e.version, c.changed_at, c.changed_by, c.operation, c.reason
FROM environment AS e
JOIN environment_change AS c USING (org_id, project, name, version)
WHERE e.org_id = $1 AND e.project = $2 AND e.name = $3
"""

# The same for all of a project; a project has a handful.
_SELECT_ENVIRONMENTS = """
SELECT e.name, e.release, e.version, c.changed_at, c.changed_by, c.operation, c.reason
FROM environment AS e
JOIN environment_change AS c USING (org_id, project, name, version)
WHERE e.org_id = $1 AND e.project = $2
ORDER BY e.name
"""

# What an environment pointed at before its present release: a rollback passes over moves that changed nothing, and over
# releases that were deleted since.
_SELECT_BEFORE = """
SELECT c.release FROM environment_change AS c
JOIN release AS r ON r.org_id = c.org_id AND r.digest = c.release
WHERE c.org_id = $1 AND c.project = $2 AND c.name = $3 AND c.version < $4 AND c.release <> $5
ORDER BY c.version DESC LIMIT 1
"""

# Whether an environment ever pointed at a release.
_SELECT_WAS_THERE = """
SELECT EXISTS (SELECT FROM environment_change WHERE org_id = $1 AND project = $2 AND name = $3 AND release = $4)
"""

# A release by its digest or by how that begins; two rows are enough to know that it is ambiguous.
_SELECT_RELEASE = """
SELECT r.digest, r.project, r.created_at, r.created_by, p.message, p.published_at, p.published_by,
    (SELECT count(*) FROM release_file f WHERE f.org_id = r.org_id AND f.release = r.digest) AS files,
    ARRAY(SELECT e.name FROM environment e WHERE e.org_id = r.org_id AND e.release = r.digest ORDER BY e.name)
        AS environments
FROM release AS r
LEFT JOIN release_publication AS p ON p.org_id = r.org_id AND p.release = r.digest
WHERE r.org_id = $1 AND r.project = $2 AND r.digest >= $3 AND r.digest < $3 || 'g'
ORDER BY r.digest LIMIT 2
"""

# Newest first; the cursor is the last row's time and digest, as many may have one time.
_SELECT_RELEASES = """
SELECT r.digest, r.project, r.created_at, r.created_by, p.message, p.published_at, p.published_by,
    (SELECT count(*) FROM release_file f WHERE f.org_id = r.org_id AND f.release = r.digest) AS files,
    ARRAY(SELECT e.name FROM environment e WHERE e.org_id = r.org_id AND e.release = r.digest ORDER BY e.name)
        AS environments
FROM release AS r
LEFT JOIN release_publication AS p ON p.org_id = r.org_id AND p.release = r.digest
WHERE r.org_id = $1 AND r.project = $2
    AND ($3::text IS NULL OR (r.created_at, r.digest) < (SELECT created_at, digest FROM release
        WHERE org_id = $1 AND digest = $3))
ORDER BY r.created_at DESC, r.digest DESC LIMIT $4
"""

# A project is known once it has a release.
_HAS_PROJECT = "SELECT EXISTS (SELECT FROM release WHERE org_id = $1 AND project = $2)"

# Only these two functions may; they look at environments, runs and starts themselves.
_USE = "SELECT signoff_release_use($1, $2)"
_DELETE = "SELECT signoff_delete_release($1, $2)"


async def lock_publishing(connection: Connection, org_id: UUID, project: str) -> None:
    """Be the only one who publishes the project, until the transaction's end."""
    await connection.execute(_ONE_PUBLISHER, org_id, project)


async def insert_publication(
    connection: Connection,
    org_id: UUID,
    release: str,
    project: str,
    *,
    message: str,
    now: datetime,
    published_by: Mapping[str, Any],
) -> bool:
    """Say that somebody stands behind a release; false where somebody did already."""
    done = await connection.execute(
        _INSERT_PUBLICATION, org_id, release, project, message, now, json.dumps(published_by)
    )
    return done == "INSERT 0 1"


async def select_environment(connection: Connection, org_id: UUID, project: str, name: str) -> Record | None:
    """An environment with its last move, or none where nothing was deployed there."""
    return await connection.fetchrow(_SELECT_ENVIRONMENT, org_id, project, name)


async def select_environments(connection: Connection, org_id: UUID, project: str) -> list[Record]:
    """All environments of a project that point at something."""
    return await connection.fetch(_SELECT_ENVIRONMENTS, org_id, project)


async def select_before(
    connection: Connection, org_id: UUID, project: str, name: str, *, version: int, release: str
) -> str | None:
    """The last other release that an environment pointed at before a version of it."""
    return await connection.fetchval(_SELECT_BEFORE, org_id, project, name, version, release)


async def select_was_there(connection: Connection, org_id: UUID, project: str, name: str, release: str) -> bool:
    """Whether an environment ever pointed at a release."""
    return await connection.fetchval(_SELECT_WAS_THERE, org_id, project, name, release)


async def select_release(connection: Connection, org_id: UUID, project: str, start: str) -> list[Record]:
    """The releases whose digest begins so, at most two."""
    return await connection.fetch(_SELECT_RELEASE, org_id, project, start)


async def select_releases(
    connection: Connection, org_id: UUID, project: str, after: str | None, limit: int
) -> list[Record]:
    """The releases of a project after one of them, newest first."""
    return await connection.fetch(_SELECT_RELEASES, org_id, project, after, limit)


async def has_project(connection: Connection, org_id: UUID, project: str) -> bool:
    """Whether the project ever had a release."""
    return bool(await connection.fetchval(_HAS_PROJECT, org_id, project))


async def release_use(connection: Connection, org_id: UUID, release: str) -> str | None:
    """What uses a release, in words, or none."""
    return await connection.fetchval(_USE, org_id, release)


async def delete_release(connection: Connection, org_id: UUID, release: str) -> str | None:
    """Delete a release; what uses it, in words, where it was therefore not deleted."""
    return await connection.fetchval(_DELETE, org_id, release)
