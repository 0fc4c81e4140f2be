"""Regular expressions that no text can make slow: those that a project's authors write for texts of strangers.

Python's own go back and forth without end on some texts (`(a+)+$`), and hold the process for as long. These are matched
in time that grows with the text alone (Rust's `regex`, by way of jsonschema-rs), and those with look-around or
back-references within a number of steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any, cast

import jsonschema_rs

from signoff.core.errors import LimitError
from signoff.core.schemas import compiled


class Pattern:
    """One expression, which ignores case.

    Raises:
        ValueError: it is none.
    """

    def __init__(self, source: str) -> None:
        try:
            compiled({"pattern": source})  # alone, as `a)|(b` is one in brackets
            self._compiled = compiled({"pattern": f"(?i:{source})"})
        except jsonschema_rs.ValidationError:
            raise ValueError("it is no regular expression of the kind that is matched in bounded time") from None

    def occurs_in(self, text: str) -> bool:
        """Whether it stands somewhere in a text.

        Raises:
            LimitError: that takes more steps than one text may take.
        """
        for error in self._compiled.iter_errors(text):
            if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.BacktrackLimitExceeded):
                raise LimitError("A pattern takes too many steps on this text.")
            return False
        return True


@lru_cache(maxsize=1_024)
def pattern_of(source: str) -> Pattern:
    """The expression, compiled once.

    Raises:
        ValueError: it is none.
    """
    return Pattern(source)


def repeats_repeats(source: str) -> bool:
    """Whether an expression repeats what itself repeats or has alternatives: Python may try for ever to match it.

    For those of which the places are wanted, which only Python's tells.
    (Weideman et al., "Analyzing Matching Time Behavior of Backtracking Regular Expression Matchers", CIAA 2016: what
    takes exponential time has a repetition with two ways through it.)

    Raises:
        re.error: it is none.
    """
    # The parser of `re` is the only one that reads exactly its language; it has no public name since Python 3.11.
    parsed: Any = import_module("re._parser").parse(source)
    return any(bool(list(_ways(inner))) for inner in _repeated(parsed))


def _repeated(items: Any) -> Iterator[Any]:
    """What is repeated more than once, at any depth."""
    for name, argument in _nodes(items):
        if name in ("MAX_REPEAT", "MIN_REPEAT") and argument[1] > 1:
            yield argument[2]


def _ways(items: Any) -> Iterator[str]:
    """What in a repeated part can be matched in more than one way."""
    for name, argument in _nodes(items):
        if name == "BRANCH" or (name in ("MAX_REPEAT", "MIN_REPEAT") and argument[0] != argument[1]):
            yield name


def _nodes(items: Any) -> Iterator[tuple[str, Any]]:
    """Every node of a parsed expression."""
    for operation, argument in items:
        yield str(operation), argument
        members = cast("Sequence[Any]", argument) if isinstance(argument, (tuple, list)) else [argument]
        for member in members:
            for part in cast("list[Any]", member) if isinstance(member, list) else [member]:
                if type(part).__name__ == "SubPattern":
                    yield from _nodes(part)
