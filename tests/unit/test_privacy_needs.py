"""What every match of a pattern needs, and that no rule misses anything for it."""

from __future__ import annotations

import re

import pytest

from signoff.governance.privacy.detector import RULES
from signoff.governance.privacy.needs import Held, Needs, needs_of


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
    assert Held("nr AB1234.").meets(needs)
    assert not Held("nr AB 1234 of Rotterdam").meets(needs)


def test_digits_of_any_script_count() -> None:
    text = "٣٤٥٦"
    assert re.fullmatch(r"\d{4}", text)
    assert Held(text).meets(needs_of(re.compile(r"\d{4}")))
    assert not Held(text[1:]).meets(needs_of(re.compile(r"\d{4}")))


def test_most_rules_do_not_look_at_a_text_without_numbers() -> None:
    held = Held("Where is my parcel? I ordered a blue jug on Monday.")
    assert sum(held.meets(rule.needs) for rule in RULES) < len(RULES) / 4
