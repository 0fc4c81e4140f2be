"""What a reviewer may change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.capabilities.reviews.edits import edited_fields, final_values
from signoff.core.errors import InvalidError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("abcé\0"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)
PROPOSED: dict[str, Any] = {
    "cents": 1250,
    "share": 0.5,
    "note": "ok",
    "goods": True,
    "order": None,
    "lines": [{"id": "a", "cents": 5}],
}


def problems(editable: list[str], edits: dict[str, Any]) -> list[tuple[str, str | None]]:
    with pytest.raises(InvalidError) as caught:
        final_values(PROPOSED, editable, edits)
    return [(problem.code, problem.pointer) for problem in caught.value.problems]


def test_edits_are_laid_over_the_proposal() -> None:
    assert final_values(PROPOSED, ["cents"], {"cents": 900}) == {**PROPOSED, "cents": 900}
    assert final_values(PROPOSED, [], {}) == PROPOSED


def test_a_field_that_is_not_editable_may_only_be_sent_back_unchanged() -> None:
    assert final_values(PROPOSED, ["cents"], {"note": "ok", "lines": [{"id": "a", "cents": 5}]}) == PROPOSED
    assert problems(["cents"], {"note": "other"}) == [("not-editable", "/values/note")]


@pytest.mark.parametrize(("name", "value"), [("goods", 1), ("cents", 1250.0), ("cents", True)])
def test_what_python_calls_equal_is_still_a_change(name: str, value: Any) -> None:
    assert problems([], {name: value}) == [("not-editable", f"/values/{name}")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cents", "900"),
        ("cents", 900.0),
        ("cents", None),
        ("cents", True),
        ("goods", 0),
        ("note", 3),
        ("lines", {}),
        ("lines", [{"id": "a"}]),
        ("lines", [{"id": "a", "cents": "5"}]),
    ],
)
def test_a_type_is_kept(name: str, value: Any) -> None:
    assert problems(list(PROPOSED), {name: value}) == [("wrong-type", f"/values/{name}")]


def test_a_number_may_become_whole_and_a_null_anything() -> None:
    assert final_values(PROPOSED, ["share"], {"share": 1})["share"] == 1
    assert final_values(PROPOSED, ["order"], {"order": "W1"})["order"] == "W1"
    assert final_values(PROPOSED, ["lines"], {"lines": []})["lines"] == []


def test_every_problem_is_reported_with_its_place() -> None:
    found = problems(["cents"], {"cent": 1, "note": "x", "cents": "1"})
    assert found == [("unknown", "/values/cent"), ("not-editable", "/values/note"), ("wrong-type", "/values/cents")]


def test_a_misspelt_field_gets_a_suggestion() -> None:
    with pytest.raises(InvalidError) as caught:
        final_values(PROPOSED, ["cents"], {"cent": 1})
    assert caught.value.problems[0].suggestion == "Did you mean 'cents'?"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(InvalidError):
        final_values(PROPOSED, ["share", "note"], {"note": value})


@given(st.dictionaries(st.text("abc", max_size=3), JSON, max_size=4))
def test_sending_the_proposal_back_changes_nothing(proposed: dict[str, Any]) -> None:
    values = final_values(proposed, [], dict(proposed))
    assert values == proposed
    assert edited_fields(proposed, values) == []


@given(st.dictionaries(st.text("abc", max_size=3), JSON, max_size=4), st.text("abc", max_size=3), JSON)
def test_only_editable_fields_ever_differ(proposed: dict[str, Any], name: str, value: Any) -> None:
    try:
        values = final_values(proposed, ["a"], {name: value})
    except InvalidError:
        return
    assert edited_fields(proposed, values) in ([], ["a"])
    assert values.keys() == proposed.keys()
