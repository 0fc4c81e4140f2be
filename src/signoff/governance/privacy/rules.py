"""What a pattern is: a regular expression, what must hold of its match, and the words without which it counts nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from signoff.governance.privacy.model import Finding
from signoff.governance.privacy.needs import Needs, needs_of

CONTEXT_BEFORE_CHARACTERS = 48
"""How far before a number a word such as `BSN` makes it one."""
CONTEXT_AFTER_CHARACTERS = 16
"""How far after it."""
SEPARATORS = str.maketrans("", "", " .-/  ")


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern.

    Attributes:
        name: says whose it is: `de-steuer-id`.
        kind: what it finds.
        pattern: where it may be; the group `value`, or all of the match.
        valid: holds of the match without its separators, in capitals.
        context: words of which one must be near; none where the format says enough.
        source: who defines it.
        checked: whether `valid` is a checksum or the format is as strict as one.
        needs: what every match has.
    """

    name: str
    kind: str
    pattern: re.Pattern[str]
    source: str
    valid: Callable[[str], bool] | None = None
    context: re.Pattern[str] | None = None
    checked: bool = True
    needs: Needs = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "needs", needs_of(self.pattern))

    def find(self, text: str) -> list[Finding]:
        """Its findings in a text, in order."""
        found: list[Finding] = []
        for match in self.pattern.finditer(text):
            group = "value" if "value" in self.pattern.groupindex else 0
            start, end = match.span(group)
            if self.valid is not None and not self.valid(match.group(group).translate(SEPARATORS).upper()):
                continue
            if self.context is not None and not near(self.context, text, start, end):
                continue
            found.append(Finding(start, end, self.kind, self.name, checked=self.checked))
        return found


def near(context: re.Pattern[str], text: str, start: int, end: int) -> bool:
    """Whether a word of the context is close to a match."""
    before = text[max(start - CONTEXT_BEFORE_CHARACTERS, 0) : start]
    return context.search(before) is not None or context.search(text[end : end + CONTEXT_AFTER_CHARACTERS]) is not None


def words(*listed: str) -> re.Pattern[str]:
    """A context: any of these words, in any case."""
    return re.compile(rf"(?i)(?<!\w)(?:{'|'.join(listed)})(?!\w)")


def number(pattern: str) -> re.Pattern[str]:
    """A pattern that no letter or digit touches, nor a digit beyond a separator."""
    return re.compile(rf"(?<![\w])(?<!\d[.,/-])(?:{pattern})(?![\w])(?![.,/-]\d)")
