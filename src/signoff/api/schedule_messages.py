"""What requests and responses about schedules and queues hold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Key = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,200}$")]
Duration = Annotated[str, Field(pattern=r"^\d+(\.\d+)?(ms|s|m|h|d|w)$", examples=["30s", "15m", "2h"])]


class DeduplicateIn(_Model):
    """Starts with the key give the first one's run while the window lasts, whatever their input."""

    key: Key
    window: Duration


class DebounceIn(_Model):
    """One run starts once the key has been quiet, with the latest start's input."""

    key: Key
    quiet: Duration
    max_wait: Duration = Field(description="It starts at the latest so long after the first start.")


class FiringOut(_Model):
    """What became of one nominal time."""

    nominal_at: datetime
    cause: str = Field(description="`time`, `catch_up`, `backfill` or `trigger`.")
    status: str = Field(description="`started`, `waiting`, `skipped`, `missed` or `failed`.")
    recorded_at: datetime
    run_id: UUID | None
    detail: str


class ScheduleOut(_Model):
    """A schedule."""

    project: str
    name: str
    about: str
    workflow: str
    cron: str | None
    every_s: int | None
    time_zone: str
    overlap: str
    catch_up: str
    paused: bool
    paused_by: str | None
    paused_reason: str | None
    next_at: datetime | None = Field(description="Null while it is paused.")
    last_run_id: UUID | None
    input: dict[str, Any]
    firings: list[FiringOut] | None = Field(default=None, description="The latest first; of one schedule only.")


class SchedulePage(_Model):
    """Part of a list of schedules, by project and name."""

    items: list[ScheduleOut]
    next: str | None


class PauseSchedule(_Model):
    """Why a schedule is paused."""

    reason: str = Field(default="", max_length=4000)


class BackfillSchedule(_Model):
    """Which times are run again."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    first: AwareDatetime = Field(alias="from", description="The first moment.")
    last: AwareDatetime = Field(alias="to", description="The last moment, included; not in the future.")
    dry_run: bool = Field(default=False, description="Only tell which times they are.")


class TimesOut(_Model):
    """Nominal times, in order."""

    times: list[datetime]


class BackfilledOut(_Model):
    """The nominal times of a span, in order."""

    times: list[datetime] = Field(description="All of them.")
    before: list[datetime] = Field(description="Those that were run before: they are not run again.")


class TriggeredOut(_Model):
    """The run that was started."""

    run_id: UUID
    created: bool = Field(description="False where an earlier request with the same Idempotency-Key started it.")
