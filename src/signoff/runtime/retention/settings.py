"""Bounds of retention, apart from the policy that projects write: reading a project needs no settings of workers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RetentionSettings(BaseModel):
    """Bounds of one worker's retention."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interval_s: float = Field(default=60.0, gt=0, description="How often the leader looks for runs whose time is over.")
    batch_runs: int = Field(default=500, ge=1, le=5000, description="Runs of one batch.")
    batch_events: int = Field(
        default=20_000, ge=1, description="Events of one batch; a longer run makes a batch of its own."
    )
    pass_batches: int = Field(default=100, ge=1, description="Batches before the leader pauses again.")
    longest_retry_s: float = Field(
        default=3600.0,
        gt=0,
        description="Longest pause before a batch that failed is tried again; the first is `interval_s`, then doubled.",
    )
    file_s: float = Field(
        default=60.0,
        gt=0,
        description="Longest that one operation on an archive's files may take: a file server that is away hangs.",
    )
    months_ahead: int = Field(
        default=3, ge=1, le=24, description="Months beyond this one whose journal partitions are kept ready."
    )
