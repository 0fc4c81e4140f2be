"""What people see of queues and do to them. Every function takes part in the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from signoff.core.actors import Actor
from signoff.core.errors import ConflictError, NotFoundError
from signoff.foundation.database import Connection, Record
from signoff.runtime.queues import Queue, queue_path
from signoff.runtime.starting import store as starting_store
from signoff.runtime.starting.queue_states import store

COUNTED = 10_000
"""Runs that wait are counted no further."""
MOST_LABELS = 50
"""Teams, and keys, that are told of one queue."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue as it stands.

    Attributes:
        queue: its bounds, as the release in force declares them.
        declared: false where no release in force declares it any more: what waits in it may go.
        in_use: slots that runs hold; none where the queue does not bound runs at once.
        waiting: runs that wait in it now, counted up to `COUNTED`.
        waiting_since: since when the one waits that waits longest.
        tokens: runs that its rate lets begin now; none where it has no rate.
        next_token_at: when the next token comes, where there is none now.
    """

    project: str
    queue: Queue
    declared: bool
    in_use: int | None
    waiting: int
    waiting_since: datetime | None
    tokens: float | None
    next_token_at: datetime | None
    paused_at: datetime | None
    paused_by: str | None
    paused_reason: str | None


@dataclass(frozen=True, slots=True)
class Share:
    """What one team or key has of a queue: slots that its runs hold, and runs that wait."""

    label: str
    in_use: int
    waiting: int


async def list_queues(
    connection: Connection, org_id: UUID, environment: str, *, after: str, limit: int, now: datetime
) -> list[QueueState]:
    """The queues of an environment by project and name, after the path `project/name` given."""
    prefix = f"{environment}/"
    rows = await connection.fetch(store.LIST, org_id, prefix, now, prefix + after, limit, COUNTED)
    return [_state(row, prefix, now) for row in rows]


async def read_queue(
    connection: Connection, org_id: UUID, environment: str, project: str, name: str, *, now: datetime
) -> QueueState:
    """One queue.

    Raises:
        NotFoundError: there is none of that name.
    """
    prefix, path = f"{environment}/", queue_path(environment, project, name)
    row = await connection.fetchrow(store.READ, org_id, prefix, now, path, 1, COUNTED)
    if row is None:
        raise NotFoundError(f"There is no queue '{name}' of '{project}' in '{environment}'.")
    return _state(row, prefix, now)


async def read_shares(connection: Connection, org_id: UUID, path: str) -> tuple[list[Share], list[Share]]:
    """What teams and keys have of a queue, those with most runs waiting first."""
    bounds = (org_id, path, MOST_LABELS, COUNTED)
    teams = await connection.fetch(store.TEAMS, *bounds)
    keys = await connection.fetch(store.KEYS, *bounds)
    return [Share(*row) for row in teams], [Share(*row) for row in keys]


async def pause_queue(
    connection: Connection, org_id: UUID, path: str, *, actor: Actor, reason: str, now: datetime
) -> None:
    """Let nothing new begin until it is resumed. What has begun goes on.

    Raises:
        ConflictError: it is paused already.
    """
    if await connection.fetchval(store.PAUSE, org_id, path, now, str(actor), reason) is None:
        raise ConflictError("The queue is paused already.")


async def resume_queue(connection: Connection, org_id: UUID, path: str, *, now: datetime) -> None:
    """Let runs through again, as slots and tokens allow.

    Raises:
        ConflictError: it is not paused.
    """
    if await connection.fetchval(store.RESUME, org_id, path) is None:
        raise ConflictError("The queue is not paused.")
    await connection.execute(starting_store.TURN_EVERYTHING, org_id, path, now)


def _state(row: Record, prefix: str, now: datetime) -> QueueState:
    project, _, name = row["queue"].removeprefix(prefix).partition("/")
    queue = Queue.from_limits(name, orjson.loads(row["limits"]))
    rate, tokens, next_at = queue.whole.rate, None, None
    if rate is not None:
        tokens = rate.tokens(row["tokens"], row["filled_at"], now)
        next_at = rate.next_at(tokens, now)
    return QueueState(
        project=project,
        queue=queue,
        declared=row["declared"],
        in_use=None if queue.whole.concurrency is None else row["in_use"],
        waiting=row["waiting"],
        waiting_since=row["since"],
        tokens=tokens,
        next_token_at=next_at,
        paused_at=row["paused_at"],
        paused_by=row["paused_by"],
        paused_reason=row["paused_reason"],
    )
