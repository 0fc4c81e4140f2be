"""Indexes are built once per content, whoever builds them, and hold exact spans."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from support.retrieval_cases import DOCUMENTS, RELEASE, SMALL, MeaningEmbedder, built
from support.review_cases import another_organisation

from signoff.capabilities.retrieval import IndexSettings, RetrievalLimits, forget_release, read_index, search
from signoff.core.errors import ConflictError, DefinitionError, InvalidError, LimitError, NotFoundError
from signoff.foundation.database import DEFAULT_ORG_ID, Database, DatabaseError, constraint_of

TABLES = ("retrieval_index", "retrieval_release", "retrieval_chunk", "retrieval_posting", "retrieval_vector")


async def counts(database: Database) -> dict[str, int]:
    async with database.worker_transaction() as connection:
        return {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES}


async def test_stored_passages_are_exact_spans(database: Database) -> None:
    facts = await built(database, embedder=MeaningEmbedder())
    sources = dict(DOCUMENTS)
    async with database.worker_transaction() as connection:
        rows = await connection.fetch("SELECT * FROM retrieval_chunk ORDER BY chunk_no")
    assert len(rows) == facts.chunks > len(DOCUMENTS)
    for row in rows:
        assert sources[row["path"]][row["start_offset"] : row["end_offset"]] == row["text"]
    snow = next(row for row in rows if "Snow" in row["text"])
    assert (snow["path"], snow["heading"]) == ("shipping.md", ["Shipping"])


async def test_the_same_content_is_built_once(database: Database) -> None:
    embedder = MeaningEmbedder()
    first = await built(database, embedder=embedder)
    before, asked = await counts(database), len(embedder.texts)
    assert await built(database, embedder=embedder) == first
    assert await built(database, DOCUMENTS[::-1], embedder=embedder, release="cd" * 32, name="other") == first
    assert len(embedder.texts) == asked
    assert await counts(database) == before | {"retrieval_release": 2}


async def test_builders_at_the_same_time_store_one_index(database: Database) -> None:
    built_at_once = await asyncio.gather(*(built(database, embedder=MeaningEmbedder()) for _ in range(5)))
    assert len(set(built_at_once)) == 1
    after = await counts(database)
    assert (after["retrieval_index"], after["retrieval_release"]) == (1, 1)
    assert after["retrieval_chunk"] == after["retrieval_vector"] == built_at_once[0].chunks


async def test_a_release_never_changes_what_it_calls_by_a_name(database: Database) -> None:
    await built(database)
    with pytest.raises(ConflictError, match="never changes"):
        await built(database, DOCUMENTS[:1])
    with pytest.raises(ConflictError, match="never changes"):
        await built(database, DOCUMENTS[:1], embedder=MeaningEmbedder())
    assert (await counts(database))["retrieval_index"] == 1


async def test_what_the_index_is_can_be_read(database: Database) -> None:
    facts = await built(database, embedder=MeaningEmbedder())
    assert (facts.documents, facts.language, facts.embedder, facts.dimensions) == (3, "english", "meanings@1", 6)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert await read_index(connection, DEFAULT_ORG_ID, release=RELEASE, name="policy") == facts
        with pytest.raises(NotFoundError, match="'other'"):
            await read_index(connection, DEFAULT_ORG_ID, release=RELEASE, name="other")


@pytest.mark.parametrize("documents", [[], [("empty.md", ""), ("blank.txt", " \n")]])
async def test_an_index_without_passages_finds_nothing(database: Database, documents: list[tuple[str, str]]) -> None:
    facts = await built(database, documents, embedder=MeaningEmbedder())
    assert (facts.chunks, facts.embedder, facts.dimensions) == (0, None, None)
    assert await built(database, documents, embedder=MeaningEmbedder()) == facts
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert await search(connection, DEFAULT_ORG_ID, release=RELEASE, name="policy", query="goods") == []


async def test_documents_in_another_language_are_stemmed_by_it(database: Database) -> None:
    german = IndexSettings(language="german", chunk_characters_min=20, chunk_characters_max=120)
    await built(database, [("de.md", "Die Rechnungen wurden bezahlt.")], settings=german)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        hits = await search(connection, DEFAULT_ORG_ID, release=RELEASE, name="policy", query="bezahlte Rechnung")
    assert [hit.path for hit in hits] == ["de.md"]


class BadEmbedder(MeaningEmbedder):
    """One that forgets a text."""

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return [self.vector(text) for text in texts[1:]]


async def test_what_cannot_be_built_leaves_nothing(database: Database) -> None:
    with pytest.raises(InvalidError, match=r"returns\.md"):
        await built(database, [DOCUMENTS[0], DOCUMENTS[0]])
    with pytest.raises(DefinitionError):
        await built(database, [*DOCUMENTS, ("z.md", "a\0b")])
    with pytest.raises(LimitError, match="documents"):
        await built(database, limits=RetrievalLimits(documents=2))
    with pytest.raises(LimitError, match="chunks"):
        await built(database, limits=RetrievalLimits(chunks=3))
    with pytest.raises(InvalidError, match="embedder"):
        await built(database, embedder=BadEmbedder())
    assert set((await counts(database)).values()) == {0}


async def test_texts_are_embedded_in_bounded_batches_with_their_headings(database: Database) -> None:
    class Batches(MeaningEmbedder):
        sizes: tuple[int, ...] = ()

        async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
            self.sizes += (len(texts),)
            return await super().embed(texts)

    embedder = Batches()
    facts = await built(database, embedder=embedder, limits=RetrievalLimits(embed_batch=2))
    assert sum(embedder.sizes) == facts.chunks
    assert max(embedder.sizes) == 2
    assert any(text.startswith("Returns\nDamaged goods\n") for text in embedder.texts)


async def test_each_organisation_has_its_own(database: Database, database_url: str) -> None:
    facts = await built(database)
    elsewhere = another_organisation(database_url)
    async with database.transaction(elsewhere) as connection:
        with pytest.raises(NotFoundError):
            await search(connection, elsewhere, release=RELEASE, name="policy", query="goods")
        # Even SQL that names the right organisation finds nothing: the row-level policies decide.
        with pytest.raises(NotFoundError):
            await search(connection, DEFAULT_ORG_ID, release=RELEASE, name="policy", query="goods")
        for table in TABLES:
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
    theirs = await built(database, org_id=elsewhere)
    assert theirs == replace(facts, index_id=theirs.index_id)
    assert theirs.index_id != facts.index_id


async def test_a_forgotten_release_takes_unused_indexes_with_it(database: Database) -> None:
    await built(database, embedder=MeaningEmbedder())
    await built(database, DOCUMENTS[:1], release="cd" * 32)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert await forget_release(connection, DEFAULT_ORG_ID, RELEASE) == 1
        assert await forget_release(connection, DEFAULT_ORG_ID, RELEASE) == 0
    after = await counts(database)
    assert (after["retrieval_index"], after["retrieval_release"], after["retrieval_vector"]) == (1, 1, 0)
    assert after["retrieval_chunk"] > 0


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE retrieval_chunk SET end_offset = end_offset + 1", "retrieval_chunk_is_its_span"),
        ("UPDATE retrieval_posting SET impacts = '{}'", "retrieval_posting_pairs"),
        ("UPDATE retrieval_index SET embedder = 'x'", "retrieval_index_vectors_have_a_model"),
    ],
)
async def test_wrong_states_cannot_be_stored(database: Database, statement: str, constraint: str) -> None:
    await built(database, settings=SMALL)
    with pytest.raises(DatabaseError) as caught:
        async with database.worker_transaction() as connection:
            await connection.execute(statement)
    assert constraint_of(caught.value) == constraint
