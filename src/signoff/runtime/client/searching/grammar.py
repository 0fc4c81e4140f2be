"""The filter of lists of runs: text that people type, and the conditions that it means.

filter   = condition { "and" condition }
condition = field operator value | field "in" "(" value { "," value } ")"
operator = "=" | "!=" | "<" | "<=" | ">" | ">=" | "^=" (begins with) | "~" (contains the words)
value    = text in quotes | whole number | number | true | false | age such as -7d (that long ago)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, cast

from signoff.core.durations import parse_duration_s
from signoff.core.errors import InvalidError, Problem, did_you_mean
from signoff.core.labels import DataClass
from signoff.core.words import words_of

FILTER_CHARS = 2000
"""Length of a filter."""
FILTER_CONDITIONS = 20
"""Conditions in one filter."""
FILTER_VALUES = 100
"""Values of one `in`."""
FILTER_WORDS = 10
"""Words of one `text ~`."""

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "^=", "~", "in"]
Value = str | int | float | bool | datetime

STATUSES = ("queued", "running", "waiting", "paused", "stuck", "done", "failed", "cancelled", "terminated")
CLASSES = tuple(item.name.lower() for item in DataClass)

_EQUALITY = ("=", "!=", "in")
_ORDER = ("<", "<=", ">", ">=")
FIELDS: dict[str, tuple[str, ...]] = {
    "workflow": (*_EQUALITY, "^="),
    "status": _EQUALITY,
    "release": (*_EQUALITY, "^="),
    "outcome": (*_EQUALITY, "^="),
    "started_by": (*_EQUALITY, "^="),
    "class": (*_EQUALITY, *_ORDER),
    "started": _ORDER,
    "updated": _ORDER,
    "ended": _ORDER,
    "text": ("~",),
}
"""The fields that every run has, with their operators; any other name is a search attribute's."""
ATTRIBUTE_OPERATORS = (*_EQUALITY, *_ORDER, "^=")

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<age>-\d+(?:\.\d+)?(?:ms|s|m|h|d|w)\b)
    |(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]{0,62})
    |(?P<operator>!=|<=|>=|\^=|[=<>~])
    |(?P<mark>[(),]))""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(.)")
_LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. `values` holds one value, or those of an `in`."""

    field: str
    operator: Operator
    values: tuple[Value, ...]

    @property
    def value(self) -> Value:
        """The value that is compared with."""
        return self.values[0]

    @property
    def is_attribute(self) -> bool:
        """Whether the field is a search attribute."""
        return self.field not in FIELDS


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Conditions that all hold of a run; none means every run."""

    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def parse_filter(text: str, *, now: datetime) -> RunFilter:
    """What a filter means.

    Args:
        text: as above; blank means every run.
        now: what ages such as `-7d` are counted from.

    Raises:
        InvalidError: it does not follow the grammar; the problem says where and what may stand there.
    """
    if len(text) > FILTER_CHARS:
        raise _mistake(f"A filter has at most {FILTER_CHARS} characters.", FILTER_CHARS)
    if "\0" in text:
        raise _mistake("A filter has no NUL.", text.index("\0"))
    return _Parser(text, now).filter()


class _Parser:
    def __init__(self, text: str, now: datetime) -> None:
        self._text = text
        self._now = now
        self._tokens = self._split()
        self._next = 0

    def filter(self) -> RunFilter:
        found: list[Condition] = []
        while self._peek().kind != "end":
            if found:
                word = self._take("name", "'and', or the end")
                if word.text.lower() != "and":
                    suggestion = "Conditions are joined by 'and' alone; ask twice, or use 'in', for alternatives."
                    raise _mistake(f"'and' is missing before '{word.text}'.", word.at, suggestion)
            if len(found) == FILTER_CONDITIONS:
                raise _mistake(f"A filter has at most {FILTER_CONDITIONS} conditions.", self._peek().at)
            found.append(self._condition())
        return RunFilter(tuple(found))

    def _condition(self) -> Condition:
        name = self._take("name", "a field or the name of an attribute")
        operator = self._operator(name)
        values: list[Value] = []
        if operator == "in":
            self._mark("(")
            while True:
                values.append(self._value(name.text, operator))
                if len(values) > FILTER_VALUES:
                    raise _mistake(f"'in' takes at most {FILTER_VALUES} values.", self._peek().at)
                if self._peek().text != ",":
                    break
                self._next += 1
            self._mark(")")
        else:
            values.append(self._value(name.text, operator))
        return Condition(name.text, operator, tuple(values))

    def _operator(self, name: _Token) -> Operator:
        token = self._peek()
        known = FIELDS.get(name.text, ATTRIBUTE_OPERATORS)
        if token.kind == "operator" or token.text.lower() == "in":
            self._next += 1
            if token.text.lower() in known:
                return cast("Operator", token.text.lower())
        suggestion = f"It takes one of: {' '.join(known)}."
        if token.text == "~":
            suggestion += " Write text ~ 'words' to look for words anywhere."
        wrong = f"'{name.text}' cannot be compared by '{token.text}'." if token.text else f"'{name.text}' stands alone."
        raise _mistake(wrong, token.at, suggestion)

    def _value(self, field: str, operator: Operator) -> Value:
        token = self._peek()
        self._next += 1
        value = self._literal(token)
        check = _CHECKS.get(field)
        if check is not None:
            return check(value, token.at)
        if operator == "^=" and not isinstance(value, str):
            raise _mistake("'^=' takes a text in quotes.", token.at)
        return value

    def _literal(self, token: _Token) -> Value:
        if token.kind == "text":
            return _ESCAPE.sub(r"\1", token.text[1:-1])
        if token.kind == "age":
            try:
                return self._now - timedelta(seconds=parse_duration_s(token.text[1:]))
            except OverflowError:
                raise _mistake(f"'{token.text}' is longer ago than there is time.", token.at) from None
        if token.kind == "number":
            whole = re.fullmatch(r"-?\d+", token.text)
            if whole and abs(int(token.text)) > _LARGEST_INTEGER:
                raise _mistake(f"'{token.text}' is larger than any attribute.", token.at)
            return int(token.text) if whole else float(token.text)
        if token.kind == "name" and token.text.lower() in {"true", "false"}:
            return token.text.lower() == "true"
        suggestion = f"Put texts in quotes: '{token.text}'." if token.kind == "name" else None
        if token.text == "=":
            suggestion = "Write one '=': status = 'failed'."
        raise _mistake("A value is missing here.", token.at, suggestion)

    def _mark(self, mark: str) -> None:
        token = self._peek()
        self._next += 1
        if token.text != mark:
            raise _mistake(f"'{mark}' is missing here.", token.at, "Write in ('a', 'b').")

    def _take(self, kind: str, what: str) -> _Token:
        token = self._peek()
        self._next += 1
        if token.kind != kind:
            raise _mistake(f"Here stands {what}, not '{token.text}'.", token.at, "Write name = 'value' and ….")
        return token

    def _peek(self) -> _Token:
        return self._tokens[self._next] if self._next < len(self._tokens) else _Token("end", "", len(self._text))

    def _split(self) -> list[_Token]:
        found: list[_Token] = []
        at = 0
        end = len(self._text.rstrip())
        while at < end:
            match = _TOKEN.match(self._text, at)
            if match is None:
                at += len(self._text[at:]) - len(self._text[at:].lstrip())
                quoted = self._text[at] in "'\""
                suggestion = "The quote is not closed." if quoted else "Put texts in quotes."
                raise _mistake(f"'{self._text[at]}' means nothing here.", at, suggestion)
            kind = match.lastgroup or "end"
            found.append(_Token(kind, match[kind], match.start(kind)))
            at = match.end()
        return found


def _moment(value: Value, at: int) -> Value:
    found = as_moment(value)
    if found is None:
        raise _mistake("A time is needed.", at, "Write '2026-11-22', '2026-11-22T10:00:00Z' or an age such as -7d.")
    return found


def as_moment(value: Value) -> datetime | None:
    """The moment that a value names: an age, a date (its beginning, UTC) or an RFC 3339 text; none otherwise."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d", value):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _one_of(known: tuple[str, ...], what: str) -> Callable[[Value, int], Value]:
    def check(value: Value, at: int) -> Value:
        if value not in known:
            suggestion = did_you_mean(str(value), known) or f"There are: {', '.join(known)}."
            raise _mistake(f"'{value}' is no {what}.", at, suggestion)
        return value

    return check


def _text(value: Value, at: int) -> Value:
    if not isinstance(value, str):
        raise _mistake("A text in quotes is needed.", at)
    return value


def _words(value: Value, at: int) -> Value:
    text = _text(value, at)
    if not 0 < len(words_of(str(text))) <= FILTER_WORDS:
        raise _mistake(f"1 to {FILTER_WORDS} words are needed.", at)
    return text


_CHECKS: dict[str, Callable[[Value, int], Value]] = {
    "workflow": _text,
    "release": _text,
    "outcome": _text,
    "started_by": _text,
    "status": _one_of(STATUSES, "status"),
    "class": _one_of(CLASSES, "data class"),
    "started": _moment,
    "updated": _moment,
    "ended": _moment,
    "text": _words,
}


def _mistake(detail: str, at: int, suggestion: str | None = None) -> InvalidError:
    problem = Problem(detail, pointer="/filter", column=at + 1, suggestion=suggestion, code="filter")
    told = f"{detail} {suggestion}" if suggestion else detail
    return InvalidError(f"The filter is wrong at character {at + 1}: {told}", problems=[problem])
