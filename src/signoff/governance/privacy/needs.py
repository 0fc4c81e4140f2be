"""What every match of a pattern has in it, read off the pattern: a text without it is not searched.

Most texts have few digits and no `@`, and most patterns are of long numbers: looking for each of them takes longer than
all else that is done with a short text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# The parser is `re`'s own, which has no public name since Python 3.11; its tree is that of all versions since 2.0.
from re import _parser  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]  (typeshed has it not)
from typing import Any, cast

_DIGIT = re.compile(r"\d")
_WORD = re.compile(r"\w")
_RUN = re.compile(r"\w+")
_LETTERS = (("0", "9"), ("A", "Z"), ("a", "z"))
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")


@dataclass(frozen=True, slots=True)
class Needs:
    """What a match has at least, or what a text has.

    Attributes:
        digits: how many, of any script.
        characters: which; letters only where their case counts.
        run: so many letters, digits and underscores side by side.
        digit_run: as `run`, with a digit among them.
    """

    digits: int = 0
    characters: frozenset[str] = frozenset()
    run: int = 0
    digit_run: int = 0

    def met_by(self, held: Needs) -> bool:
        """Whether a text that has so much may have a match."""
        return (
            self.digits <= held.digits
            and self.digit_run <= held.digit_run
            and self.run <= held.run
            and self.characters <= held.characters
        )

    def up_to(self, most: Needs) -> Needs:
        """As far as anybody asks: no more of each than that."""
        return Needs(
            min(self.digits, most.digits),
            self.characters & most.characters,
            min(self.run, most.run),
            min(self.digit_run, most.digit_run),
        )


def held_in(text: str) -> Needs:
    """What a text has."""
    runs = _RUN.findall(text)
    of_digits = [run for run in runs if _DIGIT.search(run)] if _DIGIT.search(text) else []
    return Needs(
        len(_DIGIT.findall("".join(of_digits))) if of_digits else 0,
        frozenset(text),
        max(map(len, runs), default=0),
        max(map(len, of_digits), default=0),
    )


def most_of(all_needs: Iterable[Needs]) -> Needs:
    """The most that any of them needs of each."""
    found = tuple(all_needs)
    return Needs(
        max((one.digits for one in found), default=0),
        frozenset[str]().union(*(one.characters for one in found)),
        max((one.run for one in found), default=0),
        max((one.digit_run for one in found), default=0),
    )


def needs_of(pattern: re.Pattern[str]) -> Needs:
    """What every match of a pattern has. What is not understood needs nothing."""
    tree = cast("Any", _parser).parse(pattern.pattern, pattern.flags)
    found, runs = _all_of(tree), _Runs()
    runs.read(tree)
    characters = found.characters
    if pattern.flags & re.IGNORECASE or "(?i" in pattern.pattern:
        characters = frozenset(one for one in characters if one.lower() == one.upper())
    return Needs(found.digits, characters, runs.longest, runs.longest_with_digit)


class _Runs:
    """The longest piece of every match that has letters, digits and underscores only: nothing may come between."""

    def __init__(self) -> None:
        self.longest = self.longest_with_digit = 0
        self._length = 0
        self._digit = False

    def read(self, items: Any) -> None:
        """The next items of a pattern."""
        for operator, argument in items:
            self._read(str(operator), argument)

    def _read(self, operator: str, argument: Any) -> None:
        if operator in ("ASSERT", "ASSERT_NOT", "AT"):
            return  # they take nothing of the text
        if operator == "SUBPATTERN":
            self.read(argument[-1])
        elif operator == "ATOMIC_GROUP":
            self.read(argument)
        elif operator in _REPEATS and len(argument[2]) == 1 and _is_word(*argument[2][0]):
            self._add(argument[0], digit=bool(argument[0]) and bool(_of(*_named(argument[2][0])).digits))
        elif _is_word(operator, argument):
            self._add(1, digit=bool(_of(operator, argument).digits))
        else:
            # It may have other characters, or be two things: what comes behind it is another piece.
            self._length, self._digit = 0, False

    def _add(self, count: int, *, digit: bool) -> None:
        self._length += count
        self._digit = self._digit or digit
        self.longest = max(self.longest, self._length)
        if self._digit:
            self.longest_with_digit = max(self.longest_with_digit, self._length)


def _named(item: Any) -> tuple[str, Any]:
    return str(item[0]), item[1]


def _is_word(operator: Any, argument: Any) -> bool:
    """Whether an item is one character, and that a letter, a digit or an underscore."""
    operator = str(operator)
    if operator == "LITERAL":
        return _WORD.fullmatch(chr(argument)) is not None
    return operator == "IN" and all(_is_word_part(str(one), value) for one, value in argument)


def _is_word_part(operator: str, value: Any) -> bool:
    if operator == "LITERAL":
        return _WORD.fullmatch(chr(value)) is not None
    if operator == "RANGE":
        return any(first <= chr(value[0]) and chr(value[1]) <= last for first, last in _LETTERS)
    return operator == "CATEGORY" and str(value) in ("CATEGORY_DIGIT", "CATEGORY_WORD")


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
