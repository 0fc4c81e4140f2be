"""Runs as their journals describe them, made of a few events, and what is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from signoff.core.money import NO_USAGE
from signoff.runtime.client.explaining import explain
from signoff.runtime.client.explanations import Explanation, Place
from signoff.runtime.client.model import JournalEvent, RunSummary
from signoff.runtime.events import Event, EventKind, decode, encode
from signoff.runtime.queues import Bounds, Queue, Rate
from signoff.runtime.state import RunState

T = datetime(2026, 1, 1, tzinfo=UTC)
NOW = T + timedelta(minutes=5)
RUN = UUID("01a202ed-66f8-7af5-a8c8-a09a3d363555")
Told = tuple[EventKind, Mapping[str, Any]]
IDLE = Place(due_at=T, priority=5, workers=1)
GATED = replace(IDLE, gate="queue", queue="dev/shop/bank", team="emea", ahead=3)
BANK = Queue("bank", whole=Bounds(2), per_team=Bounds(1), per_key=Bounds(1))
RATED = Queue("bank", whole=Bounds(None, Rate(10, 60.0, 10)))
HELD = replace(IDLE, host="host-1", process_id=7)
STARTED: Mapping[str, Any] = {"workflow": "w", "input": {}, "started_by": {"kind": "user", "id": "ana"}}
TRIED: Mapping[str, Any] = {
    "step": "pay", "attempt": 1, "arguments": {}, "labels": {}, "argument_labels": {}, "needed": True
}  # fmt: skip
CONTINUED: Mapping[str, Any] = {"usage": NO_USAGE.as_dict(), "ended": ()}
BEGUN: tuple[Told, ...] = (("run.started", STARTED), ("step.started", TRIED))


def events(*found: Told) -> list[JournalEvent]:
    told: list[Told] = [(kind, decode(encode(data))) for kind, data in found]
    return [JournalEvent(seq, kind, T + timedelta(seconds=seq), data) for seq, (kind, data) in enumerate(told, 1)]


def state(*found: Told) -> RunState:
    made = RunState()
    for event in events(*found):
        made.apply(Event(event.seq, event.kind, event.recorded_at, event.data))
    return made


def told(made: RunState, place: Place | None, status: str = "waiting", error: Any = None) -> Explanation:
    run = RunSummary(RUN, "w", "1.0.0", "r", status, None, (), error, {}, "user/ana", T, T, None)
    return explain(run, made, place, NOW)


def waiting(kind: str, about: str = "about it", until: Any = None, **more: Any) -> Told:
    return "step.waiting", {"step": "pay", "kind": kind, "until": until, "state": more, "about": about}
