"""What `signoff run` makes of the attributes that are given."""

from __future__ import annotations

import pytest
import typer

from signoff.cli.start_options import attributes_of, known_by


def test_values_have_the_types_that_they_look_like() -> None:
    given = ["customer=c1", "cents=1250", "rate=0.5", "urgent=true", 'code="007"', "note=a=b", "empty=", "list=[1]"]
    assert attributes_of(given) == {
        "customer": "c1",
        "cents": 1250,
        "rate": 0.5,
        "urgent": True,
        "code": "007",
        "note": "a=b",
        "empty": "",
        "list": "[1]",
    }


@pytest.mark.parametrize("given", [["customer"], ["=c1"], ["a=1", "a=2"]])
def test_a_mistake_is_told(given: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        attributes_of(given)


@pytest.mark.parametrize(
    ("body", "word"),
    [({}, "idempotency key"), ({"deduplicate": {}}, "is not used"), ({"debounce": {}}, "with this input")],
)
def test_a_start_that_made_no_run_says_by_which_key(body: dict[str, object], word: str) -> None:
    assert word in known_by(body)
