"""Hybrid search: keywords and meaning, fused by rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from signoff.core.errors import InvalidError, LimitError, NotFoundError, Problem
from signoff.foundation.database import Connection

from . import store
from .indexing import check_vectors
from .model import Hit, IndexFacts, RetrievalLimits

RRF_K = 60
"""The constant of reciprocal rank fusion, as in its paper: how little the first few places differ."""


async def read_index(connection: Connection, org_id: UUID, *, release: str, name: str) -> IndexFacts:
    """The index that a release calls by that name.

    Raises:
        NotFoundError: there is none, or it has not been built yet.
    """
    facts = await store.find_named(connection, org_id, release, name)
    if facts is None:
        raise NotFoundError(
            f"There is no index '{name}' for release {release[:12]}. Was it built when it was registered?"
        )
    return facts


async def search(
    connection: Connection,
    org_id: UUID,
    *,
    release: str,
    name: str,
    query: str,
    query_vector: Sequence[float] | None = None,
    top: int = 5,
    limits: RetrievalLimits | None = None,
) -> list[Hit]:
    """The passages that answer a query best, at most `top`.

    Two rankings, BM25 over stemmed words (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and
    Beyond", 2009; k1 = 1.2, b = 0.75) and cosine similarity of vectors, are fused by reciprocal rank (Cormack, Clarke
    and Büttcher, SIGIR 2009; k = 60). Without a query vector, or vectors in the index, keywords alone decide.

    Raises:
        NotFoundError: the release has no such index.
        InvalidError: `top` is out of bounds, or the vector is not of the index's dimensions.
        LimitError: the query is longer than `limits.query_characters`.
    """
    limits = limits or RetrievalLimits()
    if not 1 <= top <= limits.top:
        detail = f"a search gives 1 to {limits.top} results, not {top}."
        raise InvalidError(detail, problems=[Problem(detail, pointer="/top")])
    if len(query) > limits.query_characters:
        raise LimitError(f"The query has {len(query)} characters; {limits.query_characters} are allowed")
    index = await read_index(connection, org_id, release=release, name=name)
    depth = max(top, limits.candidates)
    lexical = await store.lexical_leg(connection, org_id, index, _storable(query), depth=depth, limits=limits)
    semantic: list[int] = []
    if query_vector is not None and index.dimensions is not None:
        _check_query_vector(query_vector, index)
        semantic = await store.vector_leg(connection, org_id, index, query_vector, depth=depth)
    scores = fuse([lexical, semantic])
    best = sorted(scores, key=lambda chunk_no: (-scores[chunk_no], chunk_no))[:top]
    chunks = await store.read_chunks(connection, org_id, index.index_id, best)
    ranks = [{chunk_no: rank for rank, chunk_no in enumerate(leg, start=1)} for leg in (lexical, semantic)]
    return [
        Hit(
            chunk_id=f"{chunk.path}#{chunk.ordinal}",
            path=chunk.path,
            heading=chunk.heading,
            text=chunk.text,
            start=chunk.start,
            end=chunk.end,
            score=scores[chunk_no],
            bm25_rank=ranks[0].get(chunk_no),
            vector_rank=ranks[1].get(chunk_no),
        )
        for chunk_no in best
        for chunk in (chunks[chunk_no],)
    ]


def fuse(rankings: Sequence[Sequence[int]], k: int = RRF_K) -> Mapping[int, float]:
    """Reciprocal rank fusion: each item's sum of 1 / (k + rank) over the rankings that have it, ranks from 1."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            scores[item] = scores.get(item, 0.0) + 1.0 / (k + rank)
    return scores


def _storable(query: str) -> str:
    """The query without what PostgreSQL's text cannot hold; neither character is part of a word."""
    return query.replace("\0", " ").encode(errors="replace").decode()


def _check_query_vector(vector: Sequence[float], index: IndexFacts) -> None:
    check_vectors([vector], expected=1)
    if len(vector) != index.dimensions:
        raise InvalidError(
            f"The query's vector has {len(vector)} dimensions, the index's {index.dimensions} ({index.embedder})"
        )
