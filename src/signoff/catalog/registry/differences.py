"""Two versions of a prompt side by side: what their contracts differ in, and their text line by line."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any, Literal

from signoff.catalog.registry.compatibility import ContractChange, heaviest
from signoff.catalog.registry.prompt_changes import compare_prompts
from signoff.catalog.registry.versions import parse_source
from signoff.core.errors import DefinitionError

Sign = Literal["same", "changed", "removed", "added"]

MAX_LINES = 20_000
"""Longest files that are compared line by line, together."""


@dataclass(frozen=True, slots=True)
class LinePair:
    """A line of each side; a number is 0, and its text empty, where the other side has no counterpart."""

    sign: Sign
    before_line: int
    before: str
    after_line: int
    after: str

    def as_dict(self) -> dict[str, Any]:
        """The pair for JSON."""
        return {
            "sign": self.sign,
            "before_line": self.before_line,
            "before": self.before,
            "after_line": self.after_line,
            "after": self.after,
        }


def contract_changes(file: str, before: str, after: str) -> tuple[tuple[ContractChange, ...], str | None]:
    """What two texts of a prompt promise differently, and the bump that demands; nothing where one cannot be read."""
    try:
        changes = compare_prompts(parse_source(file, before), parse_source(file, after))
    except DefinitionError:
        return (), None
    return changes, heaviest(changes)


def side_by_side(before: str, after: str) -> list[LinePair]:
    """Every line of both texts, each beside its counterpart."""
    old, new = before.splitlines(), after.splitlines()
    if len(old) + len(new) > MAX_LINES:
        old, new = old[: MAX_LINES // 2], new[: MAX_LINES // 2]
    pairs: list[LinePair] = []
    for tag, first, last, start, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        for offset in range(max(last - first, end - start)):
            left, right = first + offset, start + offset
            has_left, has_right = left < last, right < end
            sign: Sign = "same" if tag == "equal" else "changed"
            if not (has_left and has_right):
                sign = "removed" if has_left else "added"
            pairs.append(
                LinePair(
                    sign,
                    left + 1 if has_left else 0,
                    old[left] if has_left else "",
                    right + 1 if has_right else 0,
                    new[right] if has_right else "",
                )
            )
    return pairs


def around_changes(pairs: list[LinePair], context: int) -> list[LinePair | None]:
    """The pairs near a change; none stands where equal lines were left out."""
    near = {at + step for at, pair in enumerate(pairs) if pair.sign != "same" for step in range(-context, context + 1)}
    found: list[LinePair | None] = []
    for at, pair in enumerate(pairs):
        if at in near:
            found.append(pair)
        elif found and found[-1] is not None:
            found.append(None)
    return found
