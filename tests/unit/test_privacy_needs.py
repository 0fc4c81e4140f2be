"""What every match of a pattern needs, and that no rule misses anything for it."""

from __future__ import annotations

import re

import pytest

from signoff.governance.privacy.detector import RULES
from signoff.governance.privacy.needs import Needs, held_in, most_of, needs_of

MOST = most_of(rule.needs for rule in RULES)


@pytest.mark.parametrize(
    ("pattern", "digits", "characters", "run", "digit_run"),
    [
        (r"\d{4}-[0-9]{2}", 6, "-", 4, 4),
        (r"(?<!\d)(?:\d ?){8,9}(?!\d)", 8, "", 0, 0),
        (r"[A-Z]{2}\d{3}|x\d@", 1, "", 0, 0),
        (r"[A-Z]{2}[- ]?(?:\d{3})[A-Z]", 3, "", 4, 4),
        (r"[A-Z]{5}\d{0,3}-[a-f\d]{3,}_\d", 1, "-_", 5, 5),
        (r"a@|b@", 0, "@", 0, 0),
        (r"(?i)so_\d?", 0, "_", 3, 0),
        (r"so_(?P<value>[\da-f])", 0, "so_", 4, 0),
        (r"(?:@\d)*[^\d][\d-]", 0, "", 0, 0),
        (r"5(?=\d\d)", 1, "5", 1, 1),
        (r"(?i:k)@", 0, "@", 1, 0),
    ],
)
def test_what_a_match_has_at_least(pattern: str, digits: int, characters: str, run: int, digit_run: int) -> None:
    assert needs_of(re.compile(pattern)) == Needs(digits, frozenset(characters), run, digit_run)


def test_a_run_goes_on_through_letters_and_digits_and_no_further() -> None:
    needs = needs_of(re.compile(r"[A-Z]{2}\d{4}"))
    assert needs.met_by(held_in("nr AB1234."))
    assert not needs.met_by(held_in("nr AB 1234 of Rotterdam"))


def test_digits_of_any_script_count() -> None:
    text = "٣٤٥٦"
    assert re.fullmatch(r"\d{4}", text)
    assert needs_of(re.compile(r"\d{4}")).met_by(held_in(text))
    assert not needs_of(re.compile(r"\d{4}")).met_by(held_in(text[1:]))


def test_most_rules_do_not_look_at_a_text_without_numbers() -> None:
    held = held_in("Where is my parcel? I ordered a blue jug on Monday.")
    assert sum(rule.needs.met_by(held) for rule in RULES) < len(RULES) / 4


def test_what_a_text_has_is_told_no_further_than_anybody_asks() -> None:
    most = most_of((Needs(4, frozenset("@"), 6, 0), Needs(1, frozenset("-"), 2, 5)))
    assert most == Needs(4, frozenset("@-"), 6, 5)
    text = held_in("a@b 1234567890-12")
    assert text.up_to(most) == Needs(4, frozenset("@-"), 6, 5)
    assert all(rule.needs.met_by(text) == rule.needs.met_by(text.up_to(MOST)) for rule in RULES)
