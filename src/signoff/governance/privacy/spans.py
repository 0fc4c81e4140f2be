"""Stretches of a text that do not overlap: which of them one touches is found without looking at all of them.

A text of a megabyte may have a hundred thousand findings. Holding each against each would take an hour.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar


class Span(Protocol):
    """A stretch of a text."""

    @property
    def start(self) -> int:
        """Its first character."""
        ...

    @property
    def end(self) -> int:
        """The character after its last."""
        ...


One = TypeVar("One", bound=Span)


class Spans(Generic[One]):
    """Stretches in order.

    Args:
        listed: the first of them; none overlaps another.
    """

    def __init__(self, listed: Iterable[One] = ()) -> None:
        self._listed = sorted(listed, key=lambda one: one.start)
        self._starts = [one.start for one in self._listed]

    def touching(self, start: int, end: int) -> list[One]:
        """Those that have a character in common with it, in order."""
        first = bisect_right(self._starts, start) - 1
        if first < 0 or self._listed[first].end <= start:
            first += 1
        last = first
        while last < len(self._listed) and self._starts[last] < end:
            last += 1
        return self._listed[first:last]

    def add(self, one: One) -> None:
        """One more; it touches none."""
        place = bisect_right(self._starts, one.start)
        self._starts.insert(place, one.start)
        self._listed.insert(place, one)

    def all(self) -> list[One]:
        """Each of them, in order."""
        return list(self._listed)
