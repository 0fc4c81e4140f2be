"""What people do to a run that is under way or ended: one function per kind of message to the run itself (path "").

Each says what becomes of the message (`Answer`), and what it does to the run once the message is in the journal. The
sender was told what could be known then; here is decided what really happens, since the run may have moved meanwhile. A
message that changes nothing any more is `late`; one that cannot be done is `refused`, with the reason in the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from signoff.core.errors import SignoffError
from signoff.foundation.database import Connection
from signoff.runtime.client.store import SHOW_RELEASE
from signoff.runtime.context import RunContext
from signoff.runtime.cutting_off import terminating
from signoff.runtime.handlers import Message
from signoff.runtime.journal import SoloWrite
from signoff.runtime.operated import SKIP, TAKEN
from signoff.runtime.reopening import Reopening, reopening
from signoff.runtime.state import FALLBACK, UNDO_FAILED, RunState, StepRecord

CANCEL = "run.cancel"
TERMINATE = "run.terminate"
PAUSE = "run.pause"
RESUME = "run.resume"
RETRY = "run.retry"
MIGRATE = "run.migrate"
PRIORITY = "run.priority"
WAKE = "run.wake"
SELF = "system/engine"
"""Who does what nobody asked for."""

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


def _terminate(execution: RunContext, message: Message) -> Answer:
    state = execution.state
    if state.end is not None or terminating(state):
        return LATE
    error = {"detail": message.data.get("reason", ""), "by": message.sent_by}
    data = {"cause": "terminated", "error": error}
    return Answer(TAKEN, then=lambda: _unwind(execution, data))


def _unwind(execution: RunContext, data: Mapping[str, Any]) -> None:
    execution.emit("run.unwinding", data)  # also where it unwinds already: then it stops doing that


def _skip(execution: RunContext, message: Message) -> Answer:
    state, path = execution.state, message.data.get("step")
    if state.end is not None or state.unwinding is not None:
        return LATE
    record = state.steps.get(path) if isinstance(path, str) else None
    if not isinstance(path, str) or (record is None and not execution.program.expects(path)):
        return Answer("refused", f"there is no step '{path}' that could still come")
    if record is not None and record.state is not None:
        return LATE
    reason = _not_to_be_skipped(execution, path)
    # The fold keeps what is taken, so that the step is skipped after a crash too.
    return Answer(TAKEN) if reason is None else Answer("refused", reason)


def _not_to_be_skipped(execution: RunContext, path: str) -> str | None:
    record = execution.state.open.get(path)
    if record is None:
        return None
    if record.in_doubt:
        return "its effect is in doubt: only what became of it can end it"
    step = execution.step(path)
    if step.is_group:
        return "it is a group under way: skip the steps in it"
    if record.waiting is not None and record.waiting.kind == FALLBACK:
        return "its 'on_error' steps run in its place: skip those"
    if step.verb == "call" and path not in execution.tasks:
        return "it waits for the run that it started: cancel or terminate that one"
    return None


def _retry(execution: RunContext, message: Message) -> Answer:
    state = execution.state
    if state.end is not None:
        return _reopen(execution, message)
    if message.data.get("from") is not None:
        return Answer("refused", "it has not ended; only after its end can it begin again with a step")
    again = [record for record in state.steps.values() if may_retry_now(record)]
    if not again:
        return LATE
    return Answer(TAKEN, then=lambda: _try_now(execution, again, message))


def may_retry_now(record: StepRecord) -> bool:
    """Whether a step waits only for its next try, or for a person's word that an undo may be tried again."""
    if record.state is not None:
        return False
    undo_failed = record.waiting is not None and record.waiting.kind == UNDO_FAILED
    return record.retry_at is not None or undo_failed


def _try_now(execution: RunContext, records: list[StepRecord], message: Message) -> None:
    for record in records:
        data = {
            "step": record.path,
            "attempt": record.attempt,
            "error": record.error or {"kind": "retry", "detail": "tried again"},
            "retry_at": execution.engine.clock.now(),
            "in_doubt": record.in_doubt,
            "by": message.sent_by,
        }
        execution.emit("step.retrying", data)


def _reopen(execution: RunContext, message: Message) -> Answer:
    state, data = execution.state, message.data
    assert state.end is not None
    if state.continued is not None:
        return Answer("refused", f"it goes on as run {state.continued['run_id']}: retry that one")
    if state.end["status"] == "done":
        return Answer("refused", "it is done: fork it to try something else")
    try:
        found = reopening(execution.workflow, state, data.get("from"))
    except SignoffError as error:
        return Answer("refused", error.detail)
    return Answer(TAKEN, then=lambda: _reopened(execution, message, found))


def _reopened(execution: RunContext, message: Message, found: Reopening) -> None:
    execution.emit("run.reopened", {**by(message), **found.told(), "from": message.data.get("from")})
    if message.data.get("pause"):
        execution.emit("run.paused", by(message))
    execution.stale = True


def _migrate(execution: RunContext, message: Message) -> Answer:
    state, data = execution.state, message.data
    if state.end is not None or state.unwinding is not None:
        return LATE
    if execution.tasks or moved_on(state, data):
        return Answer("refused", "it has moved on since it was compared with that release: compare again")
    return Answer(TAKEN, then=lambda: _migrated(execution, message))


def moved_on(state: RunState, data: Mapping[str, Any]) -> bool:
    """Whether more than the message that says so came into the journal since a release was found to fit."""
    return state.last_seq != data.get("compared_at")


def migrated(message: Message, state: RunState) -> dict[str, Any]:
    """The event that tells of the move."""
    names = ("release", "version", "workflow_digest", "differs")
    return {
        **by(message),
        **{name: message.data.get(name) for name in names},
        "from": {name: state.started[name] for name in ("release", "version", "workflow_digest")},
    }


def _migrated(execution: RunContext, message: Message) -> None:
    data = migrated(message, execution.state)
    execution.emit("run.migrated", data)
    execution.stale = True
    entry = execution.take_buffer()
    entry.solo = shown_release(execution.run_id, data)
    execution.engine.journal.submit(entry)


def shown_release(run_id: UUID, data: Mapping[str, Any]) -> SoloWrite:
    """Lets lists show the release that a run was moved to, in the transaction that journals the move."""

    async def show(connection: Connection) -> None:
        await connection.execute(SHOW_RELEASE, run_id, data["release"], data["version"])

    return show


def taken_back(state: RunState, detail: str, step: str) -> dict[str, Any] | None:
    """The event that undoes a move, where it was the last thing to happen; none where it was not, or was one back.

    Args:
        state: of the run.
        detail: why the run cannot go on under the release that it was moved to.
        step: which step differs, where one does.
    """
    move = state.operated.release
    if move is None or state.operated.moved_seq != state.last_seq or move["by"] == SELF:
        return None
    return {
        "by": SELF,
        "reason": f"taken back: {detail}",
        **move["from"],
        "differs": [{"step": step, "what": detail, "begun": True}],
        "from": {name: state.started[name] for name in ("release", "version", "workflow_digest")},
    }


OPERATIONS: Mapping[str, Callable[[RunContext, Message], Answer]] = {
    CANCEL: _cancel,
    TERMINATE: _terminate,
    PAUSE: _pause,
    RESUME: _resume,
    RETRY: _retry,
    SKIP: _skip,
    MIGRATE: _migrate,
    PRIORITY: _noted,
    WAKE: _noted,
}
