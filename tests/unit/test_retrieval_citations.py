"""A citation counts only if its words occur in what was retrieved."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.capabilities.retrieval import Citation, Hit, verify_citations

TEXT = "Broken goods are refunded\n  in full. Broken (really?) goods."
HIT = Hit("returns.md#2", "returns.md", ("Returns",), TEXT, 100, 100 + len(TEXT), 0.03, 1, None)
OTHER = replace(HIT, chunk_id="returns.md#3", text="Opened goods are not.", start=200, end=221)


def check(
    quote: str, chunk_id: str | None = None, start: int | None = None
) -> tuple[str | None, int | None, int | None]:
    [checked] = verify_citations([Citation(quote, chunk_id, start)], [HIT, OTHER])
    assert checked.occurs == (checked.reason is None) == (checked.hit is not None)
    return checked.reason, checked.start, checked.end


def test_words_that_occur_get_their_exact_span() -> None:
    assert check("refunded in full.") == (None, 117, 136)
    assert TEXT[17:36] == "refunded\n  in full."
    assert check("Broken (really?) goods", "returns.md#2") == (None, 137, 159)


@pytest.mark.parametrize(
    ("quote", "chunk_id", "start", "reason"),
    [
        ("refunded in half", None, None, "not_found"),
        ("Opened goods", "returns.md#2", None, "not_found"),
        ("Opened goods", "returns.md#9", None, "unknown_chunk"),
        ("Broken", None, 101, "elsewhere"),
        (" \n", None, None, "empty"),
        (".*", None, None, "not_found"),
        ("x" * 2001, None, None, "too_long"),
    ],
)
def test_words_that_do_not_count_say_why(quote: str, chunk_id: str | None, start: int | None, reason: str) -> None:
    assert check(quote, chunk_id, start) == (reason, None, None)


def test_a_place_chooses_among_occurrences() -> None:
    assert check("Broken") == (None, 100, 106)
    assert check("Broken", start=137) == (None, 137, 143)


def test_without_hits_nothing_counts() -> None:
    [checked] = verify_citations([Citation("Broken")], [])
    assert checked.reason == "unknown_chunk"


def test_a_hit_survives_json() -> None:
    assert Hit.from_dict(HIT.as_dict()) == HIT


@given(st.text("ab .\n(*", min_size=1, max_size=60), st.data())
def test_every_quote_of_a_passage_is_found_with_its_words(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    hit = replace(HIT, text=text, start=7, end=7 + len(text))
    [checked] = verify_citations([Citation(text[start:end])], [hit])
    if not text[start:end].strip():
        assert checked.reason == "empty"
        return
    assert checked.start is not None
    assert checked.end is not None
    assert text[checked.start - 7 : checked.end - 7].split() == text[start:end].split()
