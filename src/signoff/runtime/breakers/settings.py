"""When a breaker opens, and for how long."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class BreakerSettings(BaseModel):
    """Bounds of all circuit breakers of a worker."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    failures: int = Field(default=10, ge=1, le=1000, description="Failures in the window that open a breaker.")
    slow_calls: int = Field(default=20, ge=1, le=1000, description="Slow calls in the window that open a breaker.")
    slow_s: float = Field(default=45.0, gt=0, description="A call that takes so long is slow, though it succeeds.")
    window_s: float = Field(default=60.0, gt=0, description="How long a failure or a slow call counts.")
    share: float = Field(
        default=0.5, gt=0, le=1, description="Share of a worker's calls that must go wrong before any of it counts."
    )
    open_s: float = Field(default=10.0, gt=0, description="How long a breaker is open the first time; then twice that.")
    longest_open_s: float = Field(default=300.0, gt=0, description="The longest that a breaker is open at a time.")
    refresh_s: float = Field(default=1.0, gt=0, description="How often a worker reads which breakers are not closed.")
