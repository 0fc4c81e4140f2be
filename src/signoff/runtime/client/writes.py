"""Start a run, send it something, cancel it. Every function takes part in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from signoff.core.actors import Actor
from signoff.core.errors import ConflictError, InvalidError, LimitError, NotFoundError, Problem
from signoff.core.ids import digest, uuid7
from signoff.foundation.database import Connection, Record
from signoff.runtime.client import store
from signoff.runtime.client.beginning import Beginning, begin, check_options, debounce, first_of_window
from signoff.runtime.client.model import RunStarted, StartRequest
from signoff.runtime.codec import PAYLOADS
from signoff.runtime.events import encode
from signoff.runtime.settings import StartLimits

RUN_PATH = ""  # messages to the run itself rather than to one of its steps
TERMINATE = "run.terminate"
ENDING = frozenset(("run.cancel", TERMINATE))  # what a run that has not begun need not wait for its turn for

DEFAULT_LIMITS = StartLimits()


async def start_run(
    connection: Connection, request: StartRequest, *, now: datetime, limits: StartLimits = DEFAULT_LIMITS
) -> RunStarted:
    """Start a run, or find the one that the same key started.

    Raises:
        ConflictError: the key was used for another project, workflow or input.
        LimitError: the input is larger than `limits.input_bytes`.
        InvalidError: a key is too long, a time too far away, or two keys are given that exclude each other.
    """
    actor = request.actor
    check_options(request, now=now, limits=limits)
    request_digest = _request_digest(request.project, request.workflow.name, request.input, limits)
    run_id = uuid7(time_ms=int(now.timestamp() * 1000))
    beginning = Beginning.of(request, run_id, request_digest, now=now)
    if request.debounce is not None:
        return await debounce(connection, request, beginning, now=now)
    if request.deduplicate is not None:
        first = await first_of_window(connection, request, run_id, now=now)
        if first != run_id:
            return RunStarted(first, created=False)
    if await begin(connection, beginning, now=now):
        ready = beginning.gate is None and beginning.start_at is None
        return RunStarted(run_id, created=True, starts_at=beginning.start_at, ready=ready)
    earlier = await connection.fetchrow(store.BY_KEY, actor.org_id, request.idempotency_key)
    assert earlier is not None
    return _same_request(earlier, request.idempotency_key, request_digest)


async def find_started(
    connection: Connection,
    actor: Actor,
    idempotency_key: str,
    *,
    project: str,
    workflow: str,
    value: Mapping[str, Any],
    limits: StartLimits = DEFAULT_LIMITS,
) -> RunStarted | None:
    """The run that the same actor started earlier by the same request; none where this key did not.

    What is deployed today says nothing of it: a retry gives the same run after any deploy. Whoever else uses the key
    gets no answer here, so that nothing is told of a run before policy was asked.

    Raises:
        ConflictError: the key was used for another project, workflow or input.
        LimitError: the input is larger than `limits.input_bytes`.
        InvalidError: the input is not plain JSON data.
    """
    request_digest = _request_digest(project, workflow, value, limits)
    earlier = await connection.fetchrow(store.BY_KEY, actor.org_id, idempotency_key)
    if earlier is None or earlier["started_by"] != str(actor):
        return None
    return _same_request(earlier, idempotency_key, request_digest)


async def send_message(
    connection: Connection,
    *,
    org_id: UUID,
    run_id: UUID,
    path: str,
    kind: str,
    data: Mapping[str, Any],
    sent_by: str,
    now: datetime,
    message_id: UUID | None = None,
    limits: StartLimits = DEFAULT_LIMITS,
) -> UUID:
    """Put a message into a run's inbox; a second one with the same id changes nothing. Returns its id.

    It may come before the step waits (it is kept), or after the step has ended (it is recorded as late).

    Raises:
        NotFoundError: no such run in that organisation.
        ConflictError: the run has ended.
        LimitError: the data is too large, or the inbox is full.
        InvalidError: path, kind or sender are too long, or hold a character that PostgreSQL's text cannot.
    """
    for name, text in (("path", path), ("kind", kind), ("sent_by", sent_by)):
        if len(text) > limits.name_chars or "\0" in text:
            detail = f"at most {limits.name_chars} characters, none of them NUL"
            raise InvalidError(f"{name}: {detail}", problems=[Problem(detail, pointer=f"/{name}")])
    encoded = _bounded(data, limits.message_bytes, "the message")
    bump = store.BUMP_TO_TERMINATE if path == RUN_PATH and kind == TERMINATE else store.BUMP
    if await connection.fetchval(bump, org_id, run_id, now, path == RUN_PATH and kind in ENDING) is None:
        status = await connection.fetchval(store.EXISTS, org_id, run_id)
        if status is None:
            raise NotFoundError(f"there is no run {run_id}")
        raise ConflictError(f"run {run_id} has ended ({status})", status_of_run=status)
    room = _room(path, kind, limits)
    if await connection.fetchval(store.INBOX_SIZE, run_id) >= room:
        raise LimitError(f"{room} messages already wait for run {run_id}")
    identity = message_id or uuid7(time_ms=int(now.timestamp() * 1000))
    await connection.execute(store.SEND, identity, org_id, run_id, path, kind, sent_by, now, PAYLOADS.pack(encoded))
    return identity


def _room(path: str, kind: str, limits: StartLimits) -> int:
    """How full an inbox may be for such a message: no flood of signals, or of wishes, keeps a run from ending."""
    if path != RUN_PATH:
        return limits.inbox_messages
    return limits.inbox_messages + limits.operation_messages * (2 if kind in ENDING else 1)


async def cancel_run(connection: Connection, *, actor: Actor, run_id: UUID, reason: str, now: datetime) -> None:
    """Ask a run to cancel: nothing new starts, effects under way settle, compensations run in reverse.

    Raises:
        NotFoundError: no such run in the actor's organisation.
        ConflictError: the run has ended.
    """
    await send_message(
        connection,
        org_id=actor.org_id,
        run_id=run_id,
        path=RUN_PATH,
        kind="run.cancel",
        data={"reason": reason},
        sent_by=str(actor),
        now=now,
    )


def _request_digest(project: str, workflow: str, value: Mapping[str, Any], limits: StartLimits) -> str:
    encoded = _bounded(value, limits.input_bytes, "the input")
    # Of the same JSON whatever the order of its members: a client that builds its request anew may change that.
    canonical = orjson.dumps(orjson.loads(encoded), option=orjson.OPT_SORT_KEYS)
    return digest(b"\0".join((project.encode(), workflow.encode(), canonical)))


def _same_request(earlier: Record, key: str | None, request_digest: str) -> RunStarted:
    if earlier["request_digest"] != request_digest:
        raise ConflictError(
            f"idempotency key '{key}' started run {earlier['run_id']} with another project, workflow or input; use a"
            " new key for a new request",
            run_id=str(earlier["run_id"]),
        )
    return RunStarted(earlier["run_id"], created=False)


def _bounded(data: Mapping[str, Any], size_bytes: int, what: str) -> bytes:
    try:
        encoded = encode(data)
    except TypeError as error:
        raise InvalidError(f"{what} is not plain JSON data: {error}") from error
    if len(encoded) > size_bytes:
        raise LimitError(f"{what} has {len(encoded)} bytes; at most {size_bytes} are taken", size_bytes=len(encoded))
    return encoded
