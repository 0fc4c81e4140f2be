"""What a run has left behind, as far as it decides what may begin again: effects that stand, were undone, are in doubt.

Everything is found in one pass over the records, since a run may have many thousands and a worker has others besides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from signoff.runtime.paths import UNDO, enclosing, is_undo, owner_of, prefix_of, undone_by
from signoff.runtime.records import APPROVAL_OUTDATED
from signoff.runtime.state import RunState, StepRecord
from signoff.workflows.model import Step, Workflow

LASTING = frozenset(("emit", "call"))
"""Verbs that leave something behind which others have seen, though they have no effect of a tool's kind."""

_ITERATION = re.compile(r"\[[0-9]+\]")


def root_of(path: str) -> str:
    """The step of the workflow itself that a path belongs to: `lines` of `lines[2]/price`, `pay` of `pay/undo`."""
    first = path.partition("/")[0]
    return first.partition("[")[0].removesuffix("!")


def is_done(record: StepRecord | None) -> bool:
    """Whether there is such a step, and it ended well."""
    return record is not None and record.state is not None and record.state.status == "done"


class Past:
    """The records of a run, by what they are inside.

    Args:
        workflow: what the run executes.
        state: as its journal describes it.
    """

    def __init__(self, workflow: Workflow, state: RunState) -> None:
        self.state = state
        self._definitions = dict(_definitions(workflow.steps, ""))
        self._within: dict[str, list[StepRecord]] = {}
        self._instead: set[str] = set()
        self._held: set[str] = set()
        self._taken_back: set[str] = set()
        for record in state.steps.values():
            self._take(record)

    def _take(self, record: StepRecord) -> None:
        own = undone_by(record.path)
        around = list(enclosing(record.path))
        owners = [own, *(owner for owner, _ in around)]
        for owner in owners:
            self._within.setdefault(owner, []).append(record)
        if is_undo(record.path):
            if is_done(record):
                self._taken_back.update(owners)
        elif record.in_doubt or self._lasts(record):
            self._held.update(owners)
            self._instead.update(owner for owner, index in around if index is None)

    def _lasts(self, record: StepRecord) -> bool:
        if not is_done(record) or record.via is not None:
            return False
        step = self.definition(record.path)
        acted = record.key is not None or (step is not None and step.verb in LASTING)
        return acted and not is_done(self.state.steps.get(f"{record.path}{UNDO}"))

    def definition(self, path: str) -> Step | None:
        """The definition behind a path; of a compensation, of the step that it undoes."""
        return self._definitions.get(_ITERATION.sub("[]", undone_by(path)))

    def within(self, path: str) -> list[StepRecord]:
        """A step's own record, those of all steps inside it, and those of their compensations."""
        return self._within.get(path, [])

    def held(self, path: str) -> bool:
        """Whether an effect of it, or of a step inside it, stands or is in doubt: it cannot be made void."""
        return path in self._held

    def held_instead(self, path: str) -> bool:
        """Whether one does among the steps that its `on_error` ran."""
        return path in self._instead

    def taken_back(self, path: str) -> bool:
        """Whether an effect of it, or of a step inside it, was undone."""
        return path in self._taken_back

    def ended_badly(self, record: StepRecord) -> bool:
        """Whether it failed with nothing to catch that, or was cancelled."""
        status = None if record.state is None else record.state.status
        return status == "cancelled" or (status == "failed" and not record.caught)

    def void_paths(self, path: str) -> Iterator[tuple[str, int]]:
        """A step and all inside it, each with how often it will have been void."""
        return _generations(self.within(path))

    def permitted_by(self, path: str) -> set[str]:
        """Paths of the reviews that permitted what was undone of it and inside it, or permit it no more."""
        found: set[str] = set()
        for record in self.within(path):
            step = None if is_undo(record.path) else self.definition(record.path)
            outdated = record.error is not None and record.error.get("kind") == APPROVAL_OUTDATED
            void = outdated or is_done(self.state.steps.get(f"{record.path}{UNDO}"))
            if step is not None and step.requires and void:
                found |= {self._named(record.path, name) for name in step.requires}
        return found

    def _named(self, path: str, name: str) -> str:
        prefix = prefix_of(path)
        while prefix and prefix + name not in self.state.steps:
            prefix = prefix_of(owner_of(prefix)[0])
        return prefix + name


def _definitions(steps: Iterable[Step], prefix: str) -> Iterator[tuple[str, Step]]:
    """Every step of a workflow by its path, iterations left open."""
    for step in steps:
        path = f"{prefix}{step.name}"
        yield path, step
        yield from _definitions(step.body, f"{path}[]/")
        yield from _definitions(step.fallback, f"{path}!/")


def _generations(records: Iterable[StepRecord]) -> Iterator[tuple[str, int]]:
    for record in records:
        begun = record.attempt > 0 or record.state is not None
        again = record.generation + 1 if begun and not is_undo(record.path) else record.generation
        yield record.path, again
