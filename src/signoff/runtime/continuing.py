"""Endless loops: a run that has turned long enough ends, and another goes on with its loop, in one transaction.

The new run has the same input and release, the ends of all steps outside the loop, and what the last turn gave. Its
journal begins anew, so that no journal grows for ever. What the old run completed is final: a run in which a completed
effect could still be undone does not continue as another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from signoff.core.actors import Actor
from signoff.core.errors import StepError
from signoff.core.ids import derived_id, uuid7
from signoff.core.labels import Labels
from signoff.core.schemas import validate
from signoff.foundation.database import Connection
from signoff.runtime.attributes import note_attributes
from signoff.runtime.calls import store
from signoff.runtime.client.beginning import Beginning, begin
from signoff.runtime.codec import PAYLOADS
from signoff.runtime.context import RunContext
from signoff.runtime.events import encode, moment
from signoff.runtime.handlers import Approval, Message
from signoff.runtime.journal import Entry, SoloWrite
from signoff.runtime.operated import SKIP
from signoff.runtime.paths import is_undo
from signoff.runtime.state import StepRecord

CONTINUED = "continued"
"""Outcome of a run that goes on as another."""


def may_continue(execution: RunContext, loop: str) -> bool:
    """Whether nothing but the loop is under way, and nothing is left that could have to be undone."""
    state = execution.state
    if state.unwinding is not None or list(state.open) != [loop]:
        return False
    return _undoable(execution) is None


def continued(
    execution: RunContext, loop: str, last: Mapping[str, Any], labels: Labels, *, turns: int, next_at: datetime | None
) -> bool:
    """End the run, and name the one that goes on with its loop; false where what it needs is too large."""
    state, facts, now = execution.state, execution.facts, execution.engine.clock.now()
    started_at = state.started_at
    assert started_at is not None
    before: Mapping[str, Any] = state.started.get("continued_from") or {}
    data: dict[str, Any] = {
        "run_id": str(uuid7(time_ms=int(now.timestamp() * 1000))),
        "loop": loop,
        "turns": turns,
        "continued_from": {
            "run_id": str(execution.run_id),
            "chain_id": str(facts.chain_id or execution.run_id),
            "chain_started_at": before.get("chain_started_at", started_at),
            "loop": loop,
            "last": last,
            "labels": labels.as_dict(),
            "turns": turns,
            "next_at": next_at,
            "ended": [_carried(record) for record in state.steps.values() if "/" not in record.path and record.state],
            "usage": state.usage.as_dict(),
        },
    }
    if len(encode({**state.started, **data})) > execution.engine.settings.event_bytes:
        return False
    if execution.workflow.attributes:
        note_attributes(execution)  # it may never have rested
    execution.emit("run.continued", data)
    execution.emit("run.ended", {"status": "done", "outcome": CONTINUED, "output": {"run_id": data["run_id"]}})
    return True


def begun_anew(execution: RunContext, value: Mapping[str, Any], labels: Labels) -> UUID:
    """Name the run that a workflow in Python goes on as, with another input and nothing of this run's past.

    Args:
        execution: the run; its code has returned, and nothing is under way.
        value: the new run's input.
        labels: of all that it may come from.

    Raises:
        StepError: kind `continue`, an effect of the run could still have to be undone; kind `arguments`, the input does
            not fit; kind `too_large`.
    """
    state, facts, now = execution.state, execution.facts, execution.engine.clock.now()
    if (path := _undoable(execution)) is not None:
        raise StepError(f"'{path}' could not be undone from a new run; end this one", kind="continue")
    problems = validate(execution.workflow.input_schema, value)
    if problems:
        raise StepError("The input to continue with does not fit the workflow", kind="arguments", problems=problems)
    before: Mapping[str, Any] = state.started.get("continued_from") or {}
    run_id = uuid7(time_ms=int(now.timestamp() * 1000))
    turns = before.get("turns", 0) + 1
    data: dict[str, Any] = {
        "run_id": str(run_id),
        "loop": "",
        "turns": turns,
        "input": value,
        "continued_from": {
            "run_id": str(execution.run_id),
            "chain_id": str(facts.chain_id or execution.run_id),
            "chain_started_at": before.get("chain_started_at", state.started_at),
            "loop": "",
            "labels": labels.as_dict(),
            "turns": turns,
            "next_at": None,
            "ended": [],
            "usage": state.usage.as_dict(),
        },
    }
    if len(encode({**state.started, **data})) > execution.engine.settings.event_bytes:
        raise StepError("the input to continue with is larger than an event may be", kind="too_large")
    execution.emit("run.continued", data)
    return run_id


def _undoable(execution: RunContext) -> str | None:
    """A completed effect that could still have to be taken back."""
    for path, record in execution.state.steps.items():
        done = record.state is not None and record.state.status == "done"
        if done and not is_undo(path) and execution.step(path).undo is not None:
            return path
    return None


def _carried(record: StepRecord) -> dict[str, Any]:
    state = record.state
    assert state is not None
    data: dict[str, Any] = {
        "step": record.path,
        "status": state.status,
        "result": state.result,
        "output": state.output,
        "labels": state.labels.as_dict(),
        "readable": state.readable,
        "review": state.is_review,
    }
    more = {"via": record.via, "error": record.error, "caught": record.caught or None}
    if isinstance(record.approval, Approval):
        more["approval"] = asdict(record.approval)
    return data | {name: value for name, value in more.items() if value is not None}


def continues_as(execution: RunContext, entry: Entry) -> SoloWrite | None:
    """What to write together with the end of a run that continues as another; none of any other."""
    told = execution.state.continued
    if told is None:
        return None
    facts, now = execution.facts, execution.engine.clock.now()
    started = {**execution.state.started, "continued_from": told["continued_from"]}
    if "input" in told:
        started["input"] = told["input"]
    started.pop("forked_from", None)  # nothing here is another run's past: what this one does is its own to undo
    run_id = UUID(told["run_id"])

    async def write(connection: Connection) -> None:
        # First, as a schedule that cancels its last run locks them in this order too.
        await connection.execute(store.SCHEDULE_MOVES, execution.run_id, run_id, facts.org_id)
        # Whoever sends to the run locks this row first: what came before goes to the new run, what comes after is told
        # that this one has ended.
        place = await connection.fetchrow(store.PLACE, execution.run_id)
        if place is None:
            return  # it was written before; the append finds that out
        entry.finish_gen = place["gen"]
        beginning = _beginning(facts.started_by, facts.release, run_id, started)
        beginning = replace(
            beginning,
            team=place["team"],
            priority=place["priority"],
            queue=place["queue"],
            queue_key=place["queue_key"],
            yields=place["yields"],
            start_at=moment(told["continued_from"]["next_at"]),
        )
        await begin(connection, beginning, now=now)
        await connection.execute(store.MESSAGES_MOVE, execution.run_id, run_id)
        await connection.execute(store.CALL_MOVES, execution.run_id, run_id)
        await connection.execute(store.SLOTS_MOVE, execution.run_id, run_id)
        await connection.execute(store.GENERATION_MOVES, run_id, place["gen"])
        told_again = [("", message) for message in _skips(execution, told["loop"])]
        again = [*told_again, *_early(execution, told["loop"])]
        for number, (path, message) in enumerate(again, -len(again)):
            packed = PAYLOADS.pack(encode(message.data))
            sent = (message.message_id, facts.org_id, run_id, path, message.kind, message.sent_by, now, packed, number)
            await connection.execute(store.TAKEN_BEFORE, *sent)

    return write


def _early(execution: RunContext, loop: str) -> list[tuple[str, Message]]:
    """Messages that came for steps which have not begun: the new run gets them, under the paths that it will have."""
    if not loop:
        return []  # what its code asks for later has other paths
    turns = len(execution.state.steps[loop].turns)
    found: list[tuple[str, Message]] = []
    for path, record in execution.state.steps.items():
        if record.attempt or record.state is not None:
            continue
        found += [(_renamed(path, loop, turns), message) for message in record.undelivered]
    return found


def _skips(execution: RunContext, loop: str) -> list[Message]:
    """Steps to come that somebody has skipped: the new run is told so, of the paths that they will have."""
    if not loop:
        return []
    turns = len(execution.state.steps[loop].turns)
    found: list[Message] = []
    for path, said in execution.state.operated.skips.items():
        place = _renamed(path, loop, turns)
        message_id = derived_id(execution.run_id, f"skip/{path}")
        found.append(Message(message_id, SKIP, said["by"], {"step": place, "reason": said["reason"]}))
    return found


def _renamed(path: str, loop: str, turns: int) -> str:
    """The path that a step of a later turn has in the run that goes on."""
    if not path.startswith(f"{loop}["):
        return path
    index, rest = path.removeprefix(f"{loop}[").split("]", 1)
    return f"{loop}[{int(index) - turns}]{rest}"


def _beginning(actor: Actor, release: str, run_id: UUID, started: Mapping[str, Any]) -> Beginning:
    return Beginning(
        run_id=run_id,
        org_id=actor.org_id,
        workflow=started["workflow"],
        version=started["version"],
        release=release,
        idempotency_key=None,
        request_digest="",
        started_by=str(actor),
        priority=5,
        started=started,
        team="",
        queue=None,
        queue_key=None,
        gate=None,
        yields=False,
        limits=None,
        start_at=None,
    )
