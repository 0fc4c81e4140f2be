"""A run's steps as people read them: one line each, from one pass over its journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from signoff.api.messages import StepOut
from signoff.runtime.client import JournalEvent

_TRIED = ("step.started", "effect.intended")
_KEPT = ("step", "attempt", "status", "result", "approval", "by", "error", "via", "void")


def steps_of(events: Iterable[JournalEvent], *, outputs: bool = False) -> list[StepOut]:
    """The steps that a journal tells of, in the order in which they were first heard of, perhaps with outputs."""
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.kind == "run.reopened":
            for void in event.data["void"]:
                found.pop(void, None)
            continue
        path = event.data.get("step")
        if path is None or event.kind == "step.noted":
            continue
        step = found.setdefault(path, {"step": path, "status": "started", "started_at": event.recorded_at})
        _take(step, event)
        if outputs and event.kind == "step.ended":
            step["output"] = event.data.get("output")
    return [StepOut(**step) for step in found.values()]


def slim(event: JournalEvent) -> JournalEvent:
    """The event without what a step gave and was given."""
    data = {name: event.data[name] for name in _KEPT if name in event.data}
    output: Mapping[str, Any] = event.data.get("output") or {}
    if output.get("decided_by"):
        data["output"] = {"decided_by": output["decided_by"]}
    return JournalEvent(event.seq, event.kind, event.recorded_at, data)


def _take(step: dict[str, Any], event: JournalEvent) -> None:
    data = event.data
    if event.kind in _TRIED:
        step.update(status="started", attempts=data["attempt"])
    elif event.kind == "step.waiting":
        step.update(status="waiting", error=data.get("error", step.get("error")))
    elif event.kind == "step.retrying":
        step.update(status="retrying", error=data["error"])
    elif event.kind == "step.ended":
        approval: Mapping[str, Any] = data.get("approval") or {}
        output: Mapping[str, Any] = data.get("output") or {}
        step.update(
            status=data["status"],
            result=data.get("result"),
            ended_at=event.recorded_at,
            duration_s=_seconds(step["started_at"], event.recorded_at),
            decided_by=approval.get("decided_by") or output.get("decided_by") or data.get("by"),
            error=data.get("error"),
            via=data.get("via"),
        )


def _seconds(start: datetime, end: datetime) -> float:
    return round((end - start).total_seconds(), 6)
