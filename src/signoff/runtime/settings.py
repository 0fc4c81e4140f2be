"""The engine's limits, each with its default and what it bounds."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RuntimeSettings(BaseModel):
    """Bounds of one worker process and of the runs it holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lease_s: float = Field(
        default=10.0, gt=0, description="A worker that sends no heartbeat for so long is declared dead."
    )
    heartbeat_s: float = Field(default=2.0, gt=0, description="Time between heartbeats; a third of the lease or less.")
    poll_s: float = Field(default=1.0, gt=0, description="How often to look for work when no wake-up came.")
    resident_runs: int = Field(default=512, ge=1, description="Runs that one worker holds in memory at once.")
    resident_bytes: int = Field(
        default=67_108_864,
        ge=1_048_576,
        description="Size of the journals of the runs that one worker holds at once; Python needs some ten times that.",
    )
    claim_batch: int = Field(default=128, ge=1, description="Runs claimed in one query.")
    loop_lag_s: float = Field(
        default=0.5,
        gt=0,
        description="A worker whose event loop is so late warns, and claims few runs until it is not.",
    )
    tasks: int = Field(default=256, ge=1, description="Steps of all runs that one worker executes at once.")
    park_after_s: float = Field(default=1.0, ge=0, description="A run whose next moment is further away leaves memory.")
    step_timeout_s: float = Field(
        default=60.0, gt=0, description="How long one try of a step may take where it says nothing."
    )
    run_time_s: float = Field(default=30 * 86400.0, gt=0, description="How long a run may take where it says nothing.")
    call_depth: int = Field(default=10, ge=1, description="Runs that may have called one another when one calls.")
    code_s: float = Field(
        default=2.0,
        gt=0,
        description="How long the code of a workflow in Python may run from one await to the next, in seconds.",
    )
    crash_limit: int = Field(
        default=5, ge=1, description="Workers that may die with a run in the same place before a person must look."
    )
    renew_share: float = Field(
        default=0.5, gt=0, le=1, description="Share of its events after which a run's loop goes on in a new run."
    )
    unwinding_events: int = Field(
        default=5_000, ge=10, description="Events beyond its limit that a run may take to settle and undo."
    )
    history_events: int = Field(
        default=20_000, ge=100, description="Events in one run's journal; past that the run fails."
    )
    event_bytes: int = Field(default=1_048_576, ge=1024, description="Size of one event's data.")
    artifact_from_bytes: int = Field(
        default=65_536, ge=1024, description="A larger value leaves its event and is kept as an artifact, by reference."
    )
    artifact_bytes: int = Field(
        default=16_777_216, ge=1024, le=67_108_864, description="Size of one value that is kept as an artifact."
    )
    artifact_run_bytes: int = Field(
        default=67_108_864, ge=1024, description="Size of all artifacts of one run together, as it is in memory."
    )
    flush_events: int = Field(default=4096, ge=1, description="Events appended in one statement.")
    drain_s: float = Field(default=20.0, gt=0, description="How long a stopping worker waits for steps under way.")


class StartLimits(BaseModel):
    """Bounds of what may be sent to the engine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_bytes: int = Field(default=262_144, ge=1024, description="Size of a run's input, encoded.")
    message_bytes: int = Field(default=262_144, ge=1024, description="Size of a message's data, encoded.")
    inbox_messages: int = Field(default=1000, ge=1, description="Messages that may wait for one run.")
    operation_messages: int = Field(
        default=100, ge=1, description="Operations that may wait for one run beyond those; so many again to end it."
    )
    name_chars: int = Field(default=300, ge=1, description="Length of a message's path, kind and sender.")
    idempotency_key_chars: int = Field(default=200, ge=1, description="Length of an idempotency key.")
    delay_s: float = Field(default=31_622_400.0, gt=0, description="How far away a start's time may be: 366 days.")
    window_s: float = Field(default=2_678_400.0, gt=0, description="How long starts may be deduplicated: 31 days.")
    quiet_s: float = Field(default=86_400.0, gt=0, description="How long a debounced key may have to be quiet: a day.")
    max_wait_s: float = Field(default=604_800.0, gt=0, description="How long a debounced start may wait: 7 days.")
