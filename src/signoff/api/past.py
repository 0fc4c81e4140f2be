"""A run as it was as of one event of its journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from signoff.api.messages import RunOrigin, RunOut
from signoff.api.step_views import steps_of
from signoff.runtime.client import JournalEvent, RunSummary
from signoff.runtime.client.history import state_of, status_of
from signoff.runtime.client.origins import origin_of, origin_text
from signoff.runtime.views import waiting_for


def as_of(run: RunSummary, events: Sequence[JournalEvent]) -> RunOut:
    """The run after these events, with its steps and what they had given."""
    state = state_of(events)
    end: Mapping[str, Any] = state.end or {}
    facts = {
        "run_id": run.run_id,
        "workflow": run.workflow,
        "version": state.started["version"],
        "release": state.started["release"],
        "status": status_of(state),
        "outcome": end.get("outcome"),
        "waiting_for": [] if end else waiting_for(state),
        "error": end.get("error") or state.stuck,
        "usage": state.usage.as_dict(),
        "started_by": run.started_by,
        "started_at": run.started_at,
        "updated_at": events[-1].recorded_at,
        "ended_at": state.ended_at,
        "steps": steps_of(events, outputs=True),
        "at": state.last_seq,
        "origin": came_from(state.started),
    }
    return RunOut.model_validate(facts)


def came_from(started: Mapping[str, Any]) -> RunOrigin | None:
    """The run that a run came from, by the data of its first event."""
    found = origin_of(started)
    return None if found is None else RunOrigin.model_validate({**found, "about": origin_text(found)})
