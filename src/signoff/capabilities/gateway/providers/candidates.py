"""What in a text could be an amount, an identifier, a date or an e-mail address. All different readings, in order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Final

from signoff.capabilities.gateway.provider import ProviderError
from signoff.catalog.prompts import ExtractionHint

Value = str | int | float

UNREADABLE: Final = "\0unreadable"
"""A candidate that may mean two things, such as 03/04/2026: it makes the field ambiguous."""

MINOR_UNITS = {"JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3}
"""Digits after the point by ISO 4217, where they are not two."""

_CURRENCIES = {
    "$": "USD", "usd": "USD", "us$": "USD", "dollar": "USD", "dollars": "USD", "buck": "USD", "bucks": "USD",
    "€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR",
    "£": "GBP", "gbp": "GBP", "pound": "GBP", "pounds": "GBP", "quid": "GBP",
    "¥": "JPY", "jpy": "JPY", "yen": "JPY",
    "chf": "CHF", "francs": "CHF", "cad": "CAD", "aud": "AUD",
}  # fmt: skip
_NUMBER = r"[0-9]+(?:[.,'\u00a0 ][0-9]{3})*(?:[.,][0-9]{1,3})?"
_MARK = r"us\$|[$€£¥]|\b(?:usd|eur|gbp|jpy|chf|cad|aud)(?![a-z])"
_WORD = r"dollars?|bucks?|euros?|pounds?|quid|yen|francs|usd|eur|gbp|jpy|chf|cad|aud"
_BEFORE = re.compile(rf"(?<![-\u2212\w])(?P<mark>{_MARK})\s?(?P<number>{_NUMBER})(?![0-9]|[.,][0-9])", re.IGNORECASE)
_AFTER = re.compile(rf"(?<![-\u2212\w.,$€£¥])(?P<number>{_NUMBER})\s?(?P<mark>[$€£¥]|(?:{_WORD})\b)", re.IGNORECASE)
_CENTS = re.compile(r"(?<![-\u2212\w.,])(?P<number>[0-9]{1,9})\s?(?:cents?\b|¢)", re.IGNORECASE)
_BARE = re.compile(
    r"(?<![-\u2212\w.,$€£¥#/])(?P<number>[0-9]{1,3}(?:[.,][0-9]{3})*[.,][0-9]{2}|[0-9]+[.,][0-9]{2})(?![\w/]|[.,][0-9])"
)
_GROUP = 3
_SEPARATORS = re.compile(r"[.,'\u00a0 ]")

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.)+[A-Za-z]{2,24}")

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?P<month>(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6})\.?"
_ISO_DATE = re.compile(r"(?<![0-9-])(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})(?![0-9-])")
_POINT_DATE = re.compile(r"(?<![0-9.])(?P<day>[0-9]{1,2})\.\s?(?P<month>[0-9]{1,2})\.\s?(?P<year>[0-9]{4})(?![0-9])")
_SLASH_DATE = re.compile(r"(?<![0-9/])(?P<one>[0-9]{1,2})/(?P<two>[0-9]{1,2})/(?P<year>[0-9]{4})(?![0-9/])")
_DAY_FIRST = re.compile(
    rf"\b(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?\.?\s+(?:of\s+)?{_MONTH},?\s+(?P<year>[0-9]{{4}})\b", re.IGNORECASE
)
_MONTH_FIRST = re.compile(
    rf"\b{_MONTH}\s+(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>[0-9]{{4}})\b", re.IGNORECASE
)


def find(text: str, hint: ExtractionHint) -> list[Value]:
    """The different readings of a field, in the order of the text.

    Raises:
        ProviderError: the hint is wrong.
    """
    finders: dict[str, Callable[[str, ExtractionHint], Iterator[Value]]] = {
        "amount": _amounts,
        "identifier": _identifiers,
        "date": _dates,
        "email": _emails,
    }
    return list(dict.fromkeys(finders[hint.kind](text, hint)))


def _amounts(text: str, hint: ExtractionHint) -> Iterator[Value]:
    """Amounts of the hint's currency; numbers with two decimals and no currency count where none has one."""
    marked = sorted(_marked_amounts(text, hint), key=lambda item: item[0])
    if marked:
        yield from (value for _, value in marked)
        return
    if any(pattern.search(text) for pattern in (_BEFORE, _AFTER)):
        # Only other currencies are named: a bare number beside them would be a guess.
        return
    for match in _BARE.finditer(text):
        yield _in_unit(_decimal(match["number"], ""), hint)


def _marked_amounts(text: str, hint: ExtractionHint) -> Iterator[tuple[int, Value]]:
    taken: set[int] = set()
    for pattern in (_BEFORE, _AFTER):
        for match in pattern.finditer(text):
            start = match.start("number")
            currency = _CURRENCIES[match["mark"].lower()]
            if start in taken or (hint.currency is not None and currency != hint.currency):
                taken.add(start)
                continue
            taken.add(start)
            yield start, _in_unit(_decimal(match["number"], currency), hint)
    for match in _CENTS.finditer(text):
        if hint.currency in (None, "USD", "EUR"):
            yield match.start("number"), _in_unit(Decimal(match["number"]) / 100, hint)


def _decimal(number: str, currency: str) -> Decimal | None:
    """The number of a written amount, in English or continental notation; none where it could be read in two ways."""
    separators: list[str] = _SEPARATORS.findall(number)
    digits = _SEPARATORS.split(number)
    continental = currency in ("EUR", "CHF")
    if not separators:
        return Decimal(number)
    if " " in separators and not continental:
        # "order 12 300 dollars": two numbers as likely as one.
        return None
    whole_number = len(digits[-1]) == _GROUP
    grouping = separators if whole_number else separators[:-1]
    if len(set(grouping)) > 1 or (grouping and len(digits[0]) > _GROUP):
        return None
    if whole_number:
        # 1.234 may be a thousand or one and a bit, where the point is the decimal sign.
        unclear = separators == ["."] and not continental
        return None if unclear else Decimal("".join(digits))
    if separators[-1] not in ".," or separators[-1] in grouping:
        return None
    return Decimal(f"{''.join(digits[:-1])}.{digits[-1]}")


def _in_unit(amount: Decimal | None, hint: ExtractionHint) -> Value:
    """In the hint's unit: a whole number of minor units, or the amount itself."""
    if amount is None:
        return UNREADABLE
    if hint.unit is None:
        return float(amount)
    minor = amount.scaleb(MINOR_UNITS.get(hint.currency or "", 2))
    return int(minor) if minor == int(minor) else UNREADABLE


def _identifiers(text: str, hint: ExtractionHint) -> Iterator[Value]:
    if hint.pattern is None:
        raise ProviderError("setup", "An `identifier` hint needs a `pattern`.")
    try:
        pattern = re.compile(hint.pattern)
    except re.error as error:
        raise ProviderError(
            "setup", f"The pattern of an `identifier` hint is no regular expression: {error}."
        ) from None
    for match in pattern.finditer(text):
        value = match[1] if pattern.groups else match[0]
        if value:
            yield value


def _emails(text: str, hint: ExtractionHint) -> Iterator[Value]:  # noqa: ARG001  (the signature of all finders)
    for match in _EMAIL.finditer(text):
        yield match[0]


def _dates(text: str, hint: ExtractionHint) -> Iterator[Value]:  # noqa: ARG001  (the signature of all finders)
    """Dates as ISO 8601. A numeric date whose day and month could be swapped cannot be read."""
    found: list[tuple[int, Value]] = []
    for pattern in (_ISO_DATE, _POINT_DATE, _DAY_FIRST, _MONTH_FIRST):
        for match in pattern.finditer(text):
            name = match["month"]
            month = int(name) if name.isdecimal() else _MONTHS.index(name[:3].lower()) + 1
            found.extend(_date(match.start(), int(match["year"]), month, int(match["day"])))
    for match in _SLASH_DATE.finditer(text):
        year, one, two = int(match["year"]), int(match["one"]), int(match["two"])
        readings = {*_date(match.start(), year, one, two), *_date(match.start(), year, two, one)}
        found.extend(readings if len(readings) == 1 else {(match.start(), UNREADABLE)} if readings else ())
    yield from (value for _, value in sorted(found))


def _date(position: int, year: int, month: int, day: int) -> tuple[tuple[int, Value], ...]:
    try:
        return ((position, date(year, month, day).isoformat()),)
    except ValueError:
        return ()
