"""The control plane's side: ask workers what would differ, and wait for the answer."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from uuid import UUID

import orjson

from signoff.core.actors import Actor
from signoff.core.errors import ConflictError, LimitError, UnavailableError
from signoff.core.ids import uuid7
from signoff.foundation.database import Database
from signoff.runtime.client.comparing import Difference
from signoff.runtime.rehearsals import store

KEPT_S = 30 * 86_400.0
"""How long it is kept who asked for what, and what was answered."""

MOST_OPEN = 100
"""Rehearsals of one organisation that may wait for workers at once."""

LOOK_S = 0.1


class NotRehearsedError(UnavailableError):
    """No worker said in time what would differ."""

    code = "not-rehearsed"
    title = "No worker has run the code over the journal"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a worker found.

    Attributes:
        last_seq: the last event of the journal that it looked at.
        differences: what would differ; none where the run can go on under that release.
    """

    last_seq: int
    differences: tuple[Difference, ...]


async def rehearse(
    database: Database, actor: Actor, run_id: UUID, *, release: str, workflow: str, timeout_s: float
) -> Rehearsal:
    """Have a worker run another release's code over a run's journal. Nothing is executed, the run stays as it is.

    Args:
        database: which workers look into.
        actor: who asks; it is kept.
        run_id: the run.
        release: the digest of the other release.
        workflow: the workflow's name.
        timeout_s: how long to wait. Whoever is cancelled meanwhile takes the request back.

    Raises:
        NotRehearsedError: no worker has answered in time; none runs, all are busy, or none has the packages it needs.
        LimitError: too many wait in the organisation.
        ConflictError: the code could not be run over the journal; with the reason.
    """
    rehearsal_id, org_id = uuid7(), actor.org_id
    async with database.transaction(org_id) as connection:
        await connection.execute(store.FORGET, org_id, KEPT_S)
        if await connection.fetchval(store.OPEN, org_id) >= MOST_OPEN:
            raise LimitError(f"{MOST_OPEN} dry runs wait for workers already; ask again when they are through.")
        await connection.execute(store.ASK, rehearsal_id, org_id, run_id, release, workflow, str(actor), timeout_s)
    problem: str | None = None
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                async with database.transaction(org_id) as connection:
                    row = await connection.fetchrow(store.ANSWER, org_id, rehearsal_id)
                assert row is not None
                problem = row["problem"]
                if row["answered"]:
                    break
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        await _cancel(database, org_id, rehearsal_id)
        why = f" The last one that looked: {problem}" if problem else " Is a worker running (`signoff worker`)?"
        raise NotRehearsedError(
            f"No worker answered within {timeout_s:g} s what would differ: the workflow is code, which only workers"
            f" run.{why}"
        ) from None
    except asyncio.CancelledError:
        await asyncio.shield(_cancel(database, org_id, rehearsal_id))
        raise
    if row["differences"] is None:
        raise ConflictError(f"What would differ for run {run_id} could not be found out: {problem}")
    differences = tuple(Difference(**difference) for difference in orjson.loads(row["differences"]))
    return Rehearsal(row["last_seq"], differences)


async def _cancel(database: Database, org_id: UUID, rehearsal_id: UUID) -> None:
    # Where the database is away, it expires by itself.
    with contextlib.suppress(UnavailableError):
        async with database.transaction(org_id) as connection:
            await connection.execute(store.CANCEL, org_id, rehearsal_id)
