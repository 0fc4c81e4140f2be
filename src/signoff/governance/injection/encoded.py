"""Finds runs of encoded data: long base64 and hexadecimal that no word, number or path is."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

MIN_BASE64_CHARACTERS = 40
MIN_HEX_CHARACTERS = 65
"""Longer than a SHA-256, which honest texts have."""
MIN_ENTROPY_BITS = 3.8
"""Per character: random base64 of 40 characters has about 4.7, words run together about 3.5."""

_BASE64 = re.compile(rf"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{{{MIN_BASE64_CHARACTERS},}}={{0,2}}(?![A-Za-z0-9+/_=-])")
_HEX = re.compile(rf"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{{2}}[ :]?){{{MIN_HEX_CHARACTERS // 2 + 1},}}(?![0-9A-Za-z])")


def encoded_places(text: str) -> Iterator[tuple[int, int]]:
    """Where such runs begin and end."""
    for match in _HEX.finditer(text):
        yield match.span()
    for match in _BASE64.finditer(text):
        run = match.group()
        if _HEX.fullmatch(run) or not _mixed(run):
            continue
        if entropy_bits(run) >= MIN_ENTROPY_BITS:
            yield match.span()


def entropy_bits(text: str) -> float:
    """Shannon's entropy per character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def _mixed(run: str) -> bool:
    """Small and capital letters and digits, as encoded bytes have; a path or an identifier in snake case has not."""
    return all(any(test(character) for character in run) for test in (str.islower, str.isupper, str.isdigit))
