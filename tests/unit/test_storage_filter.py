"""The filter's grammar: what each form means, and what a mistake is told as."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from signoff.core.errors import InvalidError
from signoff.core.words import words_of
from signoff.runtime.client.searching import Condition, parse_filter

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("  ", ()),
        ('customer = "c1" and cents > 1000', (("customer", "=", ("c1",)), ("cents", ">", (1000,)))),
        ("rate<=-1.5e3", (("rate", "<=", (-1500.0,)),)),
        ("express = true AND name ^= 'O\\'B'", (("express", "=", (True,)), ("name", "^=", ("O'B",)))),
        ("status in ('failed', \"stuck\")", (("status", "in", ("failed", "stuck")),)),
        ("started >= -7d", (("started", ">=", (NOW - timedelta(days=7),)),)),
        ("ended < '2026-11-01'", (("ended", "<", (datetime(2026, 11, 1, tzinfo=UTC),)),)),
        ("text ~ 'card expired'", (("text", "~", ("card expired",)),)),
        ("class >= 'confidential'", (("class", ">=", ("confidential",)),)),
    ],
)
def test_a_filter_means_its_conditions(text: str, expected: tuple[tuple[str, str, tuple[object, ...]], ...]):
    found = parse_filter(text, now=NOW).conditions
    assert tuple((item.field, item.operator, item.values) for item in found) == expected
    assert all(isinstance(item, Condition) for item in found)


@pytest.mark.parametrize(
    ("text", "column", "told"),
    [
        ("customer", 9, "stands alone"),
        ("customer =", 11, "A value is missing"),
        ("customer = c1", 12, "Put texts in quotes: 'c1'"),
        ("customer = 'c1", 12, "quote is not closed"),
        ("a = 1 or b = 2", 7, "'and' is missing"),
        ("a = 1 b = 2", 7, "'and' is missing"),
        ("a = 1 and", 10, "a field or the name"),
        ("status = 'dnoe'", 10, "Did you mean 'done'?"),
        ("class > 'secret'", 9, "public, internal"),
        ("started = -7d", 9, "It takes one of: < <= > >="),
        ("started > 'soon'", 11, "A time is needed"),
        ("started > -99999999999d", 11, "longer ago"),
        ("customer ~ 'x'", 10, "text ~ 'words'"),
        ("text ~ '!?'", 8, "words are needed"),
        ("text ~ 'a b c d e f g h i j k'", 8, "words are needed"),
        ("n ^= 1", 6, "a text in quotes"),
        ("n = 99999999999999999999", 5, "larger than any"),
        ("a in 1", 6, "'(' is missing"),
        ("a in ('x'", 10, "')' is missing"),
        ("a = 'x\0'", 7, "no NUL"),
        ("a = " + "'" + "x" * 2000 + "'", 2001, "at most 2000 characters"),
        (" and ".join(["a = 1"] * 21), 201, "at most 20 conditions"),
        ("a in (" + ",".join(["1"] * 101) + ")", 208, "at most 100 values"),
        ("workflow = 1", 12, "A text in quotes"),
        ("n == 1", 4, "Write one '='"),
        ("# = 1", 1, "means nothing here"),
    ],
)
def test_a_mistake_says_where_and_what_to_write(text: str, column: int, told: str):
    with pytest.raises(InvalidError) as caught:
        parse_filter(text, now=NOW)
    assert told in caught.value.detail
    assert caught.value.problems[0].column == column


def test_words_are_letters_and_digits_without_regard_to_case():
    assert words_of("support/refund_line", "Straße 7b, ÉTÉ", "refund") == [
        "support",
        "refund",
        "line",
        "strasse",
        "7b",
        "été",
    ]
    assert words_of("x" * 100) == ["x" * 64]
    assert len(words_of(" ".join(map(str, range(100))))) == 64
