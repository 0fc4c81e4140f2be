"""What people can do to a run whose definition cannot be had, or does not fit its journal.

Its steps cannot be looked at, so nothing can be undone or withdrawn. It can be ended, and moved to a release that fits;
everything else waits in the inbox until the run can be loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from signoff.runtime.cutting_off import left
from signoff.runtime.events import EventKind
from signoff.runtime.handlers import Message
from signoff.runtime.operated import TAKEN
from signoff.runtime.operating import (
    CANCEL,
    LATE,
    MIGRATE,
    PRIORITY,
    RETRY,
    TERMINATE,
    WAKE,
    Answer,
    migrated,
    moved_on,
)
from signoff.runtime.state import RunState

Events = tuple[tuple[EventKind, Mapping[str, Any]], ...]


def answer_stuck(state: RunState, path: str, message: Message, detail: str) -> tuple[Answer, Events] | None:
    """What becomes of a message, and what follows it in the journal; none where it is kept until the run can be loaded.

    Args:
        state: as the whole journal describes it.
        path: the step that the message is for; empty for the run itself.
        message: the message.
        detail: why the run cannot be loaded.
    """
    if state.end is not None:
        if path == "" and message.kind == RETRY:
            return Answer("refused", f"its definition cannot be used: {detail}"), ()
        return LATE, ()
    operation = _OPERATIONS.get(message.kind) if path == "" else None
    return None if operation is None else operation(state, message)


def _cancel(state: RunState, message: Message) -> tuple[Answer, Events]:
    del message
    return Answer("cancel"), (("run.ended", {"status": "cancelled", "outcome": None, "error": _not_undone(state)}),)


def _terminate(state: RunState, message: Message) -> tuple[Answer, Events]:
    error = {"detail": message.data.get("reason", ""), "by": message.sent_by}
    end = {"status": "terminated", "outcome": None, "error": error, **left(state)}
    return Answer(TAKEN), (("run.ended", end),)


def _migrate(state: RunState, message: Message) -> tuple[Answer, Events]:
    if moved_on(state, message.data):
        return Answer("refused", "it has moved on since it was compared with that release: compare again"), ()
    return Answer(TAKEN), (("run.migrated", migrated(message, state)),)


def _noted(state: RunState, message: Message) -> tuple[Answer, Events]:
    """It was looked at, or moved in the queue, by the time that it is read."""
    del state, message
    return Answer(TAKEN), ()


def _not_undone(state: RunState) -> dict[str, Any]:
    """What a person should know who cancels a run whose definition is not there."""
    acted = [path for path, record in state.steps.items() if record.key is not None]
    detail = "cancelled while its definition could not be used; nothing was undone"
    return {"kind": "stuck", "detail": detail, "effects": acted}


_OPERATIONS: Mapping[str, Callable[[RunState, Message], tuple[Answer, Events]]] = {
    CANCEL: _cancel,
    TERMINATE: _terminate,
    MIGRATE: _migrate,
    WAKE: _noted,
    PRIORITY: _noted,
}
