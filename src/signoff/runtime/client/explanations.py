"""What an explanation of a run is made of: where the run is in the queue, and the reasons that are told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from signoff.runtime.client.explaining_starts import Standing

WHY = ("--reason", "'…'")
"""What people put behind a command that wants a reason."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run that has not ended is in the queue.

    Attributes:
        host: of the worker that has it; none where no worker has.
        process_id: of that worker.
        host_since: when that worker began.
        host_until: how long it may have the run without another sign of life; in the past where it gave none.
        due_at: when it is looked at again.
        priority: 1 is first.
        queue: the queue with limits that it belongs to, if any.
        gate: what it waits for there: `key`, `queue` or `back`.
        team: whose it is.
        standing: how that queue stands for it, where it waits at its gate.
        ahead: runs of its key or team before it at the same gate, or before it for a worker; counted up to `COUNTED`.
        not_before: when a delayed run may begin.
        workers: how many workers are alive.
        messages: how many messages wait for it.
    """

    due_at: datetime
    priority: int
    workers: int
    messages: int = 0
    host: str | None = None
    process_id: int | None = None
    host_since: datetime | None = None
    host_until: datetime | None = None
    queue: str | None = None
    queue_key: str | None = None
    gate: str | None = None
    team: str = ""
    standing: Standing | None = None
    ahead: int = 0
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that a run waits for, or that became of it.

    Attributes:
        text: what, in words.
        step: of which step; empty for the run itself.
        since: since when.
        until: when it ends by itself; none where only somebody can end it.
        who: who can end it.
        commands: how, exactly.
        facts: of an effect that a person has to look up or undo by hand: what is known of it, by name; of a run that
            cannot be loaded, what differs.
    """

    text: str
    step: str = ""
    since: datetime | None = None
    until: datetime | None = None
    who: str = ""
    commands: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a run is where it is: one sentence, and what is behind it."""

    run_id: UUID
    status: str
    summary: str
    reasons: tuple[Reason, ...] = ()


def command(run_id: str, *words: str) -> str:
    """A command on a run: `signoff runs cancel RUN --reason '…'`."""
    return " ".join(("signoff", "runs", words[0], run_id, *words[1:]))


NO_WORKER = Reason(
    "No worker is alive: nothing runs now.", who="whoever runs the deployment", commands=("signoff worker",)
)
