"""The seam between a run and what its workflow is written in: what begins next, what a path means, how it ends.

`documents.py` has the one of YAML documents. The engine does the rest for every kind: tries, retries, effects, waits,
messages, settling, undo, leaving memory. A program keeps no facts of its own: all that it knows it can find again from
the state, which is the fold of the journal (`rebuild`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Protocol

from signoff.core.errors import StepError
from signoff.core.fresh import fresh_dict
from signoff.core.labels import BOTTOM, Fields, Labels, no_fields
from signoff.core.values import value
from signoff.runtime.state import StepRecord
from signoff.workflows.model import Step, Verb
from signoff.workflows.semantics import RunScope

NAMING: Mapping[Verb, str] = {"set": "set", "review": "propose"}
"""Verbs that give what they were given under its own names, and the key that has it: each name keeps its labels."""


@value
class Beginning:
    """A step that begins: what `RunContext.begin` takes.

    Attributes:
        step: its definition.
        path: where it is in the run; unique within it.
        arguments: evaluated, by the verb's keys; journaled, and never evaluated again.
        labels: of everything that it rests on.
        argument_labels: per key of `with`; of a step that names values, per value, with what decided that it runs.
        control: of what decided that it runs, of a group and of a call; of a review, with all that it decides on.
        needed: of a review: whether a person is needed.
        command: of a workflow in Python: what asked for it; journaled with the first try, as `command`.
    """

    step: Step
    path: str
    arguments: Mapping[str, Any]
    labels: Labels = BOTTOM
    argument_labels: Mapping[str, Labels] = field(default_factory=fresh_dict)
    needed: bool = True
    command: Mapping[str, Any] | None = None
    control: Labels | None = None


@value
class Conclusion:
    """How a run ends well: the outcome's name, and what the run gives."""

    outcome: str
    output: Mapping[str, Any] = field(default_factory=fresh_dict)
    labels: Labels = BOTTOM
    fields: Fields = field(default_factory=no_fields)


class Program(Protocol):
    """What moves one run. Called by one run at a time, never concurrently."""

    @property
    def unbegun(self) -> list[Step]:
        """Steps at the top that are known and have neither begun nor ended; changed in place by who skips one."""
        ...

    def rebuild(self) -> None:
        """Find everything out from the state anew: after a load, or after an event that made steps void."""
        ...

    def told(self, record: StepRecord) -> None:
        """A step has ended. Live, and in the order of `seq`; what had ended at the latest `rebuild` is not told."""
        ...

    def proceed(self) -> None:
        """Begin whatever may begin now, each with `RunContext.begin`, and end what needs no step any more."""
        ...

    def failed(self, step: Step, record: StepRecord, error: StepError) -> None:
        """A step's failure was journaled, and nothing on the step itself caught it. The run unwinds if asked here."""
        ...

    def fall_back(self, step: Step, record: StepRecord) -> None:
        """A failed step waits, as journaled, for the steps that its `on_error` runs instead."""
        ...

    def step(self, path: str) -> Step:
        """The definition behind a path; of `refund/undo` the compensation.

        Raises:
            KeyError: there is none.
        """
        ...

    def passed(self, path: str) -> bool:
        """Whether there might have been a step of that path, and now none comes any more."""
        ...

    def begins(self, path: str) -> bool:
        """Whether the scope of that step is under way, so that the step may end although it has not begun."""
        ...

    def expects(self, path: str) -> bool:
        """Whether a step of that path may still come, so that a message for it is kept."""
        ...

    def scope(self, path: str) -> RunScope:
        """What the expressions of the step at that path see."""
        ...

    def named(self, path: str, name: str) -> str:
        """The path of the step that the step at `path` calls `name`."""
        ...

    def closing(self, path: str) -> bool:
        """Whether what is around that step is being ended, although the run goes on: nothing of it is sent any more."""
        ...

    def moment(self) -> datetime | None:
        """When it must be asked again although nothing has happened, besides the moments that records tell of."""
        ...

    def drop(self) -> list[str]:
        """The run unwinds: nothing begins any more. The paths of those steps whose end is journaled as cancelled."""
        ...

    def over(self) -> bool:
        """Whether all has ended, so that the outcome can be decided."""
        ...

    def conclude(self) -> Conclusion:
        """The outcome (rule 10).

        Raises:
            StepError: there is none.
        """
        ...
