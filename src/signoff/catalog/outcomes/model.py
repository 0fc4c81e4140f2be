"""How often a workflow came to what, what that cost, and who had to be asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from signoff.workflows.model import Goal


@dataclass(frozen=True, slots=True)
class Tally:
    """Runs of one kind, added up.

    Attributes:
        runs: how many.
        with_person: in how many of them a review was opened, whatever became of it.
        cost_micro_usd: what their model calls cost together, in millionths of a US dollar.
        seconds: from start to end, together; of runs that have ended.
    """

    runs: int = 0
    with_person: int = 0
    cost_micro_usd: int = 0
    seconds: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.runs + other.runs,
            self.with_person + other.with_person,
            self.cost_micro_usd + other.cost_micro_usd,
            self.seconds + other.seconds,
        )

    def as_dict(self) -> dict[str, Any]:
        """The tally for JSON; the mean is none of no run."""
        return {
            "runs": self.runs,
            "automated": self.runs - self.with_person,
            "with_person": self.with_person,
            "cost_micro_usd": self.cost_micro_usd,
            "mean_s": round(self.seconds / self.runs, 3) if self.runs else None,
        }


NONE = Tally()


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """Runs that ended in one way.

    Attributes:
        status: `done`, or how it ended without an outcome: `failed`, `cancelled`, `terminated`.
        outcome: the workflow's own name for it; none where it is not done.
    """

    status: str
    outcome: str | None
    tally: Tally

    @property
    def name(self) -> str:
        """What people call it."""
        return self.outcome or self.status


@dataclass(frozen=True, slots=True)
class ReleaseCount:
    """The same of one release."""

    release: str
    version: str
    open: int
    counts: tuple[OutcomeCount, ...]


@dataclass(frozen=True, slots=True)
class MeasuredGoal:
    """A goal beside what was measured; none where counts cannot say, or nothing has ended."""

    goal: Goal
    measured: float | None

    @property
    def met(self) -> bool | None:
        """Whether it is reached; none where it is not measured."""
        if self.measured is None:
            return None
        if self.goal.side == "at_least":
            return self.measured >= self.goal.value
        return self.measured <= self.goal.value

    def as_dict(self) -> dict[str, Any]:
        """The goal for JSON."""
        goal = self.goal
        return {
            "name": goal.name,
            "side": goal.side,
            "value": goal.value,
            "unit": goal.unit,
            "measured": self.measured,
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class WorkflowOutcomes:
    """What a workflow's runs of a window came to.

    Attributes:
        open: how many have not ended.
        counts: those that have, by outcome; declared outcomes first, in their order, also those that never came.
        releases: the same of each release that they pinned.
    """

    project: str
    workflow: str
    owner: str
    open: int
    counts: tuple[OutcomeCount, ...]
    releases: tuple[ReleaseCount, ...]
    goals: tuple[MeasuredGoal, ...]

    @property
    def ended(self) -> Tally:
        """All runs that have ended."""
        return total(self.counts)

    def as_dict(self) -> dict[str, Any]:
        """The counts for JSON."""
        ended = self.ended
        return {
            "project": self.project,
            "workflow": self.workflow,
            "owner": self.owner,
            "open": self.open,
            "ended": ended.as_dict(),
            "outcomes": [_of(count, ended.runs) for count in self.counts],
            "goals": [goal.as_dict() for goal in self.goals],
            "releases": [
                {
                    "release": release.release,
                    "version": release.version,
                    "open": release.open,
                    "outcomes": [_of(count, total(release.counts).runs) for count in release.counts],
                }
                for release in self.releases
            ],
        }


def _of(count: OutcomeCount, among: int) -> dict[str, Any]:
    share = round(count.tally.runs / among, 6) if among else None
    return {"outcome": count.outcome, "status": count.status, "share": share, **count.tally.as_dict()}


def total(counts: Iterable[OutcomeCount]) -> Tally:
    """All of them together."""
    return reduce(Tally.__add__, (count.tally for count in counts), NONE)


def merged(counts: Iterable[OutcomeCount], declared: Iterable[str] = ()) -> tuple[OutcomeCount, ...]:
    """One count of each way to end: those that are declared first, then others, then runs without an outcome."""
    found: dict[tuple[str, str | None], OutcomeCount] = {}
    for count in (*(OutcomeCount("done", name, NONE) for name in declared), *counts):
        key = (count.status, count.outcome)
        before = found.get(key)
        found[key] = count if before is None else replace(before, tally=before.tally + count.tally)
    order = {name: place for place, name in enumerate(declared)}
    return tuple(
        sorted(
            found.values(), key=lambda count: (count.status != "done", order.get(count.name, len(order)), count.name)
        )
    )
