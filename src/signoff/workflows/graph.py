"""The order of steps, which follows from what they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def find_cycle(waits_for: Mapping[str, Sequence[str]]) -> list[str] | None:
    """A cycle of steps that wait for each other, from the one that comes first; none where there is no cycle.

    Depth-first search with three colours (Cormen et al., Introduction to Algorithms, section 20.3), without recursion.
    """
    finished: set[str] = set()
    for start in waits_for:
        path: list[str] = []
        stack: list[tuple[str, int]] = [(start, 0)]
        while stack:
            name, at = stack.pop()
            if at == 0:
                if name in finished or name not in waits_for:
                    continue
                if name in path:
                    return _from_first(path[path.index(name) :], list(waits_for))
                path.append(name)
            if at < len(waits_for[name]):
                stack.append((name, at + 1))
                stack.append((waits_for[name][at], 0))
            else:
                path.pop()
                finished.add(name)
    return None


def ranks(waits_for: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many steps come before each at least, one after the other; the steps must have no cycle."""
    found: dict[str, int] = {}
    waiting = list(waits_for)
    while waiting:
        ready = [name for name in waiting if all(one in found or one not in waits_for for one in waits_for[name])]
        for name in ready:
            found[name] = 1 + max((found.get(one, -1) for one in waits_for[name]), default=-1)
        waiting = [name for name in waiting if name not in found]
        if not ready:
            raise ValueError(f"steps wait for each other: {', '.join(waiting)}")
    return found


def _from_first(cycle: list[str], order: list[str]) -> list[str]:
    first = min(range(len(cycle)), key=lambda at: order.index(cycle[at]))
    return cycle[first:] + cycle[:first]
