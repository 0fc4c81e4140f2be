"""Regular expressions that no text can make slow: those that a project's authors write for texts of strangers.

Python's own go back and forth without end on some texts (`(a+)+$`), and hold the process for as long. These are matched
in time that grows with the text alone (Rust's `regex`, by way of jsonschema-rs), and those with look-around or
back-references within a number of steps.
"""

from __future__ import annotations

from functools import lru_cache

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
