"""Tell whoever called a run that it has ended, in the transaction that ends it: nothing of it can be lost."""

from __future__ import annotations

import uuid
from datetime import datetime
from uuid import UUID

from signoff.foundation.database import Connection
from signoff.runtime.calls.children import CHILD_ENDED, end_told
from signoff.runtime.client import store as client_store
from signoff.runtime.codec import PAYLOADS
from signoff.runtime.events import encode
from signoff.runtime.journal import SoloWrite
from signoff.runtime.state import RunState

SENDER = "system/calls"
_MESSAGES = UUID("7d1c6f0a-8b1e-5f0e-9a36-0c9b0a4a4f02")


def parent_of(state: RunState) -> UUID | None:
    """The run that waits for this one's end; none where none does."""
    parent = state.started.get("parent")
    return None if parent is None or parent["detached"] else UUID(parent["run_id"])


def tell_parent(org_id: UUID, run_id: UUID, state: RunState, now: datetime) -> SoloWrite | None:
    """What to write together with the run's end; none where nobody waits for it."""
    parent_id, end = parent_of(state), state.end
    if parent_id is None or end is None:
        return None
    parent = state.started["parent"]
    data = {**end_told(run_id, end, state.usage.as_dict()), "attempt": parent["attempt"]}
    message_id = uuid.uuid5(_MESSAGES, f"{parent_id}/{parent['path']}/{parent['attempt']}/{run_id}/{state.last_seq}")

    async def write(connection: Connection) -> None:
        if await connection.fetchval(client_store.BUMP, org_id, parent_id, now, False) is None:
            return  # it has ended: it did not wait for this one, or waits no more
        packed = PAYLOADS.pack(encode(data))
        await connection.execute(
            client_store.SEND, message_id, org_id, parent_id, parent["path"], CHILD_ENDED, SENDER, now, packed
        )

    return write
