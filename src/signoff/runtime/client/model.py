"""What goes in and out of the engine on the control plane's side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from signoff.core.actors import Actor
from signoff.runtime.events import EventKind
from signoff.runtime.queues import QueuePlace
from signoff.workflows.model import Workflow


@dataclass(frozen=True, slots=True)
class Deduplicate:
    """Starts with the same key within `window_s` after the first give that one's run, whatever their input."""

    key: str
    window_s: float


@dataclass(frozen=True, slots=True)
class Debounce:
    """One run starts once no start with the key came for `quiet_s`, or `max_wait_s` after the first.

    It begins with the latest start's input, in the release that was current for that.
    """

    key: str
    quiet_s: float
    max_wait_s: float


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A run to start. The caller has authorised it and validated the input.

    Attributes:
        workflow: the compiled workflow, of the release below.
        release: the digest that the run pins for life.
        input: plain JSON data.
        actor: who starts it.
        idempotency_key: the same key returns the same run.
        priority: 1 (first) to 9.
        decision: the policy decision that allowed it, for the journal.
        project: the release's project: two projects may have workflows of one name.
        start_at: the run does not begin before then.
        team: whose run it is; claims and queues take turns between teams.
        place: the queue that the run goes through.
        deduplicate: instead of an idempotency key.
        debounce: instead of an idempotency key.
        attributes: what the run is searched by from the start, beside what its workflow declares.
        environment: where it was started, so that its outcome is counted there; none of forks, which count nowhere.
    """

    workflow: Workflow
    release: str
    input: Mapping[str, Any]
    actor: Actor
    idempotency_key: str | None = None
    priority: int = 5
    decision: Mapping[str, Any] | None = None
    project: str = ""
    start_at: datetime | None = None
    team: str = ""
    place: QueuePlace | None = None
    deduplicate: Deduplicate | None = None
    debounce: Debounce | None = None
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict[str, "str | int | float | bool"])
    environment: str | None = None


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run that was started now, or, where `created` is false, earlier with the same key.

    Attributes:
        starts_at: when it may begin, where that is not now. A debounced run can be read once it has started.
        ready: a worker may claim it at once: it was started now, and waits for no queue, no time and no quiet key.
    """

    run_id: UUID
    created: bool
    starts_at: datetime | None = None
    ready: bool = False


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run as lists show it.

    Attributes:
        status: queued, running, waiting, stuck, done, failed or cancelled.
        outcome: the workflow's own name for how it ended.
        waiting_for: per waiting step: step, kind, about, until.
        usage: model calls, tokens and cost so far, as of its last rest.
    """

    run_id: UUID
    workflow: str
    version: str
    release: str
    status: str
    outcome: str | None
    waiting_for: tuple[Mapping[str, Any], ...]
    error: Mapping[str, Any] | None
    usage: Mapping[str, Any]
    started_by: str
    started_at: datetime
    updated_at: datetime
    ended_at: datetime | None

    def as_dict(self) -> dict[str, Any]:
        """The summary for JSON."""
        return {
            "run_id": str(self.run_id),
            "workflow": self.workflow,
            "version": self.version,
            "release": self.release,
            "status": self.status,
            "outcome": self.outcome,
            "waiting_for": [dict(entry) for entry in self.waiting_for],
            "error": self.error,
            "usage": dict(self.usage),
            "started_by": self.started_by,
            "started_at": self.started_at,
            "updated_at": self.updated_at,
            "ended_at": self.ended_at,
        }


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """One event of a run as people read it."""

    seq: int
    kind: EventKind
    recorded_at: datetime
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
