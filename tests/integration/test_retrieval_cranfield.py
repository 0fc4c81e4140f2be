"""The keyword leg against relevance judgements: the Cranfield collection (Cleverdon, 1967)."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from support.data import shared_data
from support.retrieval_cases import RELEASE, built

from signoff.capabilities.retrieval import IndexSettings, search
from signoff.foundation.database import DEFAULT_ORG_ID, Database

WHOLE = IndexSettings(chunk_characters_min=20_000, chunk_characters_max=20_000)
"""One passage per document, as documents were judged."""


def ndcg_at_10(ranked: list[str], grades: dict[str, int]) -> float:
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen, 2002), with gains 2^grade - 1."""
    ideal = sorted(grades.values(), reverse=True)
    return _gain([grades.get(path, 0) for path in ranked]) / _gain(ideal)


def _gain(grades: list[int]) -> float:
    return sum((2**grade - 1) / math.log2(place + 1) for place, grade in enumerate(grades[:10], start=1))


def judgements(folder: Path) -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = {}
    for line in (folder / "dev" / "qrels.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        grades.setdefault(query, {})[document] = int(grade)
    return grades


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
async def test_bm25_ranks_cranfield_as_a_search_library_does(database: Database) -> None:
    folder = shared_data("cranfield")
    documents = [(document["_id"], document["text"]) for document in lines(folder / "corpus.jsonl")]
    grades = judgements(folder)
    await built(database, documents, settings=WHOLE)
    scores: list[float] = []
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        for query in lines(folder / "dev" / "queries.jsonl"):
            hits = await search(connection, DEFAULT_ORG_ID, release=RELEASE, name="policy", query=query["text"], top=10)
            scores.append(ndcg_at_10([hit.path for hit in hits], grades[query["_id"]]))
    assert len(scores) == 107
    assert sum(scores) / len(scores) >= 0.53
