"""All SQL of the catalog. Functions take a connection and never open transactions: the boundary commits once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from signoff.foundation.database import Connection, Record

# Whoever deletes a release takes contents away that nothing else has: not while somebody begins to share them.
_SHARE_CONTENTS = "SELECT pg_advisory_xact_lock_shared(hashtextextended('signoff.release.' || $1::uuid, 0))"

# A release is registered by many starters at once (every `signoff dev`, every deploy): the first one writes it.
_INSERT_RELEASE = """
INSERT INTO release (org_id, digest, project, created_by) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
"""

# The release's row is the last to be relied on and the files come in the same transaction, so it is never half there.
_INSERT_CONTENTS = """
INSERT INTO release_content (org_id, digest, content)
SELECT $1, digest, content FROM unnest($2::text[], $3::bytea[]) AS file (digest, content)
ON CONFLICT DO NOTHING
"""

# Paths and digests travel as two arrays: one round trip however many files there are.
_INSERT_FILES = """
INSERT INTO release_file (org_id, release, path, content_digest)
SELECT $1, $2, path, digest FROM unnest($3::text[], $4::text[]) AS file (path, digest)
ON CONFLICT DO NOTHING
"""

# Workers read across organisations, so the organisation is named here as well as in row-level security.
_SELECT_FILES = """
SELECT file.path, file.content_digest, content.content
FROM release_file AS file
CROSS JOIN LATERAL (
    SELECT content FROM release_content WHERE org_id = file.org_id AND digest = file.content_digest OFFSET 0
) AS content
WHERE file.org_id = $1 AND file.release = $2
"""

# Asked before an environment is pointed at it; the foreign key alone would not know of which project it is.
_SELECT_PROJECT = "SELECT project FROM release WHERE org_id = $1 AND digest = $2"

# The upsert takes the row's lock, so two promotions at once get two versions, one after the other. `$5` is the version
# that the mover saw: the second of two who saw the same one moves nothing.
_POINT_ENVIRONMENT = """
INSERT INTO environment AS old (org_id, project, name, release, version) VALUES ($1, $2, $3, $4, 1)
ON CONFLICT (org_id, project, name) DO UPDATE SET release = excluded.release, version = old.version + 1
WHERE old.release <> excluded.release AND ($5::bigint IS NULL OR old.version = $5)
RETURNING version
"""

# The history is written by the same function as the move, never on its own.
_INSERT_CHANGE = """
INSERT INTO environment_change (org_id, project, name, version, release, changed_by, operation, reason,
    quality_override)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""

# What a start of a run asks, so it is a primary-key read.
_SELECT_ENVIRONMENT = "SELECT release, version FROM environment WHERE org_id = $1 AND project = $2 AND name = $3"

# An API server serves one environment of every project.
_SELECT_ENVIRONMENTS = "SELECT project, release FROM environment WHERE org_id = $1 AND name = $2 ORDER BY project"

# What is in force anywhere, with every release of its project; a worker asks over all organisations.
_SELECT_IN_FORCE = """
SELECT e.org_id, e.project, e.release,
    ARRAY(SELECT r.digest FROM release r WHERE r.org_id = e.org_id AND r.project = e.project) AS releases
FROM environment e ORDER BY e.org_id, e.project, e.name
"""

# Newest first, for people.
_SELECT_CHANGES = """
SELECT version, release, changed_at, changed_by, operation, reason, quality_override FROM environment_change
WHERE org_id = $1 AND project = $2 AND name = $3 AND ($5::bigint IS NULL OR version < $5)
ORDER BY version DESC LIMIT $4
"""


async def insert_release(
    connection: Connection, org_id: UUID, digest: str, project: str, created_by: Mapping[str, Any]
) -> bool:
    """Write a release's row; false where it is there already."""
    await connection.execute(_SHARE_CONTENTS, org_id)
    status = await connection.execute(_INSERT_RELEASE, org_id, digest, project, json.dumps(created_by))
    return status == "INSERT 0 1"


async def insert_files(
    connection: Connection, org_id: UUID, release: str, files: Sequence[tuple[str, str, bytes]]
) -> None:
    """Write path, digest and content of each of a release's files."""
    # In one order for everybody, so that two writers of shared contents wait for each other and never deadlock.
    contents = dict(sorted((digest, content) for _, digest, content in files))
    await connection.execute(_INSERT_CONTENTS, org_id, list(contents), list(contents.values()))
    paths = [path for path, _, _ in files]
    await connection.execute(_INSERT_FILES, org_id, release, paths, [digest for _, digest, _ in files])


async def select_files(connection: Connection, org_id: UUID, release: str) -> list[tuple[str, str, bytes]]:
    """Path, digest and content of each of a release's files; none where there is no such release."""
    rows = await connection.fetch(_SELECT_FILES, org_id, release)
    return [(row["path"], row["content_digest"], row["content"]) for row in rows]


async def select_project(connection: Connection, org_id: UUID, digest: str) -> str | None:
    """The project that a release is of, or none where there is no such release."""
    return await connection.fetchval(_SELECT_PROJECT, org_id, digest)


async def upsert_environment(
    connection: Connection, org_id: UUID, project: str, name: str, release: str, *, seen: int | None = None
) -> int | None:
    """Point an environment at a release; its new version, or none where it points there already or has moved since."""
    return await connection.fetchval(_POINT_ENVIRONMENT, org_id, project, name, release, seen)


async def insert_change(
    connection: Connection,
    org_id: UUID,
    project: str,
    name: str,
    version: int,
    *,
    digest: str,
    changed_by: Mapping[str, Any],
    operation: str = "deploy",
    reason: str = "",
    quality_override: Mapping[str, Any] | None = None,
) -> None:
    """Write one move of an environment into its history."""
    changed = json.dumps(changed_by)
    passed = None if quality_override is None else json.dumps(quality_override)
    facts = (version, digest, changed, operation, reason, passed)
    await connection.execute(_INSERT_CHANGE, org_id, project, name, *facts)


async def select_environment(connection: Connection, org_id: UUID, project: str, name: str) -> tuple[str, int] | None:
    """Release and version of an environment, or none."""
    row = await connection.fetchrow(_SELECT_ENVIRONMENT, org_id, project, name)
    return None if row is None else (row["release"], row["version"])


async def select_environments(connection: Connection, org_id: UUID, name: str) -> list[tuple[str, str]]:
    """Project and release of each project that has an environment of that name."""
    return [(row["project"], row["release"]) for row in await connection.fetch(_SELECT_ENVIRONMENTS, org_id, name)]


async def select_in_force(connection: Connection) -> list[tuple[UUID, str, str, list[str]]]:
    """The release of each project in each environment, and all releases of that project."""
    rows = await connection.fetch(_SELECT_IN_FORCE)
    return [(row["org_id"], row["project"], row["release"], row["releases"]) for row in rows]


async def select_changes(
    connection: Connection, org_id: UUID, project: str, name: str, limit: int, *, before: int | None = None
) -> list[Record]:
    """Everything about the newest moves of an environment."""
    return await connection.fetch(_SELECT_CHANGES, org_id, project, name, limit, before)
