"""Semantic versions (semver.org, 2.0.0) and the constraints of documents: `^3`, `~1.2`, `1.4.0`, none for the latest.

Caret and tilde mean what npm's `semver` says: `^` keeps the left-most part that is not zero, `~` keeps the minor one.
"""

from __future__ import annotations

import re
from functools import lru_cache

from signoff.core.values import value

_VERSION = re.compile(r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\Z")
_CONSTRAINT = re.compile(r"^(?P<operator>[\^~]?)(?P<parts>(?:0|[1-9][0-9]{0,8})(?:\.(?:0|[1-9][0-9]{0,8})){0,2})\Z")

Parts = tuple[int, int, int]


def parse_version(text: str) -> Parts:
    """Major, minor and patch of a version such as `1.4.0`. Pre-releases are refused: a release pins by digest.

    Raises:
        ValueError: for anything else.
    """
    match = _VERSION.match(text)
    if match is None:
        raise ValueError(f"'{text}' is not a version: write three numbers such as 1.0.0")
    return int(match[1]), int(match[2]), int(match[3])


@value
class Constraint:
    """A half-open range of versions: `lowest <= version < above`; no `above` means any later one."""

    lowest: Parts
    above: Parts | None

    def allows(self, version: Parts) -> bool:
        """Whether the version lies in the range."""
        return self.lowest <= version and (self.above is None or version < self.above)


ANY = Constraint((0, 0, 0), None)

KNOWN_CONSTRAINTS = 1024
"""How many are kept to be found again: the prompts of a project are named with a few."""


@lru_cache(maxsize=KNOWN_CONSTRAINTS)
def parse_constraint(text: str | None) -> Constraint:
    """The range of `^3`, `~1.2`, `1.4.0`, `1` (any 1.x) or nothing (any).

    Raises:
        ValueError: for anything else.
    """
    if text is None:
        return ANY
    match = _CONSTRAINT.match(text)
    if match is None:
        raise ValueError(f"'{text}' is not a version constraint: write ^3, ~1.2 or an exact version such as 1.4.0")
    given = [int(part) for part in match["parts"].split(".")]
    lowest: Parts = (given[0], given[1] if len(given) > 1 else 0, given[2] if len(given) > 2 else 0)  # noqa: PLR2004  (major, minor, patch)
    keep = _kept_parts(match["operator"], given)
    above = [*lowest[:keep], 0, 0, 0][:3]
    above[keep - 1] += 1
    return Constraint(lowest, (above[0], above[1], above[2]))


def _kept_parts(operator: str, given: list[int]) -> int:
    """How many leading parts an allowed version shares with the constraint."""
    if operator == "":
        return len(given)
    if operator == "~":
        return min(len(given), 2)
    for place, part in enumerate(given, start=1):
        if part != 0:
            return place
    return len(given)


def split_reference(reference: str) -> tuple[str, str | None]:
    """Name and constraint of a reference such as `classify@^3`."""
    name, at, constraint = reference.partition("@")
    return name, constraint if at else None
