"""The rule-based extractor: amounts, identifiers, dates and addresses as people write them; nothing guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.capabilities.gateway import ProviderError, ProviderRequest
from signoff.capabilities.gateway.providers.candidates import find
from signoff.capabilities.gateway.providers.fields import MAX_TEXT_CHARACTERS, Fields
from signoff.catalog.prompts import ExtractionHint, PromptMessage

CENTS = ExtractionHint("amount", unit="cents", currency="USD")
EURO_CENTS = ExtractionHint("amount", unit="cents", currency="EUR")
DATE = ExtractionHint("date")
ORDER = ExtractionHint("identifier", pattern=r"\bW[0-9]{7}\b")


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("I paid $54.20 for it", 5420),
        ("I paid $ 54.20.", 5420),
        ("$1,234.50 please", 123450),
        ("54 dollars", 5400),
        ("54.2 dollars", 5420),
        ("refund 12 bucks", 1200),
        ("12,345 USD", 1234500),
        ("USD 54.20", 5420),
        ("usd54.20", 5420),
        ("US$54.20", 5420),
        ("It cost 99 cents", 99),
        ("5000 USD", 500000),
        ("$5,000.00 at once", 500000),
        ("$0.99", 99),
        ("the total was 54.20", 5420),
        ("$1,234,567.89", 123456789),
        ("order W1234567 for 54.20 USD", 5420),
        ("It was $54.20, yes, $54.20!", 5420),
        ("$54.20 (54.20 dollars)", 5420),
    ],
)
def test_dollars_are_read(text: str, cents: int):
    assert find(text, CENTS) == [cents]


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("1.234,50 EUR", 123450),
        ("1 234,50 €", 123450),
        ("€ 1,234.50", 123450),
        ("12,5 euros", 1250),
        ("1.234 EUR", 123400),
        ("€54", 5400),
        ("EUR 1.234.567,89", 123456789),
    ],
)
def test_euros_are_read_in_both_notations(text: str, cents: int):
    assert find(text, EURO_CENTS) == [cents]


@pytest.mark.parametrize(
    "text",
    [
        "no amount here",
        "order W1234567, 3 items, in 2026",
        "54 EUR",
        "-$54.20",
        "$-54.20",
        "call 555-12.34.56.78",
        "version 1.2.3",
        "12.34.2026",
        "£20, or 23.50 if you like",
    ],
)
def test_what_is_no_dollar_amount_is_not_found(text: str):
    assert find(text, CENTS) == []


def test_unreadable_amounts_are_ambiguous_not_guessed():
    assert extract("give me $1.234", {"cents": CENTS})["cents"] is None
    assert extract("give me $54.20 or $60", {"cents": CENTS})["cents"] is None


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("on 2026-11-22.", ["2026-11-22"]),
        ("am 22.11.2026", ["2026-11-22"]),
        ("22 November 2026", ["2026-11-22"]),
        ("the 22nd of November, 2026", ["2026-11-22"]),
        ("November 22nd, 2026", ["2026-11-22"]),
        ("Nov 3 2026", ["2026-11-03"]),
        ("11/22/2026", ["2026-11-22"]),
        ("22/11/2026", ["2026-11-22"]),
        ("05/05/2026", ["2026-05-05"]),
        ("31.02.2026", []),
        ("2026-13-01", []),
        ("99/99/2026", []),
        ("from 2026-01-01 to 2026-01-31", ["2026-01-01", "2026-01-31"]),
    ],
)
def test_dates_are_read(text: str, days: list[str]):
    assert find(text, DATE) == days


def test_a_date_with_two_readings_is_ambiguous():
    assert extract("on 03/04/2026", {"cents": DATE}) == {"cents": None}


def test_addresses_and_identifiers_are_read():
    assert find("write to Ana.B+x@mail.example.com, soon", ExtractionHint("email")) == ["Ana.B+x@mail.example.com"]
    assert find("orders W1234567 and #W7654321; W1234567 again; W12345678 no", ORDER) == ["W1234567", "W7654321"]
    grouped = ExtractionHint("identifier", pattern=r"order #?(W[0-9]{7})")
    assert find("order #W1234567", grouped) == ["W1234567"]


def test_wrong_hints_are_named():
    with pytest.raises(ProviderError, match="pattern"):
        find("x", ExtractionHint("identifier"))
    with pytest.raises(ProviderError, match="regular expression"):
        find("x", ExtractionHint("identifier", pattern="("))


def extract(text: str, hints: dict[str, ExtractionHint], **properties: Any) -> dict[str, Any]:
    import asyncio  # noqa: PLC0415  (the only synchronous caller)

    schema = {"type": "object", "properties": {name: {"type": ["integer", "string", "null"]} for name in hints}}
    schema["properties"] |= properties  # type: ignore[operator]  # a literal's type is narrower than JSON
    request = ProviderRequest("extract", (PromptMessage("user", text),), schema, 100, 5.0, {"text": text}, hints=hints)
    return json.loads(asyncio.run(Fields().complete(request)).text)


def test_a_missing_field_is_null_where_it_may_be_and_left_out_where_not():
    assert extract("nothing", {"cents": CENTS}) == {"cents": None}
    assert extract("nothing", {"cents": CENTS}, cents={"type": "integer"}) == {}


def test_ambiguity_is_told_where_the_schema_has_room():
    hints = {"order": ORDER, "cents": CENTS}
    text = "W1234567 or W7654321, $5"
    assert extract(text, hints, ambiguous={"type": "array"}) == {"order": None, "cents": 500, "ambiguous": ["order"]}
    assert extract(text, hints, ambiguous={"type": "boolean"})["ambiguous"] is True


def test_an_identifier_is_a_number_where_the_schema_wants_one():
    hint = {"id": ExtractionHint("identifier", pattern="[0-9]+")}
    assert extract("ticket 0042", hint, id={"type": "integer"}) == {"id": 42}
    assert extract("ticket 0042", hint, id={"type": "string"}) == {"id": "0042"}


async def test_too_long_a_text_is_refused_not_cut():
    request = ProviderRequest(
        "extract", (), {"type": "object"}, 10, 1.0, {"text": "x" * (MAX_TEXT_CHARACTERS + 1)}, hints={"cents": CENTS}
    )
    with pytest.raises(ProviderError, match="longer than"):
        await Fields().complete(request)


async def test_extraction_without_hints_says_what_is_missing():
    request = ProviderRequest("extract", (), {"type": "object"}, 10, 1.0, {"text": "x"})
    with pytest.raises(ProviderError, match="x-extract"):
        await Fields().complete(request)


@given(st.integers(0, 10**9), st.sampled_from(["${:,.2f}", "{:,.2f} USD", "USD {:.2f}", "{:.2f} dollars"]))
def test_every_written_amount_is_read_back(cents: int, style: str):
    assert find(f"please pay {style.format(cents / 100)} to me", CENTS) == [cents]


@given(st.text(max_size=200))
def test_no_text_breaks_the_rules(text: str):
    for hint in (CENTS, EURO_CENTS, DATE, ORDER, ExtractionHint("email"), ExtractionHint("amount")):
        assert isinstance(find(text, hint), list)


@pytest.mark.parametrize("text", ["order 12 300 dollars", "$1234,567", "$1,234.567", "$1.234.56", "$1,23,456.00"])
def test_amounts_with_two_readings_are_never_one(text: str):
    assert extract(text, {"cents": CENTS})["cents"] is None
