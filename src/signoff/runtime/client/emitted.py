"""Events that workflows emit: a step stores one, whoever is interested lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from signoff.core.ids import uuid7
from signoff.core.labels import Labels
from signoff.foundation.database import Connection
from signoff.runtime.client import store
from signoff.runtime.codec import PAYLOADS
from signoff.runtime.events import decode, encode


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
    """Events that workflows emitted, oldest first, after the cursor `after`."""
    rows = await connection.fetch(store.EVENTS, org_id, after, run_id, limit)
    return [
        EmittedEvent(row["event_id"], row["run_id"], row["type"], row["emitted_at"], decode(row["data"]))
        for row in rows
    ]
