"""How the ledger of limits works."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class LimitSettings(BaseModel):
    """Bounds of one process's part in the ledger."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lease_s: float = Field(
        default=3_900.0, gt=0, description="How long room is set aside for a call; then it counts as spent in full."
    )
    batch: int = Field(default=64, ge=1, le=500, description="Calls that are admitted in one statement.")
    waiting: int = Field(default=10_000, ge=1, description="Calls of a process that may wait for the ledger at once.")
    unsettled: int = Field(
        default=10_000, ge=1, description="Settlements kept while the database is away; the oldest then count in full."
    )
    settle_s: float = Field(
        default=0.02,
        ge=0,
        description="How long a settlement waits for a call to be admitted with it in one statement. What a process"
        " that dies has not written counts in full.",
    )
    block_s: float = Field(
        default=1.0,
        ge=0,
        le=60,
        description="For how long a process takes room at once for the calls that come all the time, where there is"
        " much of it; 0 asks for each call. A process that dies leaves what it took spent.",
    )
    durable: bool = Field(
        default=False,
        description="Whether a call waits until its admission is on the disk, not only committed: a crash of"
        " PostgreSQL itself may else forget admissions of its last 0.6 seconds. Room for many calls always waits.",
    )
    sweep_s: float = Field(default=60.0, gt=0, description="How often counts that are over are deleted.")
    close_s: float = Field(default=10.0, gt=0, description="How long a process that ends waits for its settlements.")
