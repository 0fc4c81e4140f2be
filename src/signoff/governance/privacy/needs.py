"""What every match of a pattern has in it, read off the pattern: a text without it is not searched.

Most texts have few digits and no `@`, and most patterns are of long numbers: looking for each of them takes longer than
all else that is done with a short text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# The parser is `re`'s own, which has no public name since Python 3.11; its tree is that of all versions since 2.0.
from re import _parser  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]  (typeshed has it not)
from typing import Any, cast

_DIGIT = re.compile(r"\d")
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")


@dataclass(frozen=True, slots=True)
class Needs:
    """What a match has at least.

    Attributes:
        digits: how many, of any script.
        characters: which; letters only where their case counts.
    """

    digits: int = 0
    characters: frozenset[str] = frozenset()


class Held:
    """What a text has."""

    def __init__(self, text: str) -> None:
        self._digits = len(_DIGIT.findall(text))
        self._characters = frozenset(text)

    def meets(self, needs: Needs) -> bool:
        """Whether there can be a match."""
        return needs.digits <= self._digits and needs.characters <= self._characters


def needs_of(pattern: re.Pattern[str]) -> Needs:
    """What every match of a pattern has. What is not understood needs nothing."""
    found = _all_of(cast("Any", _parser).parse(pattern.pattern, pattern.flags))
    if pattern.flags & re.IGNORECASE or "(?i" in pattern.pattern:
        return Needs(found.digits, frozenset(one for one in found.characters if one.lower() == one.upper()))
    return found


def _all_of(items: Any) -> Needs:
    parts = [_of(str(operator), argument) for operator, argument in items]
    return Needs(sum(part.digits for part in parts), frozenset[str]().union(*(part.characters for part in parts)))


def _of(operator: str, argument: Any) -> Needs:
    found = Needs()  # what looks around takes nothing of the text, and the rest may be anything
    if operator == "LITERAL":
        found = Needs(int(chr(argument).isdecimal()), frozenset(chr(argument)))
    elif operator == "IN":
        found = Needs(int(all(_is_digit(str(one), value) for one, value in argument)))
    elif operator in _REPEATS and argument[0]:
        inner = _all_of(argument[2])
        found = Needs(argument[0] * inner.digits, inner.characters)
    elif operator == "SUBPATTERN":
        found = _all_of(argument[-1])
    elif operator == "ATOMIC_GROUP":
        found = _all_of(argument)
    elif operator == "BRANCH":
        first, *others = [_all_of(branch) for branch in argument[1]]
        common = first.characters.intersection(*(part.characters for part in others))
        found = Needs(min(part.digits for part in (first, *others)), common)
    return found


def _is_digit(operator: str, value: Any) -> bool:
    if operator == "LITERAL":
        return chr(value).isdecimal()
    if operator == "RANGE":
        return ord("0") <= value[0] and value[1] <= ord("9")
    return operator == "CATEGORY" and str(value) == "CATEGORY_DIGIT"
