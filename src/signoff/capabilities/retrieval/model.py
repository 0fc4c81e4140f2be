"""What an index is made of, and what a search finds in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

Language = Literal[
    "simple", "danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian", "norwegian",
    "portuguese", "romanian", "russian", "spanish", "swedish", "turkish",
]  # fmt: skip
"""PostgreSQL's text search configurations: how words are stemmed and which are too common; `simple` does neither."""

Document = tuple[str, str]
"""A path and the text of the file there."""


class IndexSettings(BaseModel):
    """How an index is made; part of its content address."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: Language = Field(default="english", description="The language of the documents.")
    chunk_characters_min: int = Field(
        default=200, ge=1, le=20_000, description="A chunk is closed at the next good place once it has so many."
    )
    chunk_characters_max: int = Field(
        default=800, ge=1, le=20_000, description="A chunk's most; MiniLM reads no more than about 1,000."
    )

    @model_validator(mode="after")
    def _check_range(self) -> IndexSettings:
        if self.chunk_characters_min > self.chunk_characters_max:
            raise ValueError("chunk_characters_min is larger than chunk_characters_max")
        return self


class RetrievalLimits(BaseModel):
    """Bounds of building and of searching."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    documents: int = Field(default=10_000, ge=1, description="Documents in one index.")
    document_characters: int = Field(default=2_000_000, ge=1, description="Characters in one document.")
    chunks: int = Field(default=100_000, ge=1, description="Chunks in one index; vectors are scanned, not sampled.")
    chunks_per_document: int = Field(default=10_000, ge=1, description="Chunks of one document.")
    embed_batch: int = Field(default=64, ge=1, description="Texts that the embedder gets at once.")
    build_timeout_s: float = Field(default=600.0, gt=0, description="Seconds that one statement of a build may take.")
    query_characters: int = Field(default=8_000, ge=1, description="Characters of a query.")
    query_lexemes: int = Field(default=64, ge=1, description="Terms of a query that are scored: the rarest.")
    champions: int = Field(
        default=20_000,
        ge=1,
        description="Chunks per term that are scored, by impact. Up to so many chunks, BM25 is exact.",
    )
    candidates: int = Field(default=50, ge=1, description="Results of each leg that are fused, or `top` if more.")
    top: int = Field(default=50, ge=1, description="Most results of a search.")


class Embedder(Protocol):
    """What makes vectors. The gateway is one; capabilities do not know each other."""

    @property
    def name(self) -> str:
        """The model, version included: vectors of different models cannot be compared."""
        ...

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """One vector per text, all of one length."""
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document: `document[start:end] == text`, counted in characters.

    Attributes:
        ordinal: its place in its document, from 1.
        heading: the headings above it, outermost first.
    """

    path: str
    ordinal: int
    heading: tuple[str, ...]
    start: int
    end: int
    text: str

    @property
    def searched_text(self) -> str:
        """What both legs index: headings say what a passage is about, which the passage often does not."""
        return "\n".join((*self.heading, self.text))


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """An index that is there.

    Attributes:
        digest: SHA-256 of its documents, settings and embedder, hexadecimal.
        embedder: the model of its vectors; none where it has no vectors.
        dimensions: their length.
    """

    index_id: UUID
    digest: str
    language: str
    documents: int
    chunks: int
    embedder: str | None
    dimensions: int | None


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found.

    Attributes:
        chunk_id: `path#ordinal`, the same for the same documents and settings.
        heading: the headings above it, outermost first.
        start: where it begins in its document, in characters.
        end: where it ends, exclusive.
        score: its reciprocal rank fusion; comparable within one search only.
        bm25_rank: its place by keywords, from 1; none where they did not find it.
        vector_rank: its place by meaning, likewise.
    """

    chunk_id: str
    path: str
    heading: tuple[str, ...]
    text: str
    start: int
    end: int
    score: float
    bm25_rank: int | None
    vector_rank: int | None

    def as_dict(self) -> dict[str, Any]:
        """The hit for JSON: what a step's output and a prompt's variables hold."""
        return {
            "chunk_id": self.chunk_id,
            "path": self.path,
            "heading": list(self.heading),
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "score": self.score,
            "bm25_rank": self.bm25_rank,
            "vector_rank": self.vector_rank,
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Hit:
        """The hit that `as_dict` wrote."""
        members: dict[str, Any] = {**data, "heading": tuple(data["heading"])}
        return Hit(**members)
