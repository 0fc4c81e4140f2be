"""Move a run that has not ended to another release: compared first, and never silently.

The comparison is of the journal as it is now; its length goes with the request, and the worker refuses where the run
has moved on since. What differs goes into the journal with who asked and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from signoff.core.actors import Actor
from signoff.core.errors import ConflictError, Problem
from signoff.foundation.database import Connection
from signoff.runtime.client.comparing import Difference, compare
from signoff.runtime.client.history import state_of, whole_events
from signoff.runtime.client.operations import Asked, message_id_of
from signoff.runtime.client.writes import RUN_PATH, send_message
from signoff.runtime.state import RunState
from signoff.workflows.model import Workflow


@dataclass(frozen=True, slots=True)
class Move:
    """Where a run is to be moved.

    Attributes:
        release: the digest.
        workflow: compiled from it.
        old: what the run executes now; none where its release cannot be had.
        reason: why; it goes into the journal.
        key: the same key moves the run once.
        rehearsed: of code, what a worker found when it ran it over the journal; none where no worker was asked.
        rehearsed_at: the last event of the journal that it was run over.
    """

    release: str
    workflow: Workflow
    old: Workflow | None
    reason: str = ""
    key: str | None = None
    rehearsed: Sequence[Difference] | None = None
    rehearsed_at: int | None = None


async def compared(connection: Connection, actor: Actor, run_id: UUID, move: Move) -> tuple[RunState, list[Difference]]:
    """The run's state, and what would differ.

    Raises:
        NotFoundError: no such run in the actor's organisation.
        ConflictError: it has ended, or is ending, or has moved on since its code was rehearsed.
    """
    state = state_of(await whole_events(connection, actor.org_id, run_id))
    if state.end is not None or state.unwinding is not None:
        raise ConflictError(f"run {run_id} has ended, or is ending: it goes on under another release only by a retry")
    if move.rehearsed is not None and move.rehearsed_at != state.last_seq:
        raise ConflictError(f"run {run_id} has moved on since a worker compared it with that release: compare again")
    return state, compare(state, move.old, move.workflow, rehearsed=move.rehearsed)


async def would_move(connection: Connection, actor: Actor, run_id: UUID, move: Move) -> list[Difference]:
    """What would differ, asked before the move.

    Raises:
        NotFoundError: no such run in the actor's organisation.
        ConflictError: as of `compared`, or it has that release.
    """
    state, differences = await compared(connection, actor, run_id, move)
    _require_another(state, run_id, move)
    return differences


def _require_another(state: RunState, run_id: UUID, move: Move) -> None:
    if state.started["release"] == move.release:
        raise ConflictError(f"run {run_id} has this release already")


async def migrate(
    connection: Connection, actor: Actor, run_id: UUID, move: Move, *, now: datetime
) -> tuple[Asked, list[Difference]]:
    """Ask for the move, in the caller's transaction.

    Raises:
        NotFoundError: no such run in the actor's organisation.
        ConflictError: it has ended, has that release, or its past would be another one; one problem per difference.
    """
    message_id = message_id_of(run_id, move.key, now)
    state, differences = await compared(connection, actor, run_id, move)
    if message_id in state.messages:
        return Asked(message_id, again=True), differences
    _require_another(state, run_id, move)
    against = [difference for difference in differences if difference.begun]
    if against:
        problems = [Problem(f"{difference.step}: {difference.what}", code="differs") for difference in against]
        raise ConflictError(f"the past of run {run_id} would be another one under that release", problems=problems)
    await send_message(
        connection,
        org_id=actor.org_id,
        run_id=run_id,
        path=RUN_PATH,
        kind="run.migrate",
        data={
            "reason": move.reason,
            "release": move.release,
            "version": move.workflow.version,
            "workflow_digest": move.workflow.digest,
            "compared_at": state.last_seq,
            "differs": [difference.as_dict() for difference in differences],
        },
        sent_by=str(actor),
        now=now,
        message_id=message_id,
    )
    return Asked(message_id), differences
