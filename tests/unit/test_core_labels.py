from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.labels import BOTTOM, DataClass, Labels, Trust, join_all

NAMES = st.frozensets(st.sampled_from(["eu", "us", "de", "input.ticket.text", "step:triage"]))
LABELS = st.builds(Labels, st.sampled_from(DataClass), st.sampled_from(Trust), NAMES, NAMES)


@given(LABELS, LABELS, LABELS)
def test_the_join_is_associative(first: Labels, second: Labels, third: Labels) -> None:
    assert first.join(second).join(third) == first.join(second.join(third))


@given(LABELS, LABELS)
def test_the_join_is_commutative(first: Labels, second: Labels) -> None:
    assert first.join(second) == second.join(first)


@given(LABELS)
def test_the_join_is_idempotent_and_has_a_unit(label: Labels) -> None:
    assert label.join(label) == label
    assert label.join(BOTTOM) == BOTTOM.join(label) == label


@given(LABELS, LABELS)
def test_the_join_is_the_least_label_that_covers_both(first: Labels, second: Labels) -> None:
    joined = first.join(second)
    assert joined.covers(first)
    assert joined.covers(second)
    assert joined.data_class == max(first.data_class, second.data_class)
    assert joined.trust == max(first.trust, second.trust)


@given(LABELS, LABELS, LABELS)
def test_covering_is_an_order_that_the_join_keeps(first: Labels, second: Labels, third: Labels) -> None:
    if first.covers(second) and second.covers(first):
        assert first == second
    if first.covers(second) and second.covers(third):
        assert first.covers(third)
    if first.covers(second):
        assert first.join(third).covers(second.join(third))


@given(st.lists(LABELS))
def test_joining_many_takes_any_order(labels: list[Labels]) -> None:
    assert join_all(labels) == join_all(reversed(labels))
    assert all(join_all(labels).covers(label) for label in labels)


@given(LABELS)
def test_json_keeps_them(label: Labels) -> None:
    assert Labels.from_dict(json.loads(json.dumps(label.as_dict()))) == label


def test_an_unknown_class_is_no_class() -> None:
    with pytest.raises(KeyError):
        Labels.from_dict({"class": "top-secret"})
