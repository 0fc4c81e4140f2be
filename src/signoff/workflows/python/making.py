"""Makes commands of what the methods of the context are given."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from signoff.workflows.model import Step, Verb
from signoff.workflows.python.commands import Command, Place, Result
from signoff.workflows.python.isolation import file_of
from signoff.workflows.python.options import Duration, UndoOption, name_of, retry_of, seconds_of, undo_of
from signoff.workflows.templates import Constant

MAX_KEY_LENGTH = 500
"""Characters of an idempotency key."""

Requires = Result | str | Sequence[Result | str]


def step_of(
    verb: Verb,
    target: str,
    settings: Mapping[str, Any] | None = None,
    *,
    retry: Mapping[str, Any] | None = None,
    timeout: Duration | None = None,
    once: str | None = None,
    undo: UndoOption | None = None,
) -> Step:
    """What the engine runs, still without its path.

    Raises:
        ValueError: a key has a value that it cannot have.
    """
    if once is not None and not 0 < len(once.strip()) <= MAX_KEY_LENGTH:
        raise ValueError(f"once is a key of 1 to {MAX_KEY_LENGTH} characters")
    return Step(
        name="",
        verb=verb,
        target=target,
        settings=settings or {},
        retry=retry_of(retry),
        timeout_s=None if timeout is None else seconds_of(timeout, "timeout"),
        once=None if once is None else Constant(once, once),
        undo=undo_of(undo, ""),
        error_mode="continue",
    )


def command(
    step: Step, arguments: Mapping[str, Any], name: str | None, requires: Requires, *, needed: bool = True
) -> Command:
    """A command of the workflow's line that called the verb."""
    place = place_at(3)
    return Command(step, arguments, place, paths_of(requires), needed, name_of(name))


def place_at(depth: int) -> Place:
    """The line of a caller, so many frames out."""
    frame = sys._getframe(depth)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (the caller's file and line, for people; nothing depends on it)
    return Place(file_of(frame.f_code), frame.f_lineno)


def paths_of(requires: Requires) -> tuple[str, ...]:
    """The paths of the steps that must permit a command."""
    items = [requires] if isinstance(requires, (Result, str)) else list(requires)
    return tuple(dict.fromkeys(item.path if isinstance(item, Result) else item for item in items))


def shown_by_name(show: Mapping[str, Any] | Sequence[Any]) -> dict[str, Any]:
    """What a review shows, by name: results under their paths, anything else under its place in the list."""
    if isinstance(show, Mapping):
        return dict(show)
    return {item.path if isinstance(item, Result) else f"{place + 1}": item for place, item in enumerate(show)}
