"""Cedar text into single policies that know their place, and Cedar's errors into problems with line and column.

Cedar's parser names the token that it did not expect, but not where it stands. It reads left to right without
look-ahead, so the first token with which a prefix is wrong, instead of merely unfinished, is the one.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import cedarpy

from signoff.core.errors import Problem

MAX_TOKENS = 2_000
"""Words and signs in one policy. Cedar's parser recurses on a fixed stack: without a limit, text could end us."""
MAX_NESTING = 64
"""Brackets inside brackets, and uses of `if`, in one policy."""

_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_TOKEN = re.compile(r'(?P<comment>//[^\n]*)|"(?:\\.|[^"\\])*"|[A-Za-z_]\w*|\d+|::|==|!=|<=|>=|&&|\|\||\S', re.DOTALL)
_UNFINISHED = "unexpected end of input"
_NAMED = re.compile(r"`([^`]+)`|: @?(\w+)$")


@dataclass(frozen=True, slots=True)
class PolicyText:
    """One policy as written.

    Attributes:
        file: the file's path in the project.
        text: from its first annotation to its semicolon.
        line: where it starts, from 1.
        column: where it starts, from 1.
    """

    file: str
    text: str
    line: int
    column: int

    def problem(self, detail: str, *, offset: int = 0, code: str = "policy", suggestion: str | None = None) -> Problem:
        """A problem at a place in this policy, counted in characters from its start."""
        before = self.text[:offset]
        lines = before.count("\n")
        column = offset - before.rfind("\n") if lines else self.column + offset
        return Problem(detail, file=self.file, line=self.line + lines, column=column, code=code, suggestion=suggestion)

    def find(self, word: str) -> int:
        """Where a word first stands in the policy's tokens; 0 where it does not."""
        return next((start for start, end in _tokens(self.text) if self.text[start:end] == word), 0)


def split(file: str, text: str) -> Iterator[PolicyText]:
    """The policies of one file, in order. What follows the last semicolon counts as one, for the parser to reject."""
    start: int | None = None
    end = 0
    for begin, end in _tokens(text):
        start = begin if start is None else start
        if text[begin:end] == ";":
            yield _cut(file, text, start, end)
            start = None
    if start is not None:
        yield _cut(file, text, start, end)


def limit_problem(policy: PolicyText) -> Problem | None:
    """The limit that a policy exceeds, or none. Ask before Cedar parses it."""
    depth = conditionals = 0
    for count, (start, end) in enumerate(_tokens(policy.text), 1):
        word = policy.text[start:end]
        depth += (word in _OPENING) - (word in _CLOSING)
        conditionals += word == "if"
        if max(depth, conditionals) > MAX_NESTING:
            detail = f"A policy nests brackets, and uses 'if', at most {MAX_NESTING} times."
            return policy.problem(detail, offset=start, code="limit", suggestion="Split it into several policies.")
        if count > MAX_TOKENS:
            detail = f"A policy has at most {MAX_TOKENS} words and signs."
            return policy.problem(detail, offset=start, code="limit", suggestion="Split it into several policies.")
    return None


def syntax_problem(policy: PolicyText, error: ValueError) -> Problem:
    """Cedar's complaint about one policy, with the place of the token that it complains about."""
    ends = [end for _, end in _tokens(policy.text)]
    index = bisect_left(ends, True, key=lambda end: _is_wrong(policy.text[:end]))
    if index < len(ends) - 1:
        starts = [start for start, _ in _tokens(policy.text)]
        offset = starts[index]
    elif str(error) == _UNFINISHED:
        offset = len(policy.text)
    else:
        named = _NAMED.search(str(error))
        offset = policy.find(named[1] or named[2]) if named else 0
    suggestion = "End the policy with a semicolon." if str(error) == _UNFINISHED else None
    return policy.problem(f"Not a Cedar policy: {error}.", offset=offset, code="policy-syntax", suggestion=suggestion)


def _is_wrong(prefix: str) -> bool:
    try:
        cedarpy.policies_to_json_str(prefix)
    except ValueError as error:
        return str(error) != _UNFINISHED
    return False


def _tokens(text: str) -> Iterator[tuple[int, int]]:
    return (match.span() for match in _TOKEN.finditer(text) if match["comment"] is None)


def _cut(file: str, text: str, start: int, end: int) -> PolicyText:
    return PolicyText(file, text[start:end], text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start))
