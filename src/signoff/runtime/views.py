"""What lists show of a run: a projection of its state, written when it parks and when it ends."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from signoff.runtime.journal import View
from signoff.runtime.state import RunState


def view_of(state: RunState, now: datetime) -> View:
    """The projection of a state."""
    end = state.end or {}
    error = end.get("error") or state.stuck
    return View(
        status=end.get("status") or ("waiting" if state.stuck is None else "stuck"),
        outcome=end.get("outcome"),
        waiting_for=orjson.dumps([] if end else waiting_for(state)).decode(),
        error=None if error is None else orjson.dumps(error).decode(),
        usage=orjson.dumps(state.usage.as_dict()).decode(),
        updated_at=now,
        ended_at=state.ended_at,
    )


def waiting_for(state: RunState) -> list[dict[str, Any]]:
    """What a run waits for, per step: kind, what it is about, until when."""
    found: list[dict[str, Any]] = []
    for record in state.steps.values():
        if record.state is not None:
            continue
        if record.waiting is not None:
            waiting = record.waiting
            found.append({"step": record.path, "kind": waiting.kind, "about": waiting.about, "until": waiting.until})
        elif record.retry_at is not None:
            about = str((record.error or {}).get("detail", ""))
            found.append({"step": record.path, "kind": "retry", "about": about, "until": record.retry_at})
    return found
