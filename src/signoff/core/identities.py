"""What was worked out of objects that never change, kept by which object it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Thing = TypeVar("Thing")
Found = TypeVar("Found")

MOST = 1_024


class OncePerObject(Generic[Thing, Found]):
    """A function of one object, asked once for each: for objects whose own hash would read all of them.

    Args:
        work_out: the function; what it raises is raised each time.
        most: of how many objects the answers are kept; past that all are forgotten.
    """

    def __init__(self, work_out: Callable[[Thing], Found], *, most: int = MOST) -> None:
        self._work_out = work_out
        self._most = most
        # The objects are kept too, so that none takes the place of another in memory.
        self._known: dict[int, tuple[Thing, Found]] = {}

    def __call__(self, thing: Thing) -> Found:
        """The answer for this object."""
        known = self._known.get(id(thing))
        if known is not None:
            return known[1]
        found = self._work_out(thing)
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[id(thing)] = (thing, found)
        return found
