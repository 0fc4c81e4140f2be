"""What lists show of a run: a projection of its state, written when it parks and when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import orjson

from signoff.core.money import NO_USAGE
from signoff.runtime.attribute_values import rows_of, words_in
from signoff.runtime.journal import View
from signoff.runtime.state import ENGINE_WAITS, RunState

_NOTHING, _NOT_USED = "[]", orjson.dumps(NO_USAGE.as_dict()).decode()  # of most runs, written with each of them


def view_of(state: RunState, now: datetime) -> View:
    """The projection of a state."""
    end = state.end or {}
    error = end.get("error") or state.stuck
    rows = rows_of(state.attributes) if state.attributes else {}
    return View(
        status=end.get("status") or _at_rest(state),
        outcome=end.get("outcome"),
        waiting_for=_NOTHING if end else _jsonb(waiting_for(state)),
        error=None if error is None else _jsonb(error),
        usage=_NOT_USED if state.usage is NO_USAGE else orjson.dumps(state.usage.as_dict()).decode(),
        updated_at=now,
        ended_at=state.ended_at,
        data_class=max([record.labels.data_class for record in state.steps.values()], default=0),
        attributes=rows,
        words=words_in(rows, *_told(error)) if rows or error is not None else (),
    )


def _told(error: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What an error says, in words to find its run by."""
    found = error or {}
    return str(found.get("kind") or found.get("code") or ""), str(found.get("detail") or "")


def _at_rest(state: RunState) -> str:
    if state.stuck is not None:
        return "stuck"
    return "waiting" if state.operated.paused is None else "paused"


def stuck_view(state: RunState, now: datetime, error: Mapping[str, Any]) -> View:
    """The projection of a run that cannot go on by itself, and why."""
    view = view_of(state, now)
    words = words_in(view.attributes, *_told(error))
    return replace(view, status="stuck", outcome=None, error=_jsonb(error), ended_at=None, words=words)


def _jsonb(value: Any) -> str:
    """JSON as PostgreSQL takes it: it has no form for the character NUL, which any text from outside may hold."""
    text = orjson.dumps(value).decode()
    return orjson.dumps(_without_nul(value)).decode() if "\\u0000" in text else text


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, Mapping):
        return {_without_nul(key): _without_nul(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list):
        return [_without_nul(item) for item in cast("list[Any]", value)]
    return value


def waiting_for(state: RunState) -> list[dict[str, Any]]:
    """What a run waits for, per step: kind, what it is about, until when."""
    found: list[dict[str, Any]] = []
    for record in state.open.values():
        if record.waiting is not None:
            waiting = record.waiting
            entry = {"step": record.path, "kind": waiting.kind, "about": waiting.about, "until": waiting.until}
            if waiting.kind in ENGINE_WAITS and "attempt" in waiting.state:
                entry["attempt"] = waiting.state["attempt"]
            found.append(entry)
        elif record.retry_at is not None:
            about = str((record.error or {}).get("detail", ""))
            found.append({"step": record.path, "kind": "retry", "about": about, "until": record.retry_at})
    return found
