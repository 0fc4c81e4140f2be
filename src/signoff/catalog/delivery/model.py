"""What a plan tells: everything that a release would change of an environment, before it does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from signoff.catalog.delivery.quality import Shortfall
from signoff.core.errors import Problem

Kind = Literal[
    "workflow",
    "prompt",
    "tool",
    "schema",
    "policy",
    "model",
    "route",
    "rule",
    "decision",
    "calibration",
    "fragment",
    "knowledge",
    "schedule",
    "queue",
    "setting",
    "role",
    "environment",
    "retention",
    "file",
]
Action = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing of a project that would be another.

    Attributes:
        kind: what it is.
        name: e.g. `support/refund`, `classify`, `payments.refund`.
        action: whether it is new, gone or different.
        before: its version before, where it has versions.
        after: its version afterwards.
        bump: what the change means for who relies on its contract: `major` breaks it; empty where it has none.
        details: what is different, a phrase each.
    """

    kind: Kind
    name: str
    action: Action
    before: str = ""
    after: str = ""
    bump: str = ""
    details: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The change for JSON."""
        return {
            "kind": self.kind,
            "name": self.name,
            "action": self.action,
            "before": self.before,
            "after": self.after,
            "bump": self.bump,
            "details": list(self.details),
        }


@dataclass(frozen=True, slots=True)
class FlowChange:
    """What the data-flow analysis says of one place, before and afterwards; empty where the place was not there."""

    workflow: str
    place: str
    before: str
    after: str

    def as_dict(self) -> dict[str, str]:
        """The change for JSON."""
        return {"workflow": self.workflow, "place": self.place, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class CostRange:
    """Three bounds that add up; of costs in millionths of a US dollar."""

    least: int
    expected: int
    most: int

    def __add__(self, other: CostRange) -> CostRange:
        return CostRange(self.least + other.least, self.expected + other.expected, self.most + other.most)

    def as_dict(self) -> dict[str, int]:
        """The costs for JSON."""
        return {"min_micro_usd": self.least, "expected_micro_usd": self.expected, "max_micro_usd": self.most}


@dataclass(frozen=True, slots=True)
class CostChange:
    """What the model calls of one run may cost, before and afterwards.

    Attributes:
        before: none where there was no such workflow, or nobody knows a price.
        after: likewise.
    """

    workflow: str
    before: CostRange | None
    after: CostRange | None

    def as_dict(self) -> dict[str, Any]:
        """The change for JSON."""
        before, after = (None if cost is None else cost.as_dict() for cost in (self.before, self.after))
        return {"workflow": self.workflow, "before": before, "after": after}


@dataclass(frozen=True, slots=True)
class Plan:
    """What deploying a release to an environment would change.

    Attributes:
        version: the environment's, which a deployment of this plan names.
        before: the digest that it points at, or none.
        after: the digest that it would point at.
        quality: thresholds that are not reached: a deployment is refused unless somebody may, and says why.
        problems: why the release would be refused.
        warnings: what is worth a look.
    """

    project: str
    environment: str
    version: int
    before: str | None
    after: str
    changes: tuple[Change, ...] = ()
    flows: tuple[FlowChange, ...] = ()
    costs: tuple[CostChange, ...] = ()
    quality: tuple[Shortfall, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether a deployment would move the environment."""
        return self.before != self.after

    def kinds(self) -> tuple[str, ...]:
        """Which kinds of things would be others, sorted."""
        return tuple(sorted({change.kind for change in self.changes}))

    def as_dict(self) -> dict[str, Any]:
        """The plan for JSON."""
        return {
            "project": self.project,
            "environment": self.environment,
            "version": self.version,
            "before": self.before,
            "after": self.after,
            "changed": self.changed,
            "changes": _dicts(self.changes),
            "flows": _dicts(self.flows),
            "costs": _dicts(self.costs),
            "quality": _dicts(self.quality),
            "problems": _dicts(self.problems),
            "warnings": _dicts(self.warnings),
        }


def _dicts(items: Iterable[Change | FlowChange | CostChange | Shortfall | Problem]) -> list[Any]:
    return [item.as_dict() for item in items]
