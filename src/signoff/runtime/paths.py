"""Paths: where a step is in its run.

`refund` at the top; `lines[2]/price` in iteration 2 of the group `lines` (`do` has iteration 0 alone); `x!/y` in the
steps that `on_error` of `x` runs; a compensation adds `/undo`. A prefix is what the steps of one scope have in common,
with its slash: empty at the top, else `lines[2]/` or `x!/`.
"""

from __future__ import annotations

from collections.abc import Iterator

UNDO = "/undo"


def is_undo(path: str) -> bool:
    """Whether it is the path of a compensation: `undo` names no step."""
    return path.endswith(UNDO)


def undone_by(path: str) -> str:
    """The path of the step that a compensation takes back; of any other path the path itself."""
    return path.removesuffix(UNDO)


def prefix_of(path: str) -> str:
    """The prefix of the scope that a step is in."""
    if "/" not in path:
        return ""
    path = undone_by(path)
    return path[: path.rfind("/") + 1]


def name_of(path: str) -> str:
    """A step's name in its scope."""
    if "/" not in path:
        return path
    path = undone_by(path)
    return path[path.rfind("/") + 1 :]


def owner_of(prefix: str) -> tuple[str, int | None]:
    """Whose scope a prefix is: the path of a group and the iteration, or of a failed step and none.

    Raises:
        ValueError: it is no prefix of an inner scope.
    """
    inner = prefix[:-1]
    if inner.endswith("!"):
        return inner[:-1], None
    owner, bracket, index = inner[:-1].rpartition("[")
    if not (bracket and inner.endswith("]") and index.isascii() and index.isdecimal()):
        raise ValueError(f"'{prefix}' is no scope")
    return owner, int(index)


def iteration(path: str, index: int) -> str:
    """The prefix of one iteration of a group."""
    return f"{path}[{index}]/"


def fallback(path: str) -> str:
    """The prefix of the steps that `on_error` runs."""
    return f"{path}!/"


def enclosing(path: str) -> Iterator[tuple[str, int | None]]:
    """Whose scopes a step is in, the innermost first: groups with the iteration, failed steps with none."""
    prefix = prefix_of(path)
    while prefix:
        owner, index = owner_of(prefix)
        yield owner, index
        prefix = prefix_of(owner)
