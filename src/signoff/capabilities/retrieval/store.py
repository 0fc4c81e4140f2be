"""All SQL of retrieval. Every statement names the organisation; row-level security holds both legs to it besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from signoff.core.errors import ConflictError
from signoff.foundation.database import Connection, Record

from .model import Chunk, IndexFacts, RetrievalLimits

INSERT_BATCH = 1_000
"""Rows per statement: bounds the memory of a build."""

# A build may take longer than a request's statement; others wait for its lock as long.
_ALLOW_TIME = """
SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $1, true)
"""

# Two builders of one index take turns; the second then finds what the first stored.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('signoff.retrieval:' || $1, 0))"

_FACTS = "index_id, digest, language, documents, chunks, embedder, dimensions"

# Locked against being dropped as unused before the release that asks has given it a name.
_FIND = f"SELECT {_FACTS} FROM retrieval_index WHERE org_id = $1 AND digest = $2 FOR KEY SHARE"  # noqa: S608  (constants only)

_FIND_NAMED = f"""
SELECT {_FACTS} FROM retrieval_release JOIN retrieval_index USING (org_id, index_id)
WHERE org_id = $1 AND release = $2 AND name = $3
"""  # noqa: S608  (constants only)

_INSERT_INDEX = """
INSERT INTO retrieval_index (org_id, index_id, digest, language, documents, chunks, embedder, dimensions, built_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""

# Naming again is harmless; a name that means another index is seen by the caller, as no row matches.
_LINK = """
WITH linked AS (
    INSERT INTO retrieval_release (org_id, release, name, index_id) VALUES ($1, $2, $3, $4)
    ON CONFLICT (org_id, release, name) DO UPDATE SET name = excluded.name
        WHERE retrieval_release.index_id = excluded.index_id
    RETURNING index_id
)
SELECT count(*) FROM linked
"""

# Row by row, in one round trip: headings are arrays of different lengths, which unnest cannot take side by side.
_INSERT_CHUNKS = """
INSERT INTO retrieval_chunk (org_id, index_id, chunk_no, path, ordinal, heading, start_offset, end_offset, text)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""

# The driver does not know the type `vector`; an array of reals goes over in binary and is cast.
_INSERT_VECTOR = """
INSERT INTO retrieval_vector (org_id, index_id, chunk_no, embedding) VALUES ($1, $2, $3, $4::real[]::vector)
"""

# BM25 as in Robertson and Zaragoza (2009), 3.1, with k1 = 1.2, b = 0.75 and the "1 +" in the logarithm that keeps very
# common terms from counting against a chunk. The index never changes, so each share of the score is computed once.
# Windows and no joins: a fresh table has no statistics to plan joins by.
_INSERT_POSTINGS = """
WITH token AS (
    SELECT c.chunk_no, t.lexeme, t.frequency, t.length,
        sum(t.frequency) OVER ()::float8 / $4::integer AS average_length,
        count(*) OVER (PARTITION BY t.lexeme)::float8 AS chunks
    FROM retrieval_chunk c
    CROSS JOIN LATERAL (
        SELECT lexeme, cardinality(positions)::float8 AS frequency,
            sum(cardinality(positions)) OVER ()::float8 AS length
        FROM unnest(to_tsvector($3::text::regconfig, array_to_string(c.heading || c.text, E'\\n')))
    ) t
    WHERE c.org_id = $1 AND c.index_id = $2
), scored AS (
    SELECT lexeme, chunk_no,
        ln(1 + ($4::integer - chunks + 0.5) / (chunks + 0.5))
        * frequency * (1.2 + 1) / (frequency + 1.2 * (1 - 0.75 + 0.75 * length / average_length)) AS impact
    FROM token
)
INSERT INTO retrieval_posting (org_id, index_id, lexeme, chunk_nos, impacts)
SELECT $1, $2, lexeme,
    array_agg(chunk_no ORDER BY impact DESC, chunk_no), array_agg(impact::real ORDER BY impact DESC, chunk_no)
FROM scored GROUP BY lexeme
"""

# The rarest terms first, and of each the chunks it matters to most (champion lists: Manning, Raghavan and Schütze,
# "Introduction to Information Retrieval", 7.1.3), so that a common word costs no more than the bound.
# The terms are an array and no join: a fresh table has no statistics, and a join then read every lexeme of the index.
_LEXICAL_LEG = """
WITH term AS (
    SELECT p.chunk_nos[1:$5] AS chunk_nos, p.impacts[1:$5] AS impacts
    FROM retrieval_posting p
    WHERE p.org_id = $1 AND p.index_id = $2
      AND p.lexeme = ANY (tsvector_to_array(to_tsvector($3::text::regconfig, $4)))
    ORDER BY cardinality(p.chunk_nos), p.lexeme LIMIT $6
)
SELECT posting.chunk_no FROM term CROSS JOIN LATERAL unnest(chunk_nos, impacts) AS posting (chunk_no, impact)
GROUP BY posting.chunk_no ORDER BY sum(posting.impact::float8) DESC, posting.chunk_no LIMIT $7
"""

# Exact: every vector of the index is compared, by cosine distance. The subquery makes the vector once, not per row.
_VECTOR_LEG = """
SELECT chunk_no FROM retrieval_vector WHERE org_id = $1 AND index_id = $2
ORDER BY embedding <=> (SELECT $3::real[]::vector), chunk_no LIMIT $4
"""

_READ_CHUNKS = """
SELECT chunk_no, path, ordinal, heading, start_offset, end_offset, text FROM retrieval_chunk
WHERE org_id = $1 AND index_id = $2 AND chunk_no = ANY ($3)
"""

# When a release goes, so do its names; indexes that no release calls any more follow, with all their rows.
_FORGET_RELEASE = "DELETE FROM retrieval_release WHERE org_id = $1 AND release = $2"
_DROP_UNUSED = """
DELETE FROM retrieval_index i WHERE org_id = $1 AND NOT EXISTS (
    SELECT FROM retrieval_release r WHERE r.org_id = i.org_id AND r.index_id = i.index_id)
RETURNING index_id
"""


async def begin_build(connection: Connection, index_id: UUID, timeout_s: float) -> None:
    """Wait for other builders of the same index; keep them out until the transaction ends."""
    await connection.execute(_ALLOW_TIME, str(round(timeout_s * 1000)))
    await connection.execute(_LOCK, str(index_id))


async def find(connection: Connection, org_id: UUID, digest: str) -> IndexFacts | None:
    """The index with that content."""
    return _facts(await connection.fetchrow(_FIND, org_id, digest))


async def find_named(connection: Connection, org_id: UUID, release: str, name: str) -> IndexFacts | None:
    """The index that a release calls by that name."""
    return _facts(await connection.fetchrow(_FIND_NAMED, org_id, release, name))


async def link(connection: Connection, org_id: UUID, release: str, name: str, index_id: UUID) -> None:
    """Let a release call the index by that name.

    Raises:
        ConflictError: the release calls another index so; releases never change.
    """
    if not await connection.fetchval(_LINK, org_id, release, name, index_id):
        raise ConflictError(f"Release {release[:12]} has another index '{name}'; a release never changes")


async def insert_index(connection: Connection, org_id: UUID, facts: IndexFacts, now: datetime) -> None:
    """Store what the index is."""
    await connection.execute(
        _INSERT_INDEX, org_id, facts.index_id, facts.digest, facts.language, facts.documents, facts.chunks,
        facts.embedder, facts.dimensions, now,
    )  # fmt: skip


async def insert_chunks(connection: Connection, org_id: UUID, index_id: UUID, chunks: Sequence[Chunk]) -> None:
    """Store the passages, numbered from 1 in this order."""
    for first in range(0, len(chunks), INSERT_BATCH):
        batch = enumerate(chunks[first : first + INSERT_BATCH], start=first + 1)
        rows = [
            (
                org_id,
                index_id,
                number,
                chunk.path,
                chunk.ordinal,
                list(chunk.heading),
                chunk.start,
                chunk.end,
                chunk.text,
            )
            for number, chunk in batch
        ]
        await connection.executemany(_INSERT_CHUNKS, rows)


async def insert_vectors(
    connection: Connection, org_id: UUID, index_id: UUID, vectors: Sequence[Sequence[float]]
) -> None:
    """Store the vectors, numbered as their passages are."""
    for first in range(0, len(vectors), INSERT_BATCH):
        batch = enumerate(vectors[first : first + INSERT_BATCH], start=first + 1)
        rows = [(org_id, index_id, number, list(vector)) for number, vector in batch]
        await connection.executemany(_INSERT_VECTOR, rows)


async def insert_postings(connection: Connection, org_id: UUID, facts: IndexFacts) -> None:
    """Compute and store the postings of the passages that are there."""
    await connection.execute(_INSERT_POSTINGS, org_id, facts.index_id, facts.language, facts.chunks)


async def lexical_leg(
    connection: Connection, org_id: UUID, index: IndexFacts, query: str, *, depth: int, limits: RetrievalLimits
) -> list[int]:
    """The passages that BM25 puts first."""
    rows = await connection.fetch(
        _LEXICAL_LEG, org_id, index.index_id, index.language, query, limits.champions, limits.query_lexemes, depth
    )
    return [row["chunk_no"] for row in rows]


async def vector_leg(
    connection: Connection, org_id: UUID, index: IndexFacts, vector: Sequence[float], *, depth: int
) -> list[int]:
    """The passages whose vectors are nearest."""
    rows = await connection.fetch(_VECTOR_LEG, org_id, index.index_id, list(vector), depth)
    return [row["chunk_no"] for row in rows]


async def read_chunks(
    connection: Connection, org_id: UUID, index_id: UUID, numbers: Sequence[int]
) -> Mapping[int, Chunk]:
    """Passages by number."""
    rows = await connection.fetch(_READ_CHUNKS, org_id, index_id, numbers)
    return {
        row["chunk_no"]: Chunk(
            row["path"], row["ordinal"], tuple(row["heading"]), row["start_offset"], row["end_offset"], row["text"]
        )
        for row in rows
    }


async def forget_release(connection: Connection, org_id: UUID, release: str) -> int:
    """Delete a release's names and the indexes that none uses any more; how many of those there were."""
    await connection.execute(_FORGET_RELEASE, org_id, release)
    return len(await connection.fetch(_DROP_UNUSED, org_id))


def _facts(row: Record | None) -> IndexFacts | None:
    return None if row is None else IndexFacts(**dict(row.items()))
