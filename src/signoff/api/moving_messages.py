"""What requests and responses about runs and releases hold, as the OpenAPI document describes it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from signoff.api.messages import JsonObject
from signoff.api.operation_messages import MAX_BULK, Reason

ReleaseName = Annotated[
    str,
    Field(
        pattern=r"^([0-9a-f]{7,64}|current)$",
        description="A release's digest, or how that begins; `current` is what the environment points at.",
    ),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True)


class MigrateRun(_Request):
    """Where a run is to be moved, and why."""

    release: ReleaseName
    dry_run: bool = Field(default=False, description="Say what would differ, and do nothing.")
    reason: Reason = ""


class BulkMigration(MigrateRun):
    """Where many runs are to be moved: one batch of them, and where the next begins."""

    filter: str = Field(default="", max_length=4000, examples=["workflow = 'support/refund' and status = 'waiting'"])
    cursor: UUID | None = Field(default=None, description="The `next` of the batch before.")
    limit: int = Field(default=MAX_BULK, ge=1, le=MAX_BULK, description="Runs in the batch.")


class DifferenceOut(_Response):
    """How a step differs between two releases."""

    step: str = Field(description="Its path in the run, or its name where it has not begun; empty for the whole.")
    what: str
    begun: bool = Field(description="It has a past in the run, which would be another one.")
    recorded: JsonObject | None = Field(
        default=None, description="Of code: the command that the journal has, with its file and line (`at`)."
    )
    now: JsonObject | None = Field(default=None, description="What the other release's code asks for in its place.")


class MigrationOut(_Response):
    """What a move to another release means for a run."""

    run_id: UUID
    release_before: str
    release: str
    differences: list[DifferenceOut]
    possible: bool = Field(description="Nothing that differs has begun.")
    message_id: UUID | None = Field(description="Of the request to move; null for a dry run.")


class ForkRun(_Request):
    """A new run with the past of another one."""

    at: int | None = Field(default=None, ge=1, le=2**31 - 1, description="The last event of that past; all by default.")
    release: ReleaseName | None = None
    input: JsonObject | None = Field(default=None, description="Another input; steps that read the input run again.")
    live_effects: bool = Field(default=False, description="Its effects are real. A permission of its own.")
    reason: Reason = ""


class RunDifferenceOut(_Response):
    """How two runs differ."""

    runs: list[JsonObject] = Field(description="The ends of both.")
    input: list[JsonObject] = Field(description="Per member of the input that differs: `name`, `first` and `second`.")
    steps: list[JsonObject] = Field(description="Per step that differs: `first` and `second`, null where not begun.")
