"""Unary tests: the cells of a decision table. `> 100`, `[1..5]`, `'de','fr'`, `not('us')`, `-`.

The shape is that of DMN's FEEL unary tests (OMG DMN 1.5, 10.3.2.8), the meaning that of CEL: texts are quoted, integers
and numbers compare by value, texts by code points, and values of different types are never equal. A test only knows
constants; what needs an expression is written `${…}` and is CEL. Null passes no comparison and no interval.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from operator import ge, gt, le, lt
from typing import Any, Literal, Protocol

from signoff.core.values import value

MAX_ALTERNATIVES = 200
"""Alternatives of one cell, between commas."""

MAX_NESTING = 10
"""`not(…)` inside each other."""

Literals = str | int | float | bool | None
Operator = Literal["<", "<=", ">", ">="]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<range>\.\.)
    | (?P<sign><=|>=|==|!=|<|>|[(),\[\]])
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<other>\S)
    )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_WORDS: Mapping[str, Literals] = {"true": True, "false": False, "null": None}
_COMPARES: Mapping[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_HINT = "Write -, a constant, < <= > >= == or != with one, [1..5], several with commas, not(…), or ${a condition}."


class UnaryError(Exception):
    """A cell that is no unary test. Internal: the parser of tables makes a problem of it.

    Attributes:
        offset: where in the cell.
        suggestion: what to write instead.
    """

    def __init__(self, detail: str, offset: int = 0, suggestion: str = _HINT) -> None:
        super().__init__(detail)
        self.offset = offset
        self.suggestion = suggestion


class Test(Protocol):
    """One condition on one value."""

    def matches(self, value: Any) -> bool:
        """Whether the value passes."""
        ...

    def constants(self) -> Iterator[Literals]:
        """Every constant that it compares with."""
        ...


@value
class Anything:
    """`-`: every value, a missing one included."""

    def matches(self, value: Any) -> bool:  # noqa: ARG002  (it is a Test)
        """Always."""
        return True

    def constants(self) -> Iterator[Literals]:
        """None."""
        return iter(())


@value
class Equal:
    """A constant: `'de'`, `100`, `true`, `null`."""

    value: Literals

    def matches(self, value: Any) -> bool:
        """Whether it is that constant: 1 is 1.0, and nothing else is equal to what has another type."""
        return family(value) == family(self.value) and value == self.value

    def constants(self) -> Iterator[Literals]:
        """The constant."""
        yield self.value


@value
class Compare:
    """`< 5`, `>= 'm'`."""

    operator: Operator
    value: Literals

    def matches(self, value: Any) -> bool:
        """Whether it is on that side of the constant; what has another type is on no side."""
        return family(value) == family(self.value) and _COMPARES[self.operator](value, self.value)

    def constants(self) -> Iterator[Literals]:
        """The constant."""
        yield self.value


@value
class Several:
    """All of some tests (an interval), or one of them (commas)."""

    tests: tuple[Test, ...]
    every: bool

    def matches(self, value: Any) -> bool:
        """Whether all, or one of them, pass."""
        return (all if self.every else any)(test.matches(value) for test in self.tests)

    def constants(self) -> Iterator[Literals]:
        """Those of all of them."""
        for test in self.tests:
            yield from test.constants()


@value
class Not:
    """`not(…)`, and `!=`: what does not pass, null included."""

    test: Test

    def matches(self, value: Any) -> bool:
        """Whether the test fails."""
        return not self.test.matches(value)

    def constants(self) -> Iterator[Literals]:
        """Those of the test."""
        return self.test.constants()


def family(value: Any) -> str:
    """Which values it can be compared with."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else "other"


def parse_unary(source: str) -> Test:
    """The test that a cell says; of an empty cell, as of `-`, anything.

    Raises:
        UnaryError: it is no unary test.
    """
    if source.strip() in ("", "-"):
        return Anything()
    return _Parser(source).parse()


class _Parser:
    def __init__(self, source: str) -> None:
        self._tokens = [
            (match.lastgroup or "", match[match.lastgroup or 0], match.start(match.lastgroup or 0))
            for match in _TOKEN.finditer(source)
        ]
        self._end = len(source)
        self._at = 0
        self._depth = 0

    def parse(self) -> Test:
        test = self._alternatives()
        kind, text, at = self._next()
        if kind:
            raise UnaryError(f"'{text}' does not belong here.", at)
        return test

    def _alternatives(self) -> Test:
        tests = [self._one()]
        while self._peek() == ",":
            self._next()
            tests.append(self._one())
            if len(tests) > MAX_ALTERNATIVES:
                raise UnaryError(f"A cell has at most {MAX_ALTERNATIVES} alternatives.", suggestion="Split the rule.")
        return tests[0] if len(tests) == 1 else Several(tuple(tests), every=False)

    def _one(self) -> Test:
        kind, text, at = self._next()
        if kind == "word" and text == "not" and self._peek() == "(":
            self._depth += 1
            if self._depth > MAX_NESTING:
                raise UnaryError(f"'not' is nested more than {MAX_NESTING} deep.", at)
            self._next()
            test = self._alternatives()
            self._expect(")")
            self._depth -= 1
            return Not(test)
        if kind == "sign" and text in ("[", "("):
            return self._interval(text, at)
        if kind == "sign" and text in ("<", "<=", ">", ">=", "==", "!="):
            return self._compare(text)
        return Equal(self._literal(kind, text, at))

    def _compare(self, sign: str) -> Test:
        kind, text, at = self._next()
        value = self._literal(kind, text, at)
        if sign in ("==", "!="):
            return Equal(value) if sign == "==" else Not(Equal(value))
        if value is None:
            raise UnaryError("Nothing is before or behind null.", at)
        operator: Operator = sign  # pyright: ignore[reportAssignmentType]  (one of the four that are left)
        return Compare(operator, value)

    def _interval(self, opening: str, at: int) -> Test:
        low = self._literal(*self._next())
        kind, text, place = self._next()
        if kind != "range":
            found = f", not '{text}'" if text else ""
            raise UnaryError(f"'..' stands between the ends of an interval{found}.", place, "Write it as [1..5].")
        high = self._literal(*self._next())
        _, closing, place = self._next()
        if closing not in ("]", ")"):
            raise UnaryError("The interval has no end.", place, "Write it as [1..5], or (1..5) without its ends.")
        if family(low) != family(high) or family(low) not in ("number", "text"):
            raise UnaryError("An interval goes from a number to a number, or from a text to a text.", at)
        below: Operator = ">=" if opening == "[" else ">"
        above: Operator = "<=" if closing == "]" else "<"
        test = Several((Compare(below, low), Compare(above, high)), every=True)
        if high < low or (high == low and (below, above) != (">=", "<=")):  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]  (both are numbers or both texts)
            raise UnaryError("Nothing is in this interval: its end is before its beginning.", at, "Swap its ends.")
        return test

    def _literal(self, kind: str, text: str, at: int) -> Literals:
        if kind == "number":
            return _number(text, at)
        if kind == "text":
            return _unquoted(text)
        if kind == "word" and text in _WORDS:
            return _WORDS[text]
        if kind == "word":
            raise UnaryError(f"'{text}' is no constant.", at, f"Quote a text: '{text}'; or write ${{a condition}}.")
        raise UnaryError("A constant is missing here." if not text else f"'{text}' is no constant.", at)

    def _expect(self, sign: str) -> None:
        _, text, at = self._next()
        if text != sign:
            raise UnaryError(f"'{sign}' is missing.", at)

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _next(self) -> tuple[str, str, int]:
        if self._at >= len(self._tokens):
            return "", "", self._end
        token = self._tokens[self._at]
        self._at += 1
        return token


MAX_DIGITS = 18
"""Digits of an integer in a cell: CEL's have 64 bits."""


def _number(text: str, at: int) -> int | float:
    assert _NUMBER.fullmatch(text)
    if text.lstrip("-").isdigit():
        if len(text.lstrip("-")) > MAX_DIGITS:
            raise UnaryError(f"A number has at most {MAX_DIGITS} digits.", at)
        return int(text)
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise UnaryError("This number is too large.", at)
    return number


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1], flags=re.DOTALL)
