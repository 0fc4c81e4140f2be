from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.durations import parse_duration_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("5m", 300), ("4h", 14_400), ("2d", 172_800), ("1w", 604_800), (" 1.5h ", 5400)],
)
def test_what_people_write(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "5 minutes", "1h30m", "1e3s", "٣s s", "nan s", "5S"])
def test_anything_else_is_refused_with_advice(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write a number and one of"):
        parse_duration_s(text)


@given(st.text())
def test_no_text_gives_anything_but_a_duration_or_advice(text: str) -> None:
    try:
        seconds = parse_duration_s(text)
    except ValueError as error:
        assert "is not a duration" in str(error)  # noqa: PT017  (either end is right)
    else:
        assert seconds >= 0
