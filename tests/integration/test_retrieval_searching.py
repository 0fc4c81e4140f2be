"""Searches by keywords, by meaning, and by both."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import pytest
from support.retrieval_cases import DOCUMENTS, RELEASE, MeaningEmbedder, built

from signoff.capabilities.retrieval import Citation, Hit, IndexSettings, RetrievalLimits, search, verify_citations
from signoff.core.errors import InvalidError, LimitError
from signoff.foundation.database import DEFAULT_ORG_ID, Database

EMBEDDER = MeaningEmbedder()


async def found(
    database: Database,
    query: str,
    *,
    vector: Sequence[float] | None = None,
    top: int = 5,
    limits: RetrievalLimits | None = None,
) -> list[Hit]:
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        return await search(
            connection,
            DEFAULT_ORG_ID,
            release=RELEASE,
            name="policy",
            query=query,
            query_vector=vector,
            top=top,
            limits=limits,
        )


async def test_keywords_find_stems_and_give_exact_places(database: Database) -> None:
    await built(database)
    [best, *_] = hits = await found(database, "refund of broken things")
    assert (best.path, best.heading, best.bm25_rank, best.vector_rank) == (
        "returns.md", ("Returns", "Damaged goods"), 1, None,
    )  # fmt: skip
    assert "Broken goods are refunded" in best.text
    for hit in hits:
        assert dict(DOCUMENTS)[hit.path][hit.start : hit.end] == hit.text
    [checked] = verify_citations([Citation("refunded in full", best.chunk_id)], hits)
    assert checked.occurs
    assert dict(DOCUMENTS)["returns.md"][checked.start : checked.end] == "refunded in full"


async def test_meaning_finds_what_no_keyword_does(database: Database) -> None:
    await built(database, embedder=EMBEDDER)
    query = "my courier smashed it"
    assert await found(database, query) == []
    hits = await found(database, query, vector=EMBEDDER.vector(query))
    assert all(hit.bm25_rank is None for hit in hits)
    assert [hit.vector_rank for hit in hits] == [1, 2, 3, 4, 5]
    assert {hits[0].path, hits[1].path} == {"returns.md", "shipping.md"}


async def test_what_both_legs_like_comes_first(database: Database) -> None:
    await built(database, embedder=EMBEDDER)
    query = "unsealed goods: money less 20 %"
    hits = await found(database, query, vector=EMBEDDER.vector(query), top=20)
    assert hits[0].heading == ("Returns", "Opened goods")
    for hit in hits:
        ranks = [rank for rank in (hit.bm25_rank, hit.vector_rank) if rank is not None]
        assert hit.score == pytest.approx(sum(1 / (60 + rank) for rank in ranks))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert any(hit.bm25_rank is None for hit in hits)


async def test_the_score_is_bm25(database: Database) -> None:
    texts = ["apple apple banana", "apple cherry", "cherry cherry date elder fig", "date", "fig banana banana banana"]
    whole = IndexSettings(language="simple", chunk_characters_min=500, chunk_characters_max=500)
    await built(database, [(f"{number}.txt", text) for number, text in enumerate(texts)], settings=whole)
    async with database.worker_transaction() as connection:
        rows = await connection.fetch("SELECT lexeme, chunk_nos, impacts FROM retrieval_posting")
    stored = {
        (row["lexeme"], chunk_no - 1): impact
        for row in rows
        for chunk_no, impact in zip(row["chunk_nos"], row["impacts"], strict=True)
    }
    words = [Counter(re.findall(r"\w+", text)) for text in texts]
    average = sum(sum(counter.values()) for counter in words) / len(words)
    expected = {
        (word, number): math.log(1 + (len(words) - holders + 0.5) / (holders + 0.5))
        * frequency * 2.2 / (frequency + 1.2 * (0.25 + 0.75 * sum(counter.values()) / average))
        for number, counter in enumerate(words)
        for word, frequency in counter.items()
        for holders in (sum(word in other for other in words),)
    }  # fmt: skip
    assert stored == pytest.approx(expected)
    for row in rows:
        assert row["impacts"] == sorted(row["impacts"], reverse=True)
    hits = await found(database, "apple banana")
    assert [hit.path for hit in hits] == ["0.txt", "4.txt", "1.txt"]


async def test_common_words_are_cut_to_their_best_passages(database: Database) -> None:
    await built(database, [(f"{number:02}.txt", "common " * (number + 1)) for number in range(10)])
    all_of_them = await found(database, "common", top=10)
    assert len(all_of_them) == 10
    cut = await found(database, "common", top=10, limits=RetrievalLimits(champions=3))
    assert [hit.path for hit in cut] == [hit.path for hit in all_of_them[:3]]


async def test_the_rarest_terms_of_a_long_query_count(database: Database) -> None:
    await built(database)
    hits = await found(database, "goods chargeback", limits=RetrievalLimits(query_lexemes=1))
    assert {hit.path for hit in hits} == {"notes.txt"}


@pytest.mark.parametrize("query", ["", "   ", "the of and", "qwertz", "\0", "%&/()", "a' OR 1=1; --", "'x':* & !y"])
async def test_a_query_of_nothing_finds_nothing_and_breaks_nothing(database: Database, query: str) -> None:
    await built(database)
    assert await found(database, query) == []


async def test_a_nul_or_half_a_character_in_a_query_is_no_word(database: Database) -> None:
    await built(database)
    assert (await found(database, "chargeback\0 \ud83d"))[0].path == "notes.txt"


async def test_the_same_search_gives_the_same_answer(database: Database) -> None:
    await built(database, [(f"{number}.txt", "twins") for number in range(8)])
    first = await found(database, "twins", top=3)
    assert [hit.path for hit in first] == ["0.txt", "1.txt", "2.txt"]
    assert await found(database, "twins", top=3) == first


async def test_searches_are_bounded(database: Database) -> None:
    await built(database, embedder=EMBEDDER)
    for top in (0, 51):
        with pytest.raises(InvalidError, match="1 to 50"):
            await found(database, "goods", top=top)
    with pytest.raises(LimitError, match="8001 characters"):
        await found(database, "x" * 8001)
    with pytest.raises(InvalidError, match="2 dimensions, the index's 6"):
        await found(database, "goods", vector=[1.0, 2.0])
    with pytest.raises(InvalidError, match="not finite"):
        await found(database, "goods", vector=[math.nan] * 6)


async def test_a_vector_for_an_index_without_vectors_leaves_keywords(database: Database) -> None:
    await built(database)
    hits = await found(database, "chargeback", vector=[1.0, 2.0])
    assert [(hit.path, hit.vector_rank) for hit in hits] == [("notes.txt", None)]
