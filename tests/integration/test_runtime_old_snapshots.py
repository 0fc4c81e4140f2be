"""Somebody's snapshot stays open, such as a long report's: what was claimed since cannot be removed from the queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg
from support.starts_cases import NOON, FakeClock

from signoff.core.ids import uuid7
from signoff.foundation.database import DEFAULT_ORG_ID, Connection, Database, Record
from signoff.runtime import store
from signoff.runtime.claims import Claims
from signoff.runtime.claims.claiming import PAUSES
from signoff.runtime.claims.lanes import MOST_LANES, Lanes

EACH = 20
RUNS = 400

FILL = """
INSERT INTO run_queue (run_id, org_id, team, due_at)
SELECT gen_random_uuid(), $1, $2, $3::timestamptz - make_interval(secs => CASE WHEN $4 THEN 0 ELSE n END)
FROM generate_series(1, $5) AS n
"""
ENTRIES_READ = "SELECT pg_stat_get_xact_tuples_returned('run_queue_free'::regclass)"


class Slow:
    """A connection on which each question takes a second of a clock."""

    def __init__(self, connection: Connection, clock: FakeClock) -> None:
        self._connection = connection
        self._clock = clock

    async def fetch(self, query: str, *arguments: Any) -> Sequence[Record]:
        self._clock.pass_s(1)
        return await self._connection.fetch(query, *arguments)

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        self._clock.pass_s(1)
        return await self._connection.fetchval(query, *arguments)


async def claiming(connection: Connection, clock: FakeClock) -> Claims:
    session_id = uuid7()
    await connection.execute(store.OPEN_SESSION, session_id, "here", 1, 600.0)
    await connection.execute(store.PLAN_BY_KEY)
    return Claims(session_id, clock)


async def take(claims: Claims, connection: Connection, clock: FakeClock) -> tuple[list[UUID], int]:
    """What was claimed, and how many entries of the lanes' index that read. The runs end at once."""
    slow: Any = Slow(connection, clock)
    async with connection.transaction():
        before = await connection.fetchval(ENTRIES_READ)
        taken = [row["run_id"] for row in await claims.take(slow, EACH, 2**40, alone=True)]
        read = await connection.fetchval(ENTRIES_READ) - before
    await connection.execute("DELETE FROM run_queue WHERE run_id = ANY($1)", taken)
    return taken, read


async def test_a_claim_reads_what_it_takes_and_not_what_was_claimed_before(database: Database, database_url: str):
    for team, together in (("one-by-one", False), ("all-at-once", True)):
        clock = FakeClock()
        async with database.worker_connection(resets=True) as connection:
            claims = await claiming(connection, clock)
            await connection.execute(FILL, DEFAULT_ORG_ID, team, NOON, together, RUNS)
            with psycopg.connect(database_url) as report:
                report.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                report.execute("SELECT count(*) FROM run_queue")
                found = [await take(claims, connection, clock) for _ in range(PAUSES + 2)]
        assert len({run_id for taken, _ in found for run_id in taken}) == EACH * len(found)
        behind, whole = [read for _, read in found[1:PAUSES]], found[PAUSES + 1][1]
        assert max(behind) <= 2 * EACH, (behind, whole)
        assert whole > max(behind)  # now and then everything is looked at, and what stays in the index with it
        async with database.worker_connection() as connection:
            await connection.execute("DELETE FROM run_queue")


async def test_what_comes_free_behind_the_claims_and_in_other_lanes_is_found_by_the_next_look_at_all(
    database: Database,
):
    clock = FakeClock()
    async with database.worker_connection(resets=True) as connection:
        claims = await claiming(connection, clock)
        await connection.execute(FILL, DEFAULT_ORG_ID, "team", NOON, False, RUNS)
        await take(claims, connection, clock)
        early, other, named = uuid7(), uuid7(), uuid7()
        for run_id, team, due_at in ((early, "team", NOON.replace(year=2000)), (other, "other", NOON)):
            await connection.execute(
                "INSERT INTO run_queue (run_id, org_id, team, due_at) VALUES ($1, $2, $3, $4)",
                run_id,
                DEFAULT_ORG_ID,
                team,
                due_at,
            )
        taken = [run_id for _ in range(PAUSES + 1) for run_id in (await take(claims, connection, clock))[0]]
        assert {early, other} <= set(taken)
        await connection.execute("DELETE FROM run_queue")
        await connection.execute(FILL, DEFAULT_ORG_ID, "late", NOON.replace(year=2100), True, 1)
        await connection.execute(
            "INSERT INTO run_queue (run_id, org_id, due_at) VALUES ($1, $2, $3)", named, DEFAULT_ORG_ID, NOON
        )
        claims.name(named)
        assert await claims.next_due(connection) is not None
        while named not in taken:
            taken += (await take(claims, connection, clock))[0]
        while (due_at := await claims.next_due(connection)) is None or due_at.year != 2100:
            clock.pass_s(1)


async def test_a_run_that_was_named_is_claimed_behind_the_others_and_waits_for_no_look_at_all(database: Database):
    clock = FakeClock()
    async with database.worker_connection(resets=True) as connection:
        claims = await claiming(connection, clock)
        await connection.execute(FILL, DEFAULT_ORG_ID, "team", NOON, False, EACH + 1)
        await take(claims, connection, clock)
        named = uuid7()
        await connection.execute(
            "INSERT INTO run_queue (run_id, org_id, team, due_at) VALUES ($1, $2, 'other', $3)",
            named,
            DEFAULT_ORG_ID,
            NOON,
        )
        claims.name(named)
        assert len((await take(claims, connection, clock))[0]) == 1  # the one that was left in the lane
        assert await claims.next_due(connection) == clock.now()  # and at once again
        claims.look()  # as a session does when that moment has come
        assert (await take(claims, connection, clock))[0] == [named]


def test_only_the_latest_lanes_are_kept():
    lanes = Lanes()
    for number in range(MOST_LANES + 5):
        row: Any = {"org_id": DEFAULT_ORG_ID, "team": f"t{number}", "priority": 5, "due_at": NOON, "run_id": uuid7()}
        lanes.claimed([row])
    assert len(lanes) == MOST_LANES
    assert lanes.places()[1][0] == "t5"
