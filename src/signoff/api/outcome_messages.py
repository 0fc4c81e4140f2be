"""What answers about outcomes hold."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True)


class TallyOut(_Response):
    """Runs, added up."""

    runs: int
    automated: int = Field(description="Of them, without a review.")
    with_person: int = Field(description="Of them, with a review that was opened, whatever became of it.")
    cost_micro_usd: int = Field(description="What their model calls cost, in millionths of a US dollar.")
    mean_s: float | None = Field(description="From start to end, on average, in seconds; null of no run.")


class OutcomeOut(TallyOut):
    """Runs that ended in one way."""

    outcome: str | None = Field(description="The workflow's own name for it; null where the run is not done.")
    status: Literal["done", "failed", "cancelled", "terminated"]
    share: float | None = Field(description="Of the runs that ended; null where none did.")


class GoalOut(_Response):
    """A goal of the workflow beside what was measured."""

    name: str
    side: Literal["at_least", "at_most"]
    value: float
    unit: Literal["number", "share", "seconds", "usd"]
    measured: float | None = Field(description="In the same unit; null where counts of runs cannot say.")
    met: bool | None


class ReleaseOutcomes(_Response):
    """The runs of one release."""

    release: str
    version: str = Field(description="The workflow's, in that release.")
    open: int
    outcomes: list[OutcomeOut]


class WorkflowOutcomesOut(_Response):
    """What a workflow's runs came to."""

    project: str
    workflow: str
    owner: str
    open: int = Field(description="Runs of the window that have not ended; they are counted nowhere else.")
    ended: TallyOut
    outcomes: list[OutcomeOut] = Field(description="Declared ones first, also those that never came; then others.")
    goals: list[GoalOut]
    releases: list[ReleaseOutcomes] = Field(description="Those with the most runs, at most 50.")


class OutcomePage(_Response):
    """Part of an environment's workflows, by project and name."""

    environment: str
    since: datetime = Field(description="Runs are counted that started from then on …")
    until: datetime | None = Field(description="… and before this; null for now.")
    items: list[WorkflowOutcomesOut]
    next: str | None
