"""A step that kills its worker each time is not tried without end.

Whoever declares a worker dead counts that for each run it had. Where the next worker finds the run at the very place
where it was the time before, the count stands; anywhere else it begins anew. Other runs that such a worker had are
counted with it, if their own step takes longer than the time between two deaths.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from signoff.core.errors import ConflictError
from signoff.foundation.database import Connection
from signoff.runtime import store
from signoff.runtime.handlers import Message
from signoff.runtime.state import RunState

TRY_AGAIN = frozenset({"run.wake", "run.retry", "run.cancel", "run.terminate"})
"""What people send to a run that they want to go on, or to end, whatever happened."""


class CrashLimitError(ConflictError):
    """Workers died with a run in the same place again and again."""

    code = "crash-limit"
    title = "Workers died with this run"


async def check_crashes(
    connection: Connection,
    run_id: UUID,
    state: RunState,
    inbox: Sequence[tuple[str, Message]],
    *,
    limit: int,
) -> None:
    """Look whether the run has moved since a worker died with it.

    Raises:
        CrashLimitError: it has not, and that many workers have died.
    """
    if any(path == "" and message.kind in TRY_AGAIN for path, message in inbox):
        await connection.execute(store.FORGET_CRASHES, run_id)
        return
    place = place_of(state)
    crashes = await connection.fetchval(store.NOTE_CRASH, run_id, place)
    if crashes is not None and crashes >= limit:
        detail = f"{crashes} workers died while this run was at {place}"
        raise CrashLimitError(detail, place=place)


def place_of(state: RunState) -> str:
    """What is under way: the tries of steps; where none is, how far the journal goes."""
    tries = sorted(
        f"{path}, try {record.attempt}"
        for path, record in state.open.items()
        if record.waiting is None
        and record.retry_at is None
        and not any(turn.startswith(f"{path}[") for turn in state.busy)
    )
    return "; ".join(tries)[:500] or f"event {state.last_seq}"
