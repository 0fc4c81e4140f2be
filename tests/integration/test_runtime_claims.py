"""What a worker claims next: what is due, fairly; and what it was told of by name, where nothing else is due."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from uuid import UUID

from support.engine import ACTOR, FAST, ScriptedTool, compiled, ended, running, start

from signoff.core.clock import SystemClock
from signoff.foundation.database import Connection, Database
from signoff.runtime import store
from signoff.runtime.announcing import WAKE_CHANNEL
from signoff.runtime.claims import Claims
from signoff.runtime.claims.claiming import FEW, MOST_NAMED, QUIET_S

NOW = SystemClock().now()


async def session(connection: Connection) -> Claims:
    session_id = uuid.uuid4()
    await connection.execute(store.OPEN_SESSION, session_id, "here", 1, 600.0)
    return Claims(session_id, SystemClock())


async def due(connection: Connection, count: int, since: datetime = NOW) -> list[UUID]:
    """Runs in the queue, the first the longest."""
    made = [uuid.uuid4() for _ in range(count)]
    for number, run_id in enumerate(made):
        moment = since - timedelta(minutes=count - number)
        await connection.execute(
            "INSERT INTO run_queue (run_id, org_id, due_at) VALUES ($1, $2, $3)", run_id, ACTOR.org_id, moment
        )
    return made


async def take(claims: Claims, connection: Connection, limit: int = 10) -> list[UUID]:
    return [row["run_id"] for row in await claims.take(connection, limit, 2**40, alone=True)]


async def test_a_run_that_was_named_is_claimed_by_its_id(database: Database):
    async with database.worker_connection() as connection:
        claims = await session(connection)
        assert await take(claims, connection) == []
        named, other = await due(connection, 2)
        claims.name(named)
        assert await take(claims, connection) == [named]
        assert claims.quiet_s() == QUIET_S
        assert await take(claims, connection) == []  # it was told of nothing, and asks first what is due
        assert await claims.next_due(connection) is not None
        assert claims.quiet_s() == 0
        assert await take(claims, connection) == [other]


async def test_a_named_run_passes_nobody_by_where_more_is_due(database: Database):
    async with database.worker_connection() as connection:
        claims = await session(connection)
        waiting = await due(connection, FEW + 4)
        assert len(await take(claims, connection, FEW + 1)) == FEW + 1
        claims.name(waiting[-1])
        assert await take(claims, connection, 1) == [waiting[FEW + 1]]


async def test_many_names_are_a_backlog(database: Database):
    async with database.worker_connection() as connection:
        claims = await session(connection)
        await take(claims, connection)
        longest, *others = await due(connection, MOST_NAMED + 2)
        for run_id in others:
            claims.name(run_id)
        assert longest in await take(claims, connection, MOST_NAMED + 2)


async def test_a_name_opens_no_gate_and_waits_for_no_lock(database: Database):
    async with database.worker_connection() as connection, database.worker_connection() as sender:
        claims = await session(connection)
        await take(claims, connection)
        gated, later, owned, locked, large, free = made = await due(connection, 6)
        change = "UPDATE run_queue SET {} WHERE run_id = $1"
        await connection.execute(change.format("gate = 'queue', queue = 'q'"), gated)
        await connection.execute(change.format("due_at = now() + interval '1 hour'"), later)
        await connection.execute(change.format("owner = gen_random_uuid()"), owned)
        await connection.execute(change.format("journal_bytes = 2::bigint ^ 41"), large)
        async with sender.transaction():
            await sender.execute(change.format("gen = gen + 1"), locked)
            for run_id in made:
                claims.name(run_id)
            assert await take(claims, connection) == [free]
        assert claims.quiet_s() == 0  # something was not to be had: it asks what is due
        await claims.next_due(connection)
        assert await take(claims, connection) == [locked]  # there is no room for the large one beside others


async def test_a_session_that_is_gone_claims_nothing_by_name(database: Database):
    async with database.worker_connection() as connection:
        claims = await session(connection)
        await take(claims, connection)
        (run_id,) = await due(connection, 1)
        await connection.execute("DELETE FROM worker_session")
        claims.name(run_id)
        assert await take(claims, connection) == []


async def test_a_start_is_worked_on_as_soon_as_it_was_told_of(database: Database):
    """By the poll it would take a minute."""
    flow = compiled("told", "steps:\n  one: {set: {n: '${input.n}'}}\noutcome: {done: one.done}\n")
    patient = FAST.model_copy(update={"poll_s": 60.0})
    async with running(database, [flow], ScriptedTool({}), patient):
        for number in range(3):
            run_id = await start(database, flow, {"n": number})
            await database.notify(WAKE_CHANNEL, str(run_id), others_later=True)
            assert (await ended(database, run_id)).status == "done"
