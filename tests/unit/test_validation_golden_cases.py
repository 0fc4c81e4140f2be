"""Golden cases as people keep them, and whatever else stands in such a file: told by line, in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.capabilities.validation.documents import GoldenCase, read_cases
from signoff.core.errors import InvalidError

CASE = b'{"signals": {"own": 0.5}, "correct": true, "name": "more is passed over"}'


@pytest.mark.parametrize("lines", [CASE, b"\xef\xbb\xbf" + CASE + b"\r\n\r\n", b"\n" + CASE])
def test_cases_are_read_however_the_file_was_saved(lines: bytes) -> None:
    assert read_cases(lines) == [GoldenCase({"own": 0.5}, True)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"\xff", "no JSON"),
        (b"[" * 50_000, "no JSON"),
        (b'{"signals": {"own": NaN}, "correct": true}', "no JSON"),
        (b"[]", "object"),
        (b'{"signals": [], "correct": true}', "'signals'"),
        (b'{"signals": {}, "correct": true}', "'signals'"),
        (b'{"signals": {"own": "0.5"}, "correct": true}', "'signals.own'"),
        (b'{"signals": {"own": true}, "correct": true}', "'signals.own'"),
        (b'{"signals": {"own": 0.5}, "correct": 1}', "'correct'"),
        (b'{"signals": {"own": 0.5}}', "'correct'"),
    ],
)
def test_what_is_no_case_is_told_by_its_line(line: bytes, told: str) -> None:
    with pytest.raises(InvalidError) as caught:
        read_cases(CASE + b"\n" + line)
    assert (caught.value.detail.startswith("Line 2 is no golden case"), told in caught.value.detail) == (True, True)
    assert "Error(" not in caught.value.detail


@given(st.binary(max_size=200))
def test_any_bytes_are_cases_or_told(lines: bytes) -> None:
    told = "golden case"
    try:
        read_cases(lines)
    except InvalidError as error:
        told = error.detail
    assert "golden case" in told
