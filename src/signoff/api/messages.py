"""What requests and responses hold, as the OpenAPI document describes it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from signoff.api.schedule_messages import DebounceIn, DeduplicateIn, Duration, Key

RunStatus = Literal["queued", "running", "waiting", "paused", "stuck", "done", "failed", "cancelled", "terminated"]
ReviewState = Literal["open", "approved", "rejected", "expired", "withdrawn"]

NAME = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$"
"""Names of projects, workflows, steps and roles: what a text column takes, and no more."""

Name = Annotated[str, Field(pattern=NAME)]
JsonObject = dict[str, Any]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True)


class StartRun(_Request):
    """A run to start."""

    workflow: Name = Field(description="The workflow's name.", examples=["support/refund"])
    input: JsonObject = Field(description="What the workflow's input schema asks for.", examples=[{"ticket": {}}])
    project: Name | None = Field(
        default=None, description="The project, where more than one has such a workflow.", examples=["refunds"]
    )
    priority: int = Field(default=5, ge=1, le=9, description="1 is first, 9 is last.")
    delay: Duration | None = Field(default=None, description="It begins so much later; instead of `start_at`.")
    start_at: AwareDatetime | None = Field(default=None, description="It does not begin before then.")
    team: Name | None = Field(default=None, description="Teams take turns, however many runs each has.")
    queue: Name | None = Field(default=None, description="A queue of the project; else the workflow's own.")
    queue_key: Key | None = Field(default=None, description="What the queue's `per_key` bounds by.")
    deduplicate: DeduplicateIn | None = None
    debounce: DebounceIn | None = None
    attributes: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        max_length=32,
        description="What the run is searched by, beside what its workflow declares.",
        examples=[{"customer": "c1", "cents": 1250}],
    )


class WaitingFor(_Response):
    """Something that a run waits for."""

    step: str
    kind: str = Field(description="`review`, `retry`, `outcome_unknown`, …")
    about: str
    until: datetime | None
    attempt: int | None = Field(
        default=None, description="Of `outcome_unknown` and `undo_failed`: the try that is asked about; send it back."
    )


class StepOut(_Response):
    """What became of a step, or of its undoing (`refund/undo`)."""

    step: str
    status: str = Field(description="started, waiting, retrying; or its end: done, not_needed, blocked, failed, …")
    result: str | None = Field(default=None, description="What `.result` says of it; of a review, the decision.")
    attempts: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = Field(default=None, description="From its first try to its end, in seconds.")
    decided_by: str | None = None
    error: JsonObject | None = None
    via: str | None = None
    output: JsonObject | None = Field(default=None, description="With `?at=SEQ`: what it gave.")


class RunOrigin(_Response):
    """The run that a run came from, and how."""

    kind: Literal["fork", "call", "loop"] = Field(
        description="A fork of it; a run that a step of it called; a run that goes on with its loop."
    )
    run_id: UUID
    seq: int | None = Field(default=None, description="Of a fork: the last event that it has from there.")
    dry: bool | None = Field(default=None, description="Of a fork: its effects are not sent.")
    reason: str | None = Field(default=None, description="Of a fork: why.")
    step: str | None = Field(default=None, description="Of a called run: the step that called it.")
    turns: int | None = Field(default=None, description="Of one that goes on with a loop: how many there were before.")
    about: str = Field(description="All of it as a sentence.")


class RunOut(_Response):
    """A run."""

    run_id: UUID
    workflow: str
    version: str
    release: str
    status: RunStatus
    outcome: str | None
    waiting_for: list[WaitingFor]
    error: JsonObject | None
    usage: JsonObject = Field(description="Model calls, tokens and cost in millionths of a US dollar.")
    started_by: str
    started_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    steps: list[StepOut] | None = Field(default=None, description="With `?steps=true`, and with `?at=SEQ`.")
    at: int | None = Field(default=None, description="With `?at=SEQ`: all of it is as of that event.")
    origin: RunOrigin | None = Field(
        default=None, description="The run that it came from. With `?steps=true` or `?at=SEQ`."
    )


class RunStartedOut(_Response):
    """The run that the request started, now or earlier with the same idempotency key."""

    run_id: UUID
    created: bool = Field(description="False where an earlier request with the same key started it.")
    starts_at: datetime | None = Field(
        default=None, description="When it may begin, where that is not now; a debounced run can be read from then on."
    )
    run: RunOut | None = Field(default=None, description="With `?wait=`: the run, ended or as far as it is.")


class RunPage(_Response):
    """Part of a list of runs, newest first."""

    items: list[RunOut]
    next: str | None = Field(description="The `cursor` of the next page; null at the end.")


class Signal(_Request):
    """Something for a step that waits."""

    step: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/\[\]!-]{0,299}$",
        description="The step's path: its name; of a step in a group `lines[2]/ask`.",
        examples=["approval_mail"],
    )
    kind: str = Field(default="signal", pattern=r"^[a-z][a-z0-9_.-]{0,99}$", examples=["signal"])
    data: JsonObject = Field(default_factory=dict)


class Accepted(_Response):
    """It is stored and will be acted on, workers or not."""

    run_id: UUID
    message_id: UUID | None = None


class JournalEventOut(_Response):
    """One event of a run's journal."""

    seq: int
    recorded_at: datetime
    kind: str
    data: JsonObject


class JournalPage(_Response):
    """Part of a journal, in order."""

    items: list[JournalEventOut]
    next: str | None


class ReviewSummaryOut(_Response):
    """A review as a list shows it."""

    review_id: UUID
    run_id: UUID
    step: str
    workflow: str
    workflow_version: str
    risk: str
    title: str
    status: ReviewState
    may_decide: list[str] = Field(description="Roles whose holders may decide it now.")
    started_by: str
    opened_at: datetime
    escalate_at: datetime | None
    expire_at: datetime | None
    closed_at: datetime | None
    decided_by: str | None
    reason: str | None
    comment: str | None
    digest: str = Field(description="SHA-256 of exactly what is presented; a decision names it.")


class ReviewOut(ReviewSummaryOut):
    """A review with everything its reviewer sees."""

    proposed: JsonObject
    editable: list[str]
    shown: JsonObject
    sources: JsonObject
    labels: JsonObject
    final_values: JsonObject | None


class ReviewPageOut(_Response):
    """Part of a list of reviews: what expires first, then what has waited longest."""

    items: list[ReviewSummaryOut]
    next: str | None


class DecideReview(_Request):
    """A person's decision, on what `digest` (or the header `If-Match`) says that they saw."""

    decision: Literal["approve", "reject"]
    values: JsonObject = Field(default_factory=dict, description="Edits of editable values, by name.")
    reason: str | None = Field(default=None, description="Needed to reject.")
    comment: str | None = None
    digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", description="The review's `digest` as shown.")


class EventOut(_Response):
    """An event that a workflow emitted, in CloudEvents' terms."""

    event_id: UUID
    run_id: UUID
    type: str
    emitted_at: datetime
    data: JsonObject


class EventPage(_Response):
    """Part of the emitted events, oldest first."""

    items: list[EventOut]
    next: str | None


class WorkflowOut(_Response):
    """A workflow that the asker may start."""

    project: str
    workflow: str
    version: str
    about: str
    owner: str
    risk: str
    release: str
    input_schema: JsonObject


class WorkflowList(_Response):
    """The workflows of the environment."""

    items: list[WorkflowOut]
    next: str | None = None


class Me(_Response):
    """Who asks, as the key says."""

    kind: str
    id: str
    roles: list[str]
    organisation_id: UUID
    environment: str


class Health(_Response):
    """The server's health."""

    status: Literal["ok"] = "ok"


class ProblemItem(_Response):
    """One thing that is wrong."""

    code: str
    detail: str
    pointer: str | None = Field(default=None, description="A JSON Pointer (RFC 6901) into the request.")
    suggestion: str | None = None


class Problem(_Response):
    """Problem details (RFC 9457): the form of every error."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[ProblemItem] | None = None
