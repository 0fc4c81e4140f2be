"""What requests and responses of operations on runs hold, as the OpenAPI document describes it."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from signoff.runtime.client.operations import OperationName

MAX_BULK = 100
"""Runs in one batch."""

StepPath = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.!\[\]/-]{0,199}$", examples=["notify", "lines[2]/pay"])
]
Reason = Annotated[str, Field(max_length=4000, description="Why; it goes into the journal.")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True)


class SteerRun(_Request):
    """Why something is done to a run."""

    reason: Reason = Field(default="", examples=["The customer withdrew the ticket."])


class RetryRun(SteerRun):
    """What begins again."""

    step: StepPath | None = Field(default=None, description="Begin with this step, and all that came from it.")
    pause: bool = Field(default=False, description="Pause it as soon as it is open again.")
    priority: int = Field(default=5, ge=1, le=9, description="1 is first, 9 is last.")


class SkipStep(_Request):
    """A step that is not to run, and why."""

    step: StepPath = Field(description="The step's path.")
    reason: Annotated[str, Field(min_length=1, max_length=4000)] = Field(examples=["Done by hand in the old system."])


class ChangePriority(SteerRun):
    """How soon the run gets its turn."""

    priority: int = Field(ge=1, le=9, description="1 is first, 9 is last.")


class OperationAccepted(_Response):
    """It is stored and will be acted on, workers or not; the journal tells what became of it."""

    run_id: UUID
    message_id: UUID
    again: bool = Field(default=False, description="An earlier request with the same Idempotency-Key asked for it.")


class BulkOperation(_Request):
    """One operation on many runs: one batch of them, and where the next begins."""

    operation: OperationName
    filter: str = Field(default="", max_length=4000, examples=["workflow = 'support/refund' and status = 'failed'"])
    dry_run: bool = Field(default=False, description="Say which runs it would be, and do nothing.")
    cursor: UUID | None = Field(default=None, description="The `next` of the batch before.")
    limit: int = Field(default=MAX_BULK, ge=1, le=MAX_BULK, description="Runs in the batch.")
    reason: Reason = ""
    step: StepPath | None = Field(default=None, description="Of `skip`: the step. Of `retry`: where to begin.")
    pause: bool = Field(default=False, description="Of `retry`: pause it as soon as it is open again.")
    priority: int | None = Field(default=None, ge=1, le=9, description="Of `priority`.")


class BulkItem(_Response):
    """What became of one run of a batch."""

    run_id: UUID
    workflow: str
    status: str
    result: Literal["asked", "would", "refused", "forbidden"]
    detail: str = ""


class BulkResult(_Response):
    """What became of a batch."""

    matched: int | None = Field(
        default=None,
        description="How many runs that you may read the filter finds now, of all batches; only with the first one.",
    )
    counted_up_to: int | None = Field(
        default=None, description="There may be more: so many of those that match were looked at."
    )
    items: list[BulkItem]
    next: UUID | None = Field(description="The `cursor` of the next batch; null at the end.")
