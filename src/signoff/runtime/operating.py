"""What people do to a run that is under way or ended: one function per kind of message to the run itself (path "").

Each says what becomes of the message (`Answer`), and what it does to the run once the message is in the journal. The
sender was told what could be known then; here is decided what really happens, since the run may have moved meanwhile. A
message that changes nothing any more is `late`; one that cannot be done is `refused`, with the reason in the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from signoff.runtime.context import RunContext
from signoff.runtime.handlers import Message
from signoff.runtime.operated import TAKEN

CANCEL = "run.cancel"
TERMINATE = "run.terminate"
PAUSE = "run.pause"
RESUME = "run.resume"
RETRY = "run.retry"
MIGRATE = "run.migrate"
PRIORITY = "run.priority"
WAKE = "run.wake"

Disposition = Literal["cancel", "taken", "late", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of a message to the run itself.

    Attributes:
        disposition: for the journal.
        reason: why it was refused.
        then: what it does to the run, once the message is journaled.
    """

    disposition: Disposition
    reason: str = ""
    then: Callable[[], None] | None = None


LATE = Answer("late")


def answer(execution: RunContext, message: Message) -> Answer:
    """What becomes of a message to the run itself."""
    operation = OPERATIONS.get(message.kind)
    return Answer("unknown") if operation is None else operation(execution, message)


def advance(execution: RunContext) -> bool:
    """Go on with what operations have asked for; true where nothing else of the run may move."""
    return execution.state.operated.paused is not None


def _cancel(execution: RunContext, message: Message) -> Answer:
    state = execution.state
    if state.end is not None or state.unwinding is not None:
        return LATE
    error = {"detail": message.data.get("reason", ""), "by": message.sent_by}
    return Answer("cancel", then=lambda: execution.unwind(cause="cancelled", error=error))


def _pause(execution: RunContext, message: Message) -> Answer:
    if execution.state.end is not None or execution.state.operated.paused is not None:
        return LATE
    return Answer(TAKEN, then=lambda: _said(execution, "run.paused", message))


def _resume(execution: RunContext, message: Message) -> Answer:
    if execution.state.end is not None or execution.state.operated.paused is None:
        return LATE
    return Answer(TAKEN, then=lambda: _said(execution, "run.resumed", message))


def _said(execution: RunContext, kind: Literal["run.paused", "run.resumed"], message: Message) -> None:
    execution.emit(kind, by(message))


def by(message: Message) -> dict[str, Any]:
    """Who asked for it and why, as events of operations tell it."""
    return {"by": message.sent_by, "reason": message.data.get("reason", ""), "message_id": str(message.message_id)}


def _noted(execution: RunContext, message: Message) -> Answer:
    """What the sender has done itself, or only wants looked at: the message is its record."""
    del message
    return LATE if execution.state.end is not None else Answer(TAKEN)


OPERATIONS: Mapping[str, Callable[[RunContext, Message], Answer]] = {
    CANCEL: _cancel,
    PAUSE: _pause,
    RESUME: _resume,
    PRIORITY: _noted,
    WAKE: _noted,
}
