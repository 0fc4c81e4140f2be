"""How records of calls are written and how long they are kept."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RecordSettings(BaseModel):
    """Bounds of one process's records."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    queue: int = Field(default=20_000, ge=1, description="Records that may wait to be written; more are dropped.")
    batch: int = Field(default=500, ge=1, le=5_000, description="Records that are written in one statement.")
    gather_s: float = Field(default=0.25, ge=0, description="How long records are gathered before they are written.")
    retry_s: float = Field(default=1.0, gt=0, description="How long to wait after the database was away.")
    close_s: float = Field(default=10.0, gt=0, description="How long a process that ends waits for its records.")
    keep_days: int = Field(default=90, ge=1, le=3650, description="How long a call is kept; its day's sums stay.")
    keep_cost_days: int = Field(default=1_100, ge=1, le=36_500, description="How long a day's sums are kept.")
    sweep_s: float = Field(
        default=60.0, gt=0, description="How often what is too old is deleted, and leases that are over become records."
    )
    sweep_rows: int = Field(default=5_000, ge=1, description="Rows that are deleted at a time.")
