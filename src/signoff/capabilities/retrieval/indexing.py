"""Builds indexes: cut, embed outside any transaction, then store at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from signoff.core.errors import InvalidError, LimitError
from signoff.core.ids import derived_id, digest
from signoff.foundation.database import Connection

from . import store
from .chunking import chunk_document
from .model import Chunk, Document, Embedder, IndexFacts, IndexSettings, RetrievalLimits

FORMAT = 1
"""Part of every content address: raised when chunking or scoring changes, so that indexes are built anew."""

LARGEST = 1e18
"""The largest number in a vector: its square still fits the 32-bit floats that vectors are stored and compared in."""

Vector = Sequence[float]
Begin = Callable[[], AbstractAsyncContextManager[Connection]]
"""Opens a transaction, as the boundary decides: `lambda: database.transaction(org_id)`."""


@dataclass(frozen=True, slots=True)
class IndexContent:
    """What will be stored: pure data, made without a database."""

    digest: str
    settings: IndexSettings
    documents: int
    chunks: tuple[Chunk, ...]
    embedder: str | None = None
    vectors: tuple[Vector, ...] = ()

    @property
    def dimensions(self) -> int | None:
        """The length of its vectors; none where it has none."""
        return len(self.vectors[0]) if self.vectors else None


def content_digest(documents: Sequence[Document], settings: IndexSettings, embedder: str | None) -> str:
    """The content address of the index of these documents, in any order."""
    listed = sorted((path, digest(text.encode("utf-8", "surrogatepass"))) for path, text in documents)
    address = {"format": FORMAT, "settings": settings.model_dump(), "embedder": embedder, "documents": listed}
    return digest(orjson.dumps(address, option=orjson.OPT_SORT_KEYS))


async def build_index(
    begin: Begin,
    org_id: UUID,
    *,
    release: str,
    name: str,
    documents: Sequence[Document],
    embedder: Embedder | None,
    now: datetime,
    settings: IndexSettings | None = None,
    limits: RetrievalLimits | None = None,
) -> IndexFacts:
    """Make the index that a release calls by that name, unless the same documents were indexed before.

    Two transactions, none open while the embedder works. Any number of builders may run at once, on any machines: one
    stores, the others find what it stored.

    Args:
        begin: opens a transaction of that organisation.
        org_id: the organisation.
        release: the digest of the release.
        name: what its workflows call the index.
        documents: paths and texts.
        embedder: makes the vectors; without one, searches go by keywords alone.
        now: the time, in UTC.
        settings: how chunks are cut and words are stemmed.
        limits: the bounds.

    Raises:
        DefinitionError: a document cannot be indexed.
        InvalidError: two documents with one path, or vectors that cannot be used.
        LimitError: more documents, characters or chunks than allowed.
        ConflictError: the release has another index of that name.
    """
    settings, limits = settings or IndexSettings(), limits or RetrievalLimits()
    _check_documents(name, documents, limits)
    model = embedder.name if embedder is not None and documents else None
    address = content_digest(documents, settings, model)
    async with begin() as connection:
        if (found := await store.find(connection, org_id, address)) is not None:
            await store.link(connection, org_id, release, name, found.index_id)
            return found
    content = await prepare_index(documents, embedder, settings=settings, limits=limits)
    async with begin() as connection:
        return await store_index(
            connection, org_id, release=release, name=name, content=content, now=now, limits=limits
        )


async def prepare_index(
    documents: Sequence[Document],
    embedder: Embedder | None,
    *,
    settings: IndexSettings,
    limits: RetrievalLimits,
) -> IndexContent:
    """Cut the documents and embed the passages; needs no database.

    Raises:
        DefinitionError, InvalidError, LimitError: as for `build_index`.
    """
    chunks: list[Chunk] = []
    for document in sorted(documents):
        chunks += chunk_document(document, settings, limits)
        if len(chunks) > limits.chunks:
            raise LimitError(
                f"The documents give more than {limits.chunks} chunks, an index's most. Use several indexes."
            )
    vectors: list[Vector] = []
    if embedder is not None:
        texts = [chunk.searched_text for chunk in chunks]
        for first in range(0, len(texts), limits.embed_batch):
            batch = texts[first : first + limits.embed_batch]
            vectors += check_vectors(await embedder.embed(batch), expected=len(batch), like=vectors)
    model = embedder.name if embedder is not None and vectors else None
    address = content_digest(documents, settings, embedder.name if embedder is not None and documents else None)
    return IndexContent(address, settings, len(documents), tuple(chunks), model, tuple(vectors))


async def store_index(
    connection: Connection,
    org_id: UUID,
    *,
    release: str,
    name: str,
    content: IndexContent,
    now: datetime,
    limits: RetrievalLimits,
) -> IndexFacts:
    """Store the index in the connection's transaction, unless another builder was faster, and give it its name.

    Raises:
        ConflictError: the release has another index of that name.
    """
    facts = IndexFacts(
        index_id=derived_id(org_id, content.digest),
        digest=content.digest,
        language=content.settings.language,
        documents=content.documents,
        chunks=len(content.chunks),
        embedder=content.embedder,
        dimensions=content.dimensions,
    )
    await store.begin_build(connection, facts.index_id, limits.build_timeout_s)
    if await store.find(connection, org_id, content.digest) is None:
        await store.insert_index(connection, org_id, facts, now)
        await store.insert_chunks(connection, org_id, facts.index_id, content.chunks)
        await store.insert_vectors(connection, org_id, facts.index_id, content.vectors)
        await store.insert_postings(connection, org_id, facts)
    await store.link(connection, org_id, release, name, facts.index_id)
    return facts


def check_vectors(vectors: Sequence[Vector], *, expected: int, like: Sequence[Vector] = ()) -> Sequence[Vector]:
    """The vectors, if they can be stored and compared.

    Raises:
        InvalidError: too few or many, of different lengths, or with a number not finite or larger than `LARGEST`.
    """
    if len(vectors) != expected:
        raise InvalidError(f"The embedder gave {len(vectors)} vectors for {expected} texts")
    lengths = {len(vector) for vector in (*vectors, *like[:1])}
    if len(lengths) > 1 or 0 in lengths:
        raise InvalidError(f"The embedder gave vectors of lengths {sorted(lengths)}; they must all be the same")
    if not all(abs(number) <= LARGEST for vector in vectors for number in vector):
        raise InvalidError("The embedder gave a vector with a number that is not finite, or too large to store")
    return vectors


def _check_documents(name: str, documents: Sequence[Document], limits: RetrievalLimits) -> None:
    if len(documents) > limits.documents:
        raise LimitError(f"Index '{name}' has {len(documents)} documents; {limits.documents} are allowed")
    paths = [path for path, _ in documents]
    if len(set(paths)) < len(paths):
        twice = sorted({path for path in paths if paths.count(path) > 1})
        raise InvalidError(f"Index '{name}' has more than one document at {', '.join(twice)}")
