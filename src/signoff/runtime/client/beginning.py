"""What a start leaves in the database: a run, or something that becomes one once its key is quiet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

import orjson

from signoff.core.errors import InvalidError, Problem
from signoff.foundation.database import Connection, DatabaseError
from signoff.runtime.artifacts import keep, split
from signoff.runtime.attribute_values import given_attributes, rows_of, words_in
from signoff.runtime.client import store
from signoff.runtime.client.model import RunStarted, RunSummary, StartRequest
from signoff.runtime.codec import PAYLOADS
from signoff.runtime.partitions import missing_partition
from signoff.runtime.settings import StartLimits


@dataclass(frozen=True, slots=True)
class Beginning:
    """The rows of a run that begins, as plain data."""

    run_id: UUID
    org_id: UUID
    workflow: str
    version: str
    release: str
    idempotency_key: str | None
    request_digest: str
    started_by: str
    priority: int
    started: Mapping[str, Any]
    team: str
    queue: str | None
    queue_key: str | None
    gate: str | None
    yields: bool
    limits: Mapping[str, Any] | None
    start_at: datetime | None
    environment: str | None = None

    @classmethod
    def of(cls, request: StartRequest, run_id: UUID, request_digest: str, *, now: datetime) -> Self:
        """The rows of a request; a time that is over is none."""
        workflow, place = request.workflow, request.place
        start_at = request.start_at if request.start_at is not None and request.start_at > now else None
        started: dict[str, Any] = {
            "workflow": workflow.name,
            "version": workflow.version,
            "workflow_digest": workflow.digest,
            "release": request.release,
            "started_by": request.actor.as_dict(),
            "input": request.input,
            "decision": request.decision,
        }
        told = {
            "team": request.team or None,
            "queue": None if place is None else place.path,
            "queue_key": None if place is None else place.key,
            "start_at": start_at,
        }
        started |= {name: value for name, value in told.items() if value is not None}
        if request.attributes:
            started["attributes"] = given_attributes(request.attributes)
        return cls(
            run_id=run_id,
            org_id=request.actor.org_id,
            workflow=workflow.name,
            version=workflow.version,
            release=request.release,
            idempotency_key=request.idempotency_key,
            request_digest=request_digest,
            started_by=str(request.actor),
            priority=request.priority,
            started=started,
            team=request.team,
            queue=None if place is None else place.path,
            queue_key=None if place is None else place.key,
            gate=None if place is None else place.gate,
            yields=place is not None and place.queue.release_while_waiting,
            limits=None if place is None else place.queue.limits(),
            start_at=start_at,
            environment=request.environment,
        )

    @classmethod
    def read(cls, request: bytes, run_id: UUID, org_id: UUID) -> Self:
        """What `written` wrote, for the run that the first start of its key was given."""
        data: dict[str, Any] = orjson.loads(request)
        data.update(run_id=run_id, org_id=org_id, start_at=None)
        return cls(**data)

    def summary(self, started_at: datetime) -> RunSummary:
        """The run that it will be, as lists would show it before anything has happened."""
        place = (self.run_id, self.workflow, self.version, self.release, "queued", None)
        return RunSummary(*place, (), None, {}, self.started_by, started_at, started_at, None)

    def written(self) -> bytes:
        """The rows for `start_debounced`."""
        return orjson.dumps(asdict(self), default=str)  # the driver's UUIDs are of a type of their own


async def begin(connection: Connection, beginning: Beginning, *, now: datetime) -> bool:
    """Insert a run; false where its idempotency key started another before."""
    if beginning.queue is not None and beginning.limits is not None:
        limits = orjson.dumps(beginning.limits).decode()
        await connection.execute(store.ENSURE_QUEUE, beginning.org_id, beginning.queue, limits)
    started, contents = split(beginning.started)
    try:
        found = await connection.fetchval(
            store.START,
            beginning.run_id,
            beginning.org_id,
            beginning.workflow,
            beginning.version,
            beginning.release,
            beginning.idempotency_key,
            beginning.request_digest,
            beginning.started_by,
            now,
            beginning.priority,
            PAYLOADS.pack(started),
            beginning.team,
            beginning.queue,
            beginning.queue_key,
            beginning.gate,
            beginning.yields,
            beginning.start_at,
            beginning.environment,
            _origin(beginning.started),
        )
    except DatabaseError as error:
        problem = missing_partition(error, beginning.run_id)
        if problem is None:
            raise
        raise problem from error
    if found is None:
        return False
    if contents:
        await keep(connection, beginning.org_id, beginning.run_id, contents, now)
    rows = rows_of(beginning.started.get("attributes") or {})
    for name, row in rows.items():
        await connection.execute(store.ATTRIBUTE, beginning.org_id, beginning.run_id, name, *row)
    if rows:
        await connection.execute(store.WORDS, beginning.org_id, beginning.run_id, list(words_in(rows)))
    return True


def _origin(started: Mapping[str, Any]) -> UUID | None:
    """The run that called it, or went on as it. A fork has a past that is not its own."""
    before = None if "forked_from" in started else started.get("parent") or started.get("continued_from")
    return None if before is None else UUID(str(before["run_id"]))


async def first_of_window(connection: Connection, request: StartRequest, run_id: UUID, *, now: datetime) -> UUID:
    """The run of the key's window: this one where it is the first, else the one that was."""
    from_now = request.deduplicate
    assert from_now is not None
    scope = (request.actor.org_id, request.project, request.workflow.name, from_now.key)
    until = now + timedelta(seconds=from_now.window_s)
    first = await connection.fetchval(store.DEDUPLICATE, *scope, run_id, until, now)
    return first or await connection.fetchval(store.DEDUPLICATED, *scope)


async def debounce(connection: Connection, request: StartRequest, beginning: Beginning, *, now: datetime) -> RunStarted:
    """Keep what the run will begin with, in place of what an earlier start of the key left."""
    wanted = request.debounce
    assert wanted is not None
    row = await connection.fetchrow(
        store.DEBOUNCE,
        request.actor.org_id,
        request.project,
        request.workflow.name,
        wanted.key,
        beginning.run_id,
        now,
        wanted.quiet_s,
        wanted.max_wait_s,
        beginning.written(),
    )
    assert row is not None
    return RunStarted(row["run_id"], created=row["starts"] == 1, starts_at=row["due_at"])


def check_options(request: StartRequest, *, now: datetime, limits: StartLimits) -> None:
    """What can be asked of a start, within its limits.

    Raises:
        InvalidError: with one problem each.
    """
    problems: list[Problem] = []

    def text(name: str, value: str | None, most: int) -> None:
        if value is not None and (not 0 < len(value) <= most or "\0" in value):
            problems.append(Problem(f"'{name}' has 1 to {most} characters, none of them NUL", pointer=f"/{name}"))

    def seconds(name: str, value: float, most_s: float) -> None:
        if not 0 < value <= most_s:
            problems.append(Problem(f"'{name}' is above 0 and at most {most_s:g} seconds", pointer=f"/{name}"))

    text("idempotency_key", request.idempotency_key, limits.idempotency_key_chars)
    text("team", request.team or None, limits.name_chars)
    text("queue_key", None if request.place is None else request.place.key, limits.idempotency_key_chars)
    once = {
        "idempotency_key": request.idempotency_key,
        "deduplicate": request.deduplicate,
        "debounce": request.debounce,
    }
    given = [name for name, value in once.items() if value is not None]
    if len(given) > 1:
        problems.append(Problem(f"a start has one of {' and '.join(given)}", pointer=f"/{given[-1]}"))
    if request.deduplicate is not None:
        text("deduplicate/key", request.deduplicate.key, limits.idempotency_key_chars)
        seconds("deduplicate/window", request.deduplicate.window_s, limits.window_s)
    if request.debounce is not None:
        text("debounce/key", request.debounce.key, limits.idempotency_key_chars)
        seconds("debounce/quiet", request.debounce.quiet_s, limits.quiet_s)
        seconds("debounce/max_wait", request.debounce.max_wait_s, limits.max_wait_s)
        if request.start_at is not None:
            problems.append(Problem("a debounced start has no time of its own", pointer="/start_at"))
    if request.start_at is not None:
        delay_s = (request.start_at - now).total_seconds()
        if delay_s > limits.delay_s:
            problems.append(Problem(f"it may start at most {limits.delay_s:g} seconds from now", pointer="/start_at"))
    if problems:
        raise InvalidError("; ".join(problem.detail for problem in problems), problems=problems)
