"""SQL of the prompt registry: versions and scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from signoff.foundation.database import Connection, Record

# The first who released a version keeps it; a second one is told by the digest that is there.
_INSERT_VERSION = """
INSERT INTO prompt_version (org_id, project, name, version, digest, file, source, previous, bump, changes, owners,
    data_class, quality, message, release, released_at, released_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT DO NOTHING
"""

# What a project's prompts were released as; sources apart, which only a comparison needs.
_SELECT_TAKEN = "SELECT name, version, digest FROM prompt_version WHERE org_id = $1 AND project = $2"

_SELECT_SOURCE = """
SELECT file, source, digest FROM prompt_version
WHERE org_id = $1 AND project = $2 AND name = $3 AND version = $4
"""

# The latest version of each prompt, by name; the index gives each name's versions in falling order.
_SELECT_LATEST = """
SELECT DISTINCT ON (name) name, version, bump, message, owners, data_class, quality, digest, release, released_at,
    released_by, changes, previous, file
FROM prompt_version
WHERE org_id = $1 AND project = $2 AND ($3::text IS NULL OR name > $3)
ORDER BY name, place DESC LIMIT $4
"""

# A prompt's versions from the latest down; the cursor is a version.
_SELECT_VERSIONS = """
SELECT name, version, bump, message, owners, data_class, quality, digest, release, released_at, released_by, changes,
    previous, file
FROM prompt_version
WHERE org_id = $1 AND project = $2 AND name = $3
    AND ($4::text IS NULL OR place < string_to_array($4, '.')::integer[])
ORDER BY place DESC LIMIT $5
"""

# One version, by its key.
_SELECT_VERSION = """
SELECT name, version, bump, message, owners, data_class, quality, digest, release, released_at, released_by, changes,
    previous, file
FROM prompt_version
WHERE org_id = $1 AND project = $2 AND name = $3 AND version = $4
"""

# The newest score of each version, metric, data set and model: what is shown beside a version.
_SELECT_SCORES = """
SELECT DISTINCT ON (version, metric, dataset, model) score_id, version, metric, value, n, dataset, model, scored_at,
    scored_by
FROM prompt_score
WHERE org_id = $1 AND project = $2 AND name = $3 AND version = ANY ($4)
ORDER BY version, metric, dataset, model, scored_at DESC, score_id DESC LIMIT $5
"""

# How good each model was found at a prompt: the mean of its newest scores, by cases, of the metrics of which a version
# promises at least so much: shares, where more is better.
_SELECT_QUALITIES = """
SELECT model, sum(value * n) / sum(n) AS quality FROM (
    SELECT DISTINCT ON (s.model, s.metric, s.dataset) s.model, s.value, s.n
    FROM prompt_score s JOIN prompt_version v USING (org_id, project, name, version)
    WHERE s.org_id = $1 AND s.project = $2 AND s.name = $3 AND s.value BETWEEN 0 AND 1
        AND v.quality -> s.metric ->> 'at_least' IS NOT NULL
    ORDER BY s.model, s.metric, s.dataset, s.scored_at DESC, s.score_id DESC LIMIT 500
) newest GROUP BY model
"""

# An id made from the request's key: a repeated request finds its own row.
_INSERT_SCORE = """
INSERT INTO prompt_score (org_id, score_id, project, name, version, metric, value, n, dataset, model, scored_at,
    scored_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT DO NOTHING
"""

_SELECT_SCORE = """
SELECT score_id, project, name, version, metric, value, n, dataset, model, scored_at, scored_by FROM prompt_score
WHERE org_id = $1 AND score_id = $2
"""


async def insert_version(connection: Connection, org_id: UUID, row: Mapping[str, Any]) -> bool:
    """Write a released version; false where that version is there already."""
    done = await connection.execute(
        _INSERT_VERSION,
        org_id,
        row["project"],
        row["name"],
        row["version"],
        row["digest"],
        row["file"],
        row["source"],
        row["previous"],
        row["bump"],
        json.dumps(row["changes"]),
        list(row["owners"]),
        row["data_class"],
        json.dumps(row["quality"]),
        row["message"],
        row["release"],
        row["released_at"],
        json.dumps(row["released_by"]),
    )
    return done == "INSERT 0 1"


async def select_taken(connection: Connection, org_id: UUID, project: str) -> dict[tuple[str, str], str]:
    """The digest of every released version of a project's prompts, by name and version."""
    rows = await connection.fetch(_SELECT_TAKEN, org_id, project)
    return {(row["name"], row["version"]): row["digest"] for row in rows}


async def select_source(
    connection: Connection, org_id: UUID, project: str, name: str, version: str
) -> tuple[str, str, str] | None:
    """File, text and digest of a released version, or none."""
    row = await connection.fetchrow(_SELECT_SOURCE, org_id, project, name, version)
    return None if row is None else (row["file"], row["source"], row["digest"])


async def select_latest(
    connection: Connection, org_id: UUID, project: str, after: str | None, limit: int
) -> list[Record]:
    """The latest version of each prompt after a name."""
    return await connection.fetch(_SELECT_LATEST, org_id, project, after, limit)


async def select_versions(
    connection: Connection, org_id: UUID, project: str, name: str, *, before: str | None, limit: int
) -> list[Record]:
    """The versions of a prompt below one of them, from the highest down."""
    return await connection.fetch(_SELECT_VERSIONS, org_id, project, name, before, limit)


async def select_version(connection: Connection, org_id: UUID, project: str, name: str, version: str) -> Record | None:
    """One released version, or none."""
    return await connection.fetchrow(_SELECT_VERSION, org_id, project, name, version)


async def select_qualities(connection: Connection, org_id: UUID, project: str, name: str) -> list[Record]:
    """How good each model was found at a prompt."""
    return await connection.fetch(_SELECT_QUALITIES, org_id, project, name)


async def select_scores(
    connection: Connection, org_id: UUID, project: str, name: str, *, versions: Sequence[str], limit: int
) -> list[Record]:
    """The newest score of each version, metric, data set and model."""
    return await connection.fetch(_SELECT_SCORES, org_id, project, name, list(versions), limit)


async def insert_score(connection: Connection, org_id: UUID, score_id: UUID, row: Mapping[str, Any]) -> bool:
    """Write a score; false where one with this id is there already."""
    done = await connection.execute(
        _INSERT_SCORE,
        org_id,
        score_id,
        row["project"],
        row["name"],
        row["version"],
        row["metric"],
        row["value"],
        row["n"],
        row["dataset"],
        row["model"],
        row["scored_at"],
        json.dumps(row["scored_by"]),
    )
    return done == "INSERT 0 1"


async def select_score(connection: Connection, org_id: UUID, score_id: UUID) -> Record | None:
    """A score by its id."""
    return await connection.fetchrow(_SELECT_SCORE, org_id, score_id)
