"""Operate runs that are under way or ended: cancel, terminate, pause, resume, retry, skip a step, change priority.

Each is a message to the run itself, taken by whichever worker has the run: journaled with who asked and why, lost by no
crash, and taken once. What is plainly impossible is refused here; the worker decides again, as the run may have moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson

from signoff.core.actors import Actor
from signoff.core.errors import ConflictError, InvalidError, Problem
from signoff.core.ids import derived_id, uuid7
from signoff.foundation.database import Connection
from signoff.runtime.client import store
from signoff.runtime.client.reads import read_run, read_state
from signoff.runtime.client.writes import RUN_PATH, send_message
from signoff.runtime.queues import Queue, QueuePlace
from signoff.runtime.state import UNDO_FAILED, RunState

OperationName = Literal["cancel", "terminate", "pause", "resume", "retry", "skip", "priority"]
ENDED = frozenset(("done", "failed", "cancelled", "terminated"))
REOPENABLE = ENDED - {"done"}
STUCK = "stuck"
DEFAULT_PRIORITY = 5

MOST_FOLLOWED = 20
"""Runs of a loop that are looked through, one after the other, for the one that goes on."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What to do to a run.

    Attributes:
        name: which operation.
        reason: why; it goes into the journal. A skip needs one.
        step: of `skip`: which step; of `retry`: a step that ended, to begin again with.
        pause: of `retry`: the run is paused as soon as it is open again, so that steps can be skipped first.
        priority: of `priority`, from 1 (first) to 9.
        key: the same key does it once, however often it is asked.
    """

    name: OperationName
    reason: str = ""
    step: str | None = None
    pause: bool = False
    priority: int | None = None
    key: str | None = None

    def data(self) -> dict[str, Any]:
        """What the message says."""
        said: dict[str, Any] = {"reason": self.reason}
        if self.name == "skip":
            said["step"] = self.step
        elif self.name == "retry":
            said |= {"from": self.step, "pause": self.pause}
        elif self.name == "priority":
            said["priority"] = self.priority
        return said


@dataclass(frozen=True, slots=True)
class Asked:
    """An operation that was asked for, now or, where `again`, earlier with the same key."""

    message_id: UUID
    again: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """An operation that nothing rules out now.

    Attributes:
        again: it was asked for before, with the same key.
        status: of the run.
        started: what the run started with, where it may have to go back into the queue.
    """

    message_id: UUID
    again: bool
    status: str
    started: Mapping[str, Any] = field(default_factory=dict[str, Any])


async def check(connection: Connection, actor: Actor, run_id: UUID, operation: Operation, *, now: datetime) -> Checked:
    """Whether an operation can be asked for.

    Raises:
        NotFoundError: no such run in the actor's organisation.
        ConflictError: the run's status rules it out.
        InvalidError: the operation misses what it needs.
    """
    _check(operation)
    message_id = message_id_of(run_id, operation.key, now)
    run = await read_run(connection, actor.org_id, run_id)
    started: Mapping[str, Any] = {}
    if operation.name == "retry" and run.status == STUCK:
        return _looked_at_again(operation, message_id)
    if operation.name in ("retry", "skip") or (operation.key is not None and run.status in ENDED):
        state = await read_state(connection, actor.org_id, run_id)
        if message_id in state.messages:
            return Checked(message_id, True, run.status)
        if operation.name in ("retry", "skip"):
            _check_steps(operation, state)
        started = state.started
    if operation.name != "retry" and run.status in ENDED:
        detail = f"run {run_id} has ended ({run.status})"
        if run.outcome == "continued":
            detail = f"{detail} and goes on as run {await _goes_on_as(connection, actor.org_id, run_id)}: name that one"
        raise ConflictError(detail, status_of_run=run.status)
    return Checked(message_id, False, run.status, started)


def _looked_at_again(operation: Operation, message_id: UUID) -> Checked:
    """A retry of a run that cannot be loaded has it looked at now. Its journal may be what cannot be read: nobody does.

    Raises:
        ConflictError: more is asked for than a run does that is not loaded.
    """
    if operation.step is not None or operation.pause:
        detail = "The run cannot be loaded. Retry it without a step and without 'pause': it is looked at again at once."
        raise ConflictError(detail, status_of_run=STUCK)
    return Checked(message_id, False, STUCK)


async def _goes_on_as(connection: Connection, org_id: UUID, run_id: UUID) -> UUID:
    """The run that a loop has come to, or one a few turns before it where it has turned more often since."""
    for _ in range(MOST_FOLLOWED):
        continued = (await read_state(connection, org_id, run_id)).continued
        if continued is None:
            break
        run_id = UUID(continued["run_id"])
    return run_id


async def operate(connection: Connection, actor: Actor, run_id: UUID, operation: Operation, *, now: datetime) -> Asked:
    """Ask for an operation, in the caller's transaction.

    Raises:
        NotFoundError: no such run in the actor's organisation.
        ConflictError: the run's status rules it out.
        InvalidError: the operation misses what it needs.
    """
    checked = await check(connection, actor, run_id, operation, now=now)
    if checked.again:
        return Asked(checked.message_id, again=True)
    if operation.name == "retry" and checked.status in REOPENABLE:
        priority = operation.priority or DEFAULT_PRIORITY
        place = await _place(connection, actor.org_id, checked.started)
        await connection.fetchval(store.REVIVE, actor.org_id, run_id, now, priority, *place)
    elif operation.name == "priority":
        await connection.fetchval(store.PRIORITISE, actor.org_id, run_id, operation.priority)
    name = "wake" if operation.name == "retry" and checked.status == STUCK else operation.name
    await send_message(
        connection,
        org_id=actor.org_id,
        run_id=run_id,
        path=RUN_PATH,
        kind=f"run.{name}",
        data=operation.data(),
        sent_by=str(actor),
        now=now,
        message_id=checked.message_id,
    )
    return Asked(checked.message_id)


async def _place(connection: Connection, org_id: UUID, started: Mapping[str, Any]) -> tuple[object, ...]:
    """Team, queue, key, gate and whether it yields: where a run queues that goes on, by today's bounds."""
    team, path, key = started.get("team") or "", started.get("queue"), started.get("queue_key")
    limits = None if path is None else await connection.fetchval(store.QUEUE_LIMITS, org_id, path)
    if path is None or limits is None:
        return team, None, None, None, False
    place = QueuePlace(Queue.from_limits(path, orjson.loads(limits)), path, key)
    return team, path, key, place.gate, place.queue.release_while_waiting


def message_id_of(run_id: UUID, key: str | None, now: datetime) -> UUID:
    """The id of a message to a run: of the same key always the same."""
    if key is None:
        return uuid7(time_ms=int(now.timestamp() * 1000))
    return derived_id(run_id, f"operation/{key}")


def _check(operation: Operation) -> None:
    wanted: Mapping[str, tuple[object, str]] = {
        "skip": (operation.step and operation.reason, "a skip names the step and says why"),
        "priority": (operation.priority, "which priority, from 1 to 9?"),
    }
    value, detail = wanted.get(operation.name, (True, ""))
    if not value:
        raise InvalidError(detail, problems=[Problem(detail, pointer="/reason", code="missing")])


def _check_steps(operation: Operation, state: RunState) -> None:
    if operation.name == "skip":
        _check_skip(str(operation.step), state)
    elif state.end is not None:
        if state.continued is not None:
            raise ConflictError(f"The run goes on as run {state.continued['run_id']}: retry that one.")
        if state.end["status"] == "done":
            raise ConflictError("The run is done; there is nothing to retry. Fork it to try something else.")
    elif not may_retry_now(state):
        detail = "Nothing in the run waits for another try, and it has not ended: there is nothing to retry."
        raise ConflictError(detail)


def may_retry_now(state: RunState) -> list[str]:
    """Steps that wait only for their next try, or for a person to say that an undo may be tried again."""
    return [
        record.path
        for record in state.steps.values()
        if record.state is None
        and (record.retry_at is not None or (record.waiting is not None and record.waiting.kind == UNDO_FAILED))
    ]


def _check_skip(path: str, state: RunState) -> None:
    record = state.steps.get(path)
    if state.end is not None or state.unwinding is not None:
        detail = "The run has ended, or is ending: retry it, with 'pause', and skip the step then."
        raise ConflictError(detail)
    if record is None:
        return  # it may be to come, as only the workflow can say
    if record.state is not None:
        raise ConflictError(f"Step '{path}' has ended ({record.state.status}).")
    if record.in_doubt:
        raise ConflictError(
            f"The effect of step '{path}' is in doubt. Say what became of it, with the signal effect.resolution."
        )
