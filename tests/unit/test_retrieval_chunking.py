"""Passages are exact spans of their documents, under the right headings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from signoff.capabilities.retrieval import IndexSettings, RetrievalLimits
from signoff.capabilities.retrieval.chunking import chunk_document
from signoff.capabilities.retrieval.headings import headings, trail
from signoff.capabilities.retrieval.model import Chunk
from signoff.core.errors import DefinitionError, LimitError

LIMITS = RetrievalLimits()
SMALL = IndexSettings(chunk_characters_min=10, chunk_characters_max=60)
MARKDOWN = """Foreword.

# Refunds ☃

Goods come back within **30 days**.

## Damaged goods #

Send a photo.

```
# no heading
## neither
```

Costs
-----

Nothing.

* * *

Terms
=====

| a | b |
|---|---|
| 1 | 2 |

### Deep

End.
"""


def chunks(text: str, path: str = "a.md", settings: IndexSettings = SMALL) -> list[Chunk]:
    return chunk_document((path, text), settings, LIMITS)


def test_headings_are_found_as_commonmark_has_them() -> None:
    found = [(heading.level, heading.title) for heading in headings(MARKDOWN)]
    assert found == [(1, "Refunds ☃"), (2, "Damaged goods"), (2, "Costs"), (1, "Terms"), (3, "Deep")]
    for heading in headings(MARKDOWN):
        assert heading.title in MARKDOWN[heading.start :].split("\n", 1)[0]


@pytest.mark.parametrize(
    "text",
    [
        "#no space",
        "####### seven",
        "    # code",
        "~~~\n# code\n~~~~\n",
        "> quote\n---",
        "- item\n---",
        "\n---",
        "```a\n# x",
    ],
)
def test_what_looks_like_a_heading_and_is_none(text: str) -> None:
    assert headings(text) == []


def test_a_passage_stands_under_the_headings_above_it() -> None:
    found = headings(MARKDOWN)
    assert trail(found, MARKDOWN.index("Foreword")) == ()
    assert trail(found, MARKDOWN.index("Goods come")) == ("Refunds ☃",)
    assert trail(found, MARKDOWN.index("Send a")) == ("Refunds ☃", "Damaged goods")
    assert trail(found, MARKDOWN.index("Nothing")) == ("Refunds ☃", "Costs")
    assert trail(found, MARKDOWN.index("End.")) == ("Terms", "Deep")


def test_passages_are_spans_and_begin_where_the_text_pauses() -> None:
    found = chunks(MARKDOWN)
    assert [chunk.ordinal for chunk in found] == list(range(1, len(found) + 1))
    for chunk in found:
        assert MARKDOWN[chunk.start : chunk.end] == chunk.text
        assert len(chunk.text) <= 60
    photo = next(chunk for chunk in found if "photo" in chunk.text)
    assert photo.heading == ("Refunds ☃", "Damaged goods")
    assert photo.searched_text.startswith("Refunds ☃\nDamaged goods\n")


def test_plain_text_has_no_headings() -> None:
    found = chunks("# not a heading\n\nhere", path="a.txt")
    assert [chunk.heading for chunk in found] == [()] * len(found) != []


@given(st.text("ab é☃\U0001f600\n#-`. ", max_size=300), st.sampled_from(["a.md", "a.txt"]))
def test_passages_cover_all_words_in_order_without_overlap(text: str, path: str) -> None:
    end = 0
    for chunk in chunks(text, path):
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.text.strip()
        assert not text[end : chunk.start].strip()
        end = chunk.end
    assert not text[end:].strip()


@pytest.mark.parametrize("text", ["", " \n\n ", "\n"])
def test_nothing_gives_no_passages(text: str) -> None:
    assert chunks(text) == []


@pytest.mark.parametrize("character", ["\0", "\ud800"])
def test_what_is_no_text_names_file_and_line(character: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        chunks(f"fine\nnot {character}")
    [problem] = caught.value.problems
    assert (problem.file, problem.line, problem.code) == ("a.md", 2, "not-text")


def test_documents_are_bounded() -> None:
    with pytest.raises(LimitError, match="characters"):
        chunk_document(("a.md", "x" * 11), SMALL, RetrievalLimits(document_characters=10))
    with pytest.raises(LimitError, match="chunks"):
        chunk_document(("a.md", "word " * 100), SMALL, RetrievalLimits(chunks_per_document=2))


def test_settings_must_make_sense() -> None:
    with pytest.raises(ValidationError):
        IndexSettings(chunk_characters_min=100, chunk_characters_max=50)
