"""JSON as a text: who reads it as text may see more of it than who reads its value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

_QUOTED = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_WHOLE = re.compile(r"(?<![0-9.eE+-])-?[0-9]{19,}(?![0-9.eE])")
_WIDEST_DIGITS = 20
_WIDEST = 2.0**63
"""Smaller ones are read exactly, whatever their sign."""


def rounded_number(text: str | bytes, value: Any) -> int | None:
    """Where a whole number stands that was not read exactly; none where all were.

    A whole number of more than 64 bits is valid JSON (RFC 8259, section 6), but is read as the nearest double, in
    silence: another order's number, another account's.

    Args:
        text: valid JSON.
        value: what it was read as.
    """
    if not _has_wide(value):
        return None
    # Texts keep their length, so that places stay what they are.
    bare = _QUOTED.sub(lambda found: " " * len(found[0]), text if isinstance(text, str) else text.decode())
    for found in _WHOLE.finditer(bare):
        digits = found[0].lstrip("-")
        # Python reads no number of thousands of digits, and these are enough to know.
        if len(digits) > _WIDEST_DIGITS or not -(2**63) <= int(found[0]) < 2**64:
            return found.start()
    return None


def deeper_than(value: Any, depth: int) -> bool:
    """Whether objects and arrays stand in each other more often than that."""
    level: list[Any] = [value]
    for _ in range(depth):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below.extend(cast("dict[str, Any]", one).values())
            elif isinstance(one, list):
                below.extend(cast("list[Any]", one))
        if not below:
            return False
        level = below
    return any(isinstance(one, dict | list) for one in level)


def _has_wide(value: Any) -> bool:
    """Whether a number is in it that may have been rounded: looking at values is cheaper than at the text."""
    waiting: list[Any] = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend(cast("dict[str, Any]", one).values())
        elif isinstance(one, list):
            waiting.extend(cast("list[Any]", one))
        elif isinstance(one, float) and not -_WIDEST < one < _WIDEST:
            return True
    return False


def told_by_value(text: str, value: Any, *, depth: int) -> bool:
    """Whether a JSON text says nothing that its value, down to a depth, does not have.

    An object may give one name twice (RFC 8259, section 4): its value has what was given last, and a model reads both.

    Args:
        text: valid JSON.
        value: what it was read as.
        depth: how deep whoever looks at the value goes.
    """
    names = 0
    level: list[Any] = [value]
    for _ in range(depth + 1):
        below: list[Any] = []
        for one in level:
            if isinstance(one, Mapping):
                names += len(cast("Mapping[str, Any]", one))
                below.extend(cast("Mapping[str, Any]", one).values())
            elif isinstance(one, list):
                below.extend(cast("list[Any]", one))
        if not below:
            # Outside of texts a colon stands behind each name, and nowhere else.
            return names == _QUOTED.sub("", text).count(":")
        level = below
    return False
