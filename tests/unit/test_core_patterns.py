"""Patterns that projects write: those that hostile text could make slow are refused or matched in bounded time."""

from __future__ import annotations

import contextlib
import re

import pytest

from signoff.core.errors import LimitError
from signoff.core.patterns import Pattern, repeats_repeats

SLOW = ["(a+)+$", "(?:a|aa)+$", "(a*)*b", r"(\w+\s?)+:", "((a|b)c*)+d", "(?:(?=a+)x)*", "(a{1,9}){2,}", "(?>(a+)+)b"]
PLAIN = [
    "",
    r"W\d{4,9}",
    "[A-Z-]+",
    "(?:ab)+",
    r"(?:AB|CD)-\d+",
    "(?:-[A-Z]{2})*",
    r"(?:order )?(\d+)",
    "(?i)a|b",
    "[ab]+",
]


@pytest.mark.parametrize("source", SLOW)
def test_what_python_might_try_for_ever_is_told(source: str) -> None:
    assert repeats_repeats(source)
    try:
        bounded = Pattern(source)
    except ValueError:
        return
    with contextlib.suppress(LimitError):  # it ends: the test's own time limit is far away
        bounded.occurs_in("a" * 2_000 + "!")


@pytest.mark.parametrize("source", PLAIN)
def test_what_ends_is_not(source: str) -> None:
    assert not repeats_repeats(source)


@pytest.mark.parametrize("source", ["(", "a{2,1}", "[z-a]", "*", "(?P<a"])
def test_what_is_none_is_told(source: str) -> None:
    with pytest.raises(re.error):
        repeats_repeats(source)
    with pytest.raises(ValueError, match="no regular expression"):
        Pattern(source)


@pytest.mark.parametrize(("source", "text", "found"), [("ab", "xAB", True), ("^b", "ab", False), (r"é\d", "É5", True)])
def test_they_ignore_case_and_stand_anywhere(source: str, text: str, found: bool) -> None:
    assert Pattern(source).occurs_in(text) is found


def test_what_is_one_in_brackets_only_is_none() -> None:
    with pytest.raises(ValueError, match="no regular expression"):
        Pattern("a)|(b")
