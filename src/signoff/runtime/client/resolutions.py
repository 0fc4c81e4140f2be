"""A person's word on an effect, bound to the question that it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from signoff.core.errors import ConflictError
from signoff.foundation.database import Connection
from signoff.runtime.client.reads import read_state
from signoff.runtime.state import ENGINE_WAITS


async def bound_resolution(
    connection: Connection, org_id: UUID, run_id: UUID, path: str, data: Mapping[str, Any]
) -> dict[str, Any]:
    """The resolution with the `attempt` that it is about, so that a second copy of it answers no later question.

    Raises:
        NotFoundError: no such run in that organisation.
        ConflictError: nobody asks now what became of that step, or it was said of another try.
    """
    record = (await read_state(connection, org_id, run_id)).steps.get(path)
    waiting = None if record is None else record.waiting
    if waiting is None or waiting.kind not in ENGINE_WAITS:
        raise ConflictError(
            f"nobody asks what became of '{path}' now; signoff runs show {run_id} says what the run waits for",
            step=path,
        )
    asked, named = waiting.state.get("attempt"), data.get("attempt")
    if named is not None and asked is not None and named != asked:
        raise ConflictError(
            f"this is about try {named} of '{path}', and what is asked about is try {asked}; look at it again",
            step=path,
            attempt=asked,
        )
    return dict(data) if asked is None else {**data, "attempt": asked}
