"""Reciprocal rank fusion, and vectors that can be compared."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.capabilities.retrieval.indexing import check_vectors, content_digest
from signoff.capabilities.retrieval.model import IndexSettings
from signoff.capabilities.retrieval.searching import RRF_K, fuse
from signoff.core.errors import InvalidError

RANKING = st.lists(st.integers(1, 20), unique=True, max_size=20)


def test_the_formula() -> None:
    assert fuse([[7, 8], [8, 9]]) == {
        7: 1 / 61,
        8: pytest.approx(1 / 62 + 1 / 61),
        9: 1 / 62,
    }
    assert fuse([]) == {}


@given(RANKING, RANKING)
def test_the_order_of_legs_does_not_matter(one: list[int], other: list[int]) -> None:
    forth, back = fuse([one, other]), fuse([other, one])
    assert forth.keys() == back.keys() == {*one, *other}
    assert all(math.isclose(forth[item], back[item]) for item in forth)


@given(RANKING)
def test_one_leg_keeps_its_order_and_two_alike_too(ranking: list[int]) -> None:
    for legs in ([ranking], [ranking, ranking], [ranking, []]):
        scores = fuse(legs)
        assert sorted(scores, key=lambda item: -scores[item]) == ranking


@given(RANKING, RANKING)
def test_scores_are_bounded(one: list[int], other: list[int]) -> None:
    assert all(0 < score <= 2 / (RRF_K + 1) for score in fuse([one, other]).values())


@pytest.mark.parametrize(
    "vectors", [[[1.0]], [[1.0], [1.0, 2.0]], [[], []], [[math.nan], [1.0]], [[math.inf], [1.0]], [[-1e19], [1.0]]]
)
def test_vectors_that_cannot_be_compared_are_refused(vectors: list[list[float]]) -> None:
    with pytest.raises(InvalidError, match="embedder"):
        check_vectors(vectors, expected=2)


def test_a_batch_must_fit_the_one_before() -> None:
    with pytest.raises(InvalidError, match="lengths"):
        check_vectors([[1.0]], expected=1, like=[[1.0, 2.0]])


def test_the_content_address_depends_on_content_only() -> None:
    documents = [("a.md", "one"), ("b.md", "two")]
    address = content_digest(documents, IndexSettings(), "m@1")
    assert content_digest(documents[::-1], IndexSettings(), "m@1") == address
    others = {
        content_digest([("a.md", "two"), ("b.md", "one")], IndexSettings(), "m@1"),
        content_digest(documents[:1], IndexSettings(), "m@1"),
        content_digest(documents, IndexSettings(language="german"), "m@1"),
        content_digest(documents, IndexSettings(), "m@2"),
        content_digest(documents, IndexSettings(), None),
    }
    assert len(others | {address}) == 6
