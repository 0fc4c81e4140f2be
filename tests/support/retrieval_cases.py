"""A small library of policies, and an embedder that knows a few meanings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from uuid import UUID

from signoff.capabilities.retrieval import (
    Document,
    Embedder,
    IndexFacts,
    IndexSettings,
    RetrievalLimits,
    build_index,
)
from signoff.foundation.database import DEFAULT_ORG_ID, Connection, Database

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
RELEASE = "ab" * 32

DOCUMENTS: list[Document] = [
    (
        "returns.md",
        """# Returns

Goods may be returned within 30 days.

## Damaged goods

Broken goods are refunded in full. The customer sends a photo.

## Opened goods

Opened goods are refunded less 20 %.
""",
    ),
    (
        "shipping.md",
        "# Shipping\n\nParcels travel for 2 days. \u2603 Snow may delay them.\n\n## Costs\n\nFrom 50 € it is free.\n",
    ),
    ("notes.txt", "Payments are settled weekly.\n\nA chargeback is answered within 5 days.\n"),
]
SMALL = IndexSettings(chunk_characters_min=20, chunk_characters_max=120)

_MEANINGS = [
    {"broken", "damaged", "shattered", "smashed"},
    {"refund", "refunded", "refunds", "money", "reimbursed"},
    {"shipping", "parcels", "delivery", "travel", "courier"},
    {"payments", "settled", "chargeback", "bank"},
    {"opened", "unsealed", "unwrapped"},
]


class MeaningEmbedder:
    """A vector of how often each meaning occurs, whichever word it takes; it counts what it was asked."""

    def __init__(self, name: str = "meanings@1") -> None:
        self.name = name
        self.texts: list[str] = []

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        self.texts += texts
        return [self.vector(text) for text in texts]

    def vector(self, text: str) -> list[float]:
        """One text's vector; the last number keeps it from being all zero."""
        words = re.findall(r"\w+", text.lower())
        return [float(sum(word in meaning for word in words)) for meaning in _MEANINGS] + [0.1]


async def built(
    database: Database,
    documents: Sequence[Document] = DOCUMENTS,
    *,
    embedder: Embedder | None = None,
    org_id: UUID = DEFAULT_ORG_ID,
    release: str = RELEASE,
    name: str = "policy",
    settings: IndexSettings = SMALL,
    limits: RetrievalLimits | None = None,
) -> IndexFacts:
    """An index of these documents."""

    def begin() -> AbstractAsyncContextManager[Connection]:
        return database.transaction(org_id)

    return await build_index(
        begin,
        org_id,
        release=release,
        name=name,
        documents=documents,
        embedder=embedder,
        now=NOW,
        settings=settings,
        limits=limits,
    )
