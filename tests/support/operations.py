"""Ask for operations on runs as the API does, and read what they left in the journal."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from support.engine import ACTOR, journal

from signoff.core.clock import SystemClock
from signoff.foundation.database import Database
from signoff.runtime.client.operations import Asked, Operation, operate
from signoff.runtime.handlers import Done, StepCall, Waiting


async def do(database: Database, run_id: UUID, name: str, **more: Any) -> Asked:
    """An operation, asked for as the API does."""
    reason = more.pop("reason", "because")
    operation = Operation(name, reason, **more)  # pyright: ignore[reportArgumentType]  (tests name it as text)
    async with database.transaction(ACTOR.org_id) as connection:
        return await operate(connection, ACTOR, run_id, operation, now=SystemClock().now())


async def told(database: Database, run_id: UUID, kind: str) -> list[dict[str, Any]]:
    """The data of all events of a kind."""
    return [dict(event.data) for event in await journal(database, run_id) if event.kind == kind]


async def has(database: Database, run_id: UUID, kind: str) -> bool:
    """Whether the journal has an event of that kind."""
    return bool(await told(database, run_id, kind))


async def received(database: Database, run_id: UUID, kind: str) -> bool:
    """Whether a message of that kind was taken out of the inbox."""
    return any(data["kind"] == kind for data in await told(database, run_id, "message.received"))


def ask(call: StepCall) -> Waiting:
    """A tool that waits for a person."""
    return Waiting("review", None, {}, "somebody decides")


def done(call: StepCall) -> Done:
    """A tool that answers at once."""
    return Done({"n": 1})
