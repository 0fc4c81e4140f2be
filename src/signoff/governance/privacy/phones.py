"""Telephone numbers: international ones by E.164, national ones by grouped digits that something near makes a number."""

from __future__ import annotations

import re

from signoff.governance.privacy.model import Finding
from signoff.governance.privacy.rules import near, words

PHONE = "PHONE_NUMBER"
_GROUPED = re.compile(
    r"(?<![\w.$€£#/])(?<!\d[ ,:-])(?:(?:\+|00)\d{1,3}[ .-]?)?(?:\(\d{1,5}\)[ .-]?)?\d{1,5}(?:[ .-]{1,2}\(?\d{2,6}\)?|-\d{1,6}){0,6}"
    r"(?:\s?(?:x|ext\.?)\s?(?P<extension>\d{1,6}))?(?!\w|[.,:/]\d)"
)
_CONTEXT = words(
    "tel\\S*", "phones?", "telephones?", "call(?:ed|ing|s)?", "mobile", "cell\\S*", "fax", "ring", "text(?:ed|ing)?", "sms",
    "dial\\S*", "reach\\S*", "contact", "whats ?app", "hotline", "answer\\S*", "office", "voicemail", "messages? to", "handy",
)  # fmt: skip
_DATES = re.compile(r"\d{4}-\d{1,2}-\d{1,2}$|\d{1,2}[-.]\d{1,2}[-.]\d{4}$|(?:19|20)\d\d ?- ?(?:19|20)\d\d$")
_NORTH_AMERICAN = re.compile(r"(?:\+?1[ .-]?)?\(?[2-9]\d\d\)?[ .-]{0,2}\d{3}[ .-]\d{4}$")
_TRUNK = re.compile(r"\(0?\d{1,4}\)[ .-]?\d|0\d{1,4}[ /-]\d")
_OTHER = words(
    "orders?", "purchases?", "invoices?", "tickets?", "tracking", "refunds?", "case", "reference", "ref", "parcels?"
)
_NAMED_BEFORE = 16
_FEWEST_DIALLED = 10
"""With the prefix 00, which order numbers begin with too."""
_FEWEST, _MOST = 7, 15
"""E.164 has at most 15 digits; shorter than seven is no number of a person."""


def find_phones(text: str, likely: frozenset[int] = frozenset()) -> list[Finding]:
    """Telephone numbers.

    Args:
        text: where to look.
        likely: characters that the local model takes for part of a number.
    """
    found: list[Finding] = []
    for match in _GROUPED.finditer(text):
        start, end, matched = match.start(), match.end(), match.group()
        main = matched[: match.start("extension") - start] if match.group("extension") else matched
        count = sum(character.isdigit() for character in main)
        if not _FEWEST <= count <= _MOST or _DATES.match(matched):
            continue
        separated = not matched.isdigit()
        international = matched.startswith("+") or (matched.startswith("00") and count >= _FEWEST_DIALLED)
        modelled = sum(place in likely for place in range(start, end)) * 2 > end - start
        shaped = _NORTH_AMERICAN.match(main.strip()) or _TRUNK.match(matched)
        named = _OTHER.search(text[max(start - _NAMED_BEFORE, 0) : start]) is not None
        if international or (separated and (shaped or modelled)) or (not named and near(_CONTEXT, text, start, end)):
            found.append(Finding(start, end, PHONE, "phone"))
    return found
