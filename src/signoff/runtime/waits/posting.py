"""Take an event: file it, and give it to every step that waits for it, in one transaction."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from uuid import UUID

import orjson

from signoff.core.errors import InvalidError, LimitError, Problem
from signoff.foundation.database import Connection
from signoff.runtime.codec import PAYLOADS
from signoff.runtime.events import encode
from signoff.runtime.waits import store
from signoff.runtime.waits.model import EventLimits, IncomingEvent, Posted, digests_of

EVENT = "event"
"""Kind of the message that brings an event to a waiting step."""

SENDER = "system/events"
OWN_SOURCES = "signoff:"
"""What the sources of events begin with that runs emit; nobody else may use it."""

DEFAULT_LIMITS = EventLimits()
_MESSAGES = UUID("5f0c2c3e-1c35-5c4e-9d0b-0d2d1f5f6a01")


async def post_event(
    connection: Connection, event: IncomingEvent, *, now: datetime, limits: EventLimits = DEFAULT_LIMITS
) -> Posted:
    """Take an event. Every run that waits for it gets it; it is kept besides, for waits that open later.

    Raises:
        InvalidError: an id, source or type is empty, too long or one of ours, or the data is no JSON data.
        LimitError: the data is too large, or too many events are kept.
    """
    encoded = _checked(event, limits)
    org_id, emission = event.org_id, event.emission
    await connection.execute(store.EXPIRE, org_id, now)
    await connection.execute(store.LOCK_TYPE_SHARED, org_id, event.type)
    expires_at = now + timedelta(seconds=limits.kept_s)
    event_no = await connection.fetchval(
        store.RECEIVE,
        org_id,
        event.source,
        event.event_id,
        event.type,
        event.sent_by,
        list(event.projects),
        now,
        expires_at,
        PAYLOADS.pack(encoded),
        None if emission is None else orjson.dumps(emission.labels.as_dict()).decode(),
    )
    if event_no is None:
        return Posted(created=False)
    if emission is not None:
        taken = ([emission.chain_id], [emission.run_id], [emission.path])
        await connection.execute(store.TAKE, org_id, *taken, event_no)
    elif await connection.fetchval(store.KEPT, org_id, limits.kept_events + 1) > limits.kept_events:
        raise LimitError(f"{limits.kept_events} events are kept already; the oldest goes after {limits.kept_s:g} s")
    shapes = [row["fields"] for row in await connection.fetch(store.SHAPES, org_id, event.type)]
    digests = digests_of(event.data, shapes)
    if not digests:
        return Posted(created=True)
    await connection.execute(store.LOCK_DIGESTS, org_id, event.type, digests)
    await connection.execute(store.FILE, org_id, event.type, digests, [event_no] * len(digests))
    return await _deliver(connection, event, event_no, digests, now)


async def _deliver(
    connection: Connection, event: IncomingEvent, event_no: int, digests: list[str], now: datetime
) -> Posted:
    org_id = event.org_id
    own = None if event.emission is None else event.emission.chain_id
    waits = await connection.fetch(store.CLOSE_MATCHING, org_id, event.type, digests, list(event.projects), own)
    if not waits:
        return Posted(created=True)
    alive = {
        row["run_id"] for row in await connection.fetch(store.BUMP, org_id, list({row["run_id"] for row in waits}), now)
    }
    waits = [row for row in waits if row["run_id"] in alive]
    if not waits:
        return Posted(created=True)
    runs, paths = [row["run_id"] for row in waits], [row["path"] for row in waits]
    ids = [uuid.uuid5(_MESSAGES, f"{event_no}/{row['run_id']}/{row['path']}") for row in waits]
    message = {"source": event.source, "id": event.event_id, "type": event.type, "received_at": now, "data": event.data}
    if event.emission is not None:
        message["labels"] = event.emission.labels.as_dict()
    packed = PAYLOADS.pack(encode(message))
    await connection.execute(store.SEND, org_id, ids, runs, paths, EVENT, SENDER, now, packed)
    await connection.execute(store.TAKE, org_id, [row["chain_id"] for row in waits], runs, paths, event_no)
    await connection.execute(store.MATCHED, event_no)
    return Posted(created=True, run_ids=tuple(sorted(alive)))


def _checked(event: IncomingEvent, limits: EventLimits) -> bytes:
    for name, text in (("id", event.event_id), ("type", event.type), ("source", event.source)):
        if len(text) > limits.name_chars or "\0" in text or (name != "source" and not text):
            detail = f"1 to {limits.name_chars} characters, none of them NUL"
            raise InvalidError(f"{name}: {detail}", problems=[Problem(detail, pointer=f"/{name}")])
    if event.emission is None and event.source.startswith(OWN_SOURCES):
        detail = f"sources that begin with '{OWN_SOURCES}' are those of events that workflows emit"
        raise InvalidError(f"source: {detail}", problems=[Problem(detail, pointer="/source")])
    try:
        encoded = encode(event.data)
    except TypeError as error:
        raise InvalidError(f"the event is not plain JSON data: {error}") from error
    if len(encoded) > limits.event_bytes:
        detail = f"the event has {len(encoded)} bytes; at most {limits.event_bytes} are taken"
        raise LimitError(detail, size_bytes=len(encoded))
    return encoded
