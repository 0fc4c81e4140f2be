"""Events that workflows emit: a step stores one, whoever is interested lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from signoff.core.errors import NotFoundError
from signoff.core.ids import uuid7
from signoff.core.labels import Labels
from signoff.foundation.database import Connection
from signoff.runtime.client import store
from signoff.runtime.codec import PAYLOADS
from signoff.runtime.events import decode, encode


class CursorGoneError(NotFoundError):
    """The event that a reader had last is not there any more, and with it the place behind which to go on."""

    status = 410
    code = "cursor-gone"
    title = "The cursor is gone"


@dataclass(frozen=True, slots=True)
class EmittedEvent:
    """An event that a workflow emitted, in the terms of CloudEvents 1.0."""

    event_id: UUID
    run_id: UUID
    type: str
    emitted_at: datetime
    data: Mapping[str, Any]


async def emit_event(
    connection: Connection,
    *,
    org_id: UUID,
    run_id: UUID,
    path: str,
    event_type: str,
    data: Mapping[str, Any],
    labels: Labels,
    now: datetime,
) -> UUID | None:
    """Store the event that a step emits; its id. A second one of the same step changes nothing, and there is none."""
    return await connection.fetchval(
        store.EMIT,
        uuid7(time_ms=int(now.timestamp() * 1000)),
        org_id,
        run_id,
        path,
        event_type,
        now,
        PAYLOADS.pack(encode(data)),
        orjson.dumps(labels.as_dict()).decode(),
    )


async def list_events(
    connection: Connection, org_id: UUID, *, after: UUID | None = None, run_id: UUID | None = None, limit: int = 50
) -> list[EmittedEvent]:
    """Events that workflows emitted, oldest first, after the cursor `after`.

    Raises:
        CursorGoneError: there is no such event (any more): retention took its run.
    """
    if after is not None and not await connection.fetchval(store.EVENT_THERE, org_id, after):
        raise CursorGoneError(
            f"Event {after} is not there any more: retention took the run that emitted it. Begin again without a"
            " cursor; the ids of events that you have tell which are new."
        )
    rows = await connection.fetch(store.EVENTS, org_id, after, run_id, limit)
    return [
        EmittedEvent(row["event_id"], row["run_id"], row["type"], row["emitted_at"], decode(row["data"]))
        for row in rows
    ]
