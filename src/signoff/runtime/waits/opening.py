"""Open a wait: take an event that has come already, or be there when it comes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

import orjson

from signoff.foundation.database import Connection, Record
from signoff.runtime.events import decode
from signoff.runtime.waits import store
from signoff.runtime.waits.model import TakenEvent, WaitKey, digests_of


async def open_wait(connection: Connection, key: WaitKey, *, now: datetime) -> TakenEvent | None:
    """The event that a step waits for, where it has come; else none, and the step gets a message when it comes.

    May be called again for the same step: it gets the same event.
    """
    taken = await connection.fetchrow(store.TAKEN, key.run_id, key.path)
    if taken is not None:
        return _event(taken)
    await _ensure_shape(connection, key)
    await connection.execute(store.LOCK_DIGESTS, key.org_id, key.type, [key.digest])
    kept = await connection.fetchrow(
        store.FIND_KEPT, key.org_id, key.type, key.digest, key.project, now, key.since, key.chain_id
    )
    if kept is None:
        await connection.execute(
            store.OPEN, key.run_id, key.path, key.org_id, key.project, key.chain_id, key.type, key.digest, now
        )
        return None
    event_no = kept["event_no"]
    await connection.execute(store.TAKE, key.org_id, [key.chain_id], [key.run_id], [key.path], event_no)
    await connection.execute(store.MATCHED, event_no)
    return _event(kept)


async def close_wait(connection: Connection, key: WaitKey) -> TakenEvent | None:
    """The step waits no more; may be called again. The event that it was given, where one came before this.

    That event is on its way to the step as a message, and no other wait of the run gets it: a step whose time is over
    takes it from here.
    """
    await connection.execute(store.CLOSE, key.run_id, key.path)  # waits for whoever is giving it an event
    taken = await connection.fetchrow(store.TAKEN, key.run_id, key.path)
    return None if taken is None else _event(taken)


async def withdraw_wait(connection: Connection, key: WaitKey) -> None:
    """Nobody will hear what the step waited for: an event that it was given is there for the run's next wait."""
    await connection.execute(store.CLOSE, key.run_id, key.path)
    await connection.execute(store.GIVE_BACK, key.run_id, key.path)


async def _ensure_shape(connection: Connection, key: WaitKey) -> None:
    """File events of this type under these fields from now on, and those that have come before."""
    if await connection.fetchval(store.HAS_SHAPE, key.org_id, key.type, key.fields) is not None:
        return
    await connection.execute(store.LOCK_TYPE, key.org_id, key.type)
    await connection.execute(store.ADD_SHAPE, key.org_id, key.type, key.fields)
    after = 0
    while rows := await connection.fetch(store.EVENTS_OF_TYPE, key.org_id, key.type, after):
        digests: list[str] = []
        numbers: list[int] = []
        for row in rows:
            data = cast("dict[str, Any]", decode(row["data"]))
            for found in digests_of(data, [key.fields]):
                digests.append(found)
                numbers.append(row["event_no"])
        await connection.execute(store.FILE, key.org_id, key.type, digests, numbers)
        after = rows[-1]["event_no"]


def _event(row: Record) -> TakenEvent:
    labels = {} if row["labels"] is None else {"labels": orjson.loads(row["labels"])}
    return TakenEvent(
        {
            "source": row["source"],
            "id": row["event_id"],
            "type": row["type"],
            "received_at": row["received_at"].isoformat(),
            "data": decode(row["data"]),
            **labels,
        }
    )
