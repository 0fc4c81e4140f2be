"""Scopes under way: what the program of a document and its groups know of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from signoff.core.errors import StepError
from signoff.runtime.context import RunContext
from signoff.workflows.model import Step
from signoff.workflows.semantics import RunScope, StepState


class Enclosing(Protocol):
    """A group, or the step whose `on_error` runs, as its own scopes see it.

    Attributes:
        closing: why it ends early; none while it goes on.
    """

    closing: StepError | None

    def catches(self) -> bool:
        """Whether a failure in its body ends there, and does not fail whatever is around it."""
        ...

    def body_failed(self) -> None:
        """A step of an iteration failed with nothing to catch it."""
        ...

    def body_over(self, frame: Frame) -> None:
        """All steps of an iteration have ended, and nothing of it begins any more."""
        ...


@dataclass(slots=True, eq=False)
class Frame:
    """One scope of a run that is under way.

    Attributes:
        prefix: of the paths of its steps.
        steps: by name.
        scope: what its expressions see.
        ended: its ended steps; part of the state.
        unbegun: steps that have neither begun nor ended.
        parent: the frame around it; none at the top.
        group: the group whose iteration it is; none at the top.
        index: which iteration.
        failed: a step of it failed with nothing to catch it: nothing begins in it any more.
    """

    prefix: str
    steps: dict[str, Step]
    scope: RunScope
    ended: dict[str, StepState]
    unbegun: list[Step]
    parent: Frame | None = None
    group: Enclosing | None = None
    index: int = 0
    failed: bool = False

    def closing(self) -> bool:
        """Whether it, or anything around it, is being ended."""
        frame: Frame | None = self
        while frame is not None and frame.group is not None:
            if frame.failed or frame.group.closing is not None:
                return True
            frame = frame.parent
        return False


class Frames(Protocol):
    """The program, as its groups see it."""

    @property
    def run(self) -> RunContext:
        """The run that it moves."""
        ...

    def closing(self, path: str) -> bool:
        """Whether the scope of that step, or one around it, is being ended although the run goes on."""
        ...

    def turns_before(self, path: str) -> int:
        """How many turns of a loop were in the runs that this one continues."""
        ...

    def open_frame(self, group: Enclosing, place: Place) -> Frame:
        """A scope inside is under way, perhaps since long ago."""
        ...

    def close_frame(self, frame: Frame) -> None:
        """A scope inside has ended."""
        ...

    def close_group(self, path: str) -> None:
        """A group is under way no more."""
        ...

    def touch(self, frames: list[Frame]) -> None:
        """Look at these again."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a scope is.

    Attributes:
        path: of the step that it belongs to.
        steps: what is in it, by the step; `instead`: those of its `on_error`.
        prefix: of the paths in it.
        index: which iteration.
    """

    path: str
    step: Step
    instead: bool
    prefix: str
    scope: RunScope
    index: int
