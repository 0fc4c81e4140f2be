"""Nobody's backlog hides another's run, and a claim's cost grows with lanes, not with runs."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from support.starts_cases import NOON

from signoff.core.ids import uuid7
from signoff.foundation.database import DEFAULT_ORG_ID, Connection, Database
from signoff.runtime import store
from signoff.runtime.claims import store as claims_store
from signoff.runtime.starting import store as starting_store

MANY = 100_000

FILL = """
INSERT INTO run_queue (run_id, org_id, team, priority, due_at, queue, gate)
SELECT gen_random_uuid(), $1, $2, $3, $4::timestamptz + make_interval(secs => n / 1000.0), $6, $7
FROM generate_series(1, $5) AS n
"""

FILL_QUICKLY = """
INSERT INTO run_queue (run_id, org_id, team, due_at, queue, gate)
SELECT gen_random_uuid(), %s, %s, %s::timestamptz + make_interval(secs => n / 1000.0), %s, %s
FROM generate_series(1, %s) AS n
"""


async def fill(
    connection: Connection,
    team: str,
    count: int,
    *,
    org_id: UUID = DEFAULT_ORG_ID,
    priority: int = 5,
    gate: str | None = None,
) -> None:
    queue = None if gate is None else "dev/test/q"
    await connection.execute(FILL, org_id, team, priority, NOON, count, queue, gate)


async def claim(connection: Connection, limit: int) -> Counter[str]:
    session_id = await connection.fetchval("SELECT gen_random_uuid()")
    await connection.execute(store.OPEN_SESSION, session_id, "here", 1, 60.0)
    rows = await connection.fetch(claims_store.CLAIM, session_id, datetime.now(UTC), limit, 2**40, True)
    found = await connection.fetch("SELECT team FROM run_queue WHERE run_id = ANY($1)", [row["run_id"] for row in rows])
    return Counter(row["team"] for row in found)


async def test_a_teams_backlog_leaves_the_others_their_share_of_each_claim(database: Database):
    async with database.worker_connection() as connection:
        await fill(connection, "many", 5000)
        await fill(connection, "few", 10)
        await fill(connection, "some", 200, priority=9)
        claimed = await claim(connection, 60)
        assert claimed["few"] == 10
        assert claimed["some"] >= 20
        assert sum(claimed.values()) == 60


async def test_one_run_at_a_time_also_goes_round(database: Database):
    async with database.worker_connection() as connection:
        await fill(connection, "many", 2000, priority=1)
        await fill(connection, "few", 5)
        claimed: Counter[str] = Counter()
        for _ in range(80):
            claimed += await claim(connection, 1)
        assert claimed["few"] == 5  # by lot each time: the odds against it are 2 to the power of 60


async def test_in_a_team_priority_then_time_decide(database: Database):
    async with database.worker_connection() as connection:
        await fill(connection, "a", 50, priority=5)
        await fill(connection, "a", 3, priority=1)
        session_id = await connection.fetchval("SELECT gen_random_uuid()")
        await connection.execute(store.OPEN_SESSION, session_id, "here", 1, 60.0)
        rows = await connection.fetch(claims_store.CLAIM, session_id, datetime.now(UTC), 5, 2**40, True)
        found = await connection.fetch(
            "SELECT priority FROM run_queue WHERE run_id = ANY($1)", [row["run_id"] for row in rows]
        )
        assert sorted(row["priority"] for row in found) == [1, 1, 1, 5, 5]


async def test_of_runs_due_at_one_moment_the_first_by_id_come_first(database: Database, database_url: str):
    """A worker goes on behind the last one that it claimed: what was passed over waits for a look at all."""
    other = uuid7()
    with psycopg.connect(database_url, autocommit=True) as administration:
        administration.execute("INSERT INTO organisation (id, name) VALUES (%s, 'other')", (other,))
    async with database.worker_connection() as connection, connection.transaction():
        for plan in ("indexscan", "bitmapscan"):  # the index has them in this order; the statement has to say it
            await connection.execute(f"SET LOCAL enable_{plan} = off")
        for org_id in (DEFAULT_ORG_ID, other):
            await fill(connection, "a", 300, org_id=org_id)
        await connection.execute("UPDATE run_queue SET due_at = $1", NOON)
        ordered = "SELECT run_id FROM run_queue WHERE org_id = $1 ORDER BY run_id LIMIT 20"
        first = {row["run_id"] for one in (DEFAULT_ORG_ID, other) for row in await connection.fetch(ordered, one)}
        session_id = await connection.fetchval("SELECT gen_random_uuid()")
        await connection.execute(store.OPEN_SESSION, session_id, "here", 1, 60.0)
        rows = await connection.fetch(claims_store.CLAIM, session_id, datetime.now(UTC), 40, 2**40, True)
        assert {row["run_id"] for row in rows} == first


async def test_organisations_come_before_teams(database: Database, database_url: str):
    other = uuid7()
    with psycopg.connect(database_url, autocommit=True) as administration:
        administration.execute("INSERT INTO organisation (id, name) VALUES (%s, 'other')", (other,))
    async with database.worker_connection() as connection:
        for team in range(10):
            await fill(connection, f"t{team}", 100)
        await fill(connection, "theirs", 100, org_id=other)
        claimed = await claim(connection, 40)
        assert claimed["theirs"] >= 18  # half, whatever the number of the other's teams


async def explained(connection: Connection, query: str, *arguments: Any) -> tuple[float, int]:
    """Milliseconds, and rows that scans gave up to the rest of the plan."""
    text = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", *arguments)
    plan = json.loads(text)[0]

    def rows(node: dict[str, Any]) -> int:
        own = int(node["Actual Rows"] * node["Actual Loops"]) if "Scan" in node["Node Type"] else 0
        return own + sum(rows(child) for child in node.get("Plans", ()))

    return plan["Execution Time"], rows(plan["Plan"])


async def test_a_claim_reads_lanes_and_what_it_takes_however_long_the_backlog(database: Database, database_url: str):
    with psycopg.connect(database_url, autocommit=True) as administration:
        administration.execute("SET session_replication_role = replica")
        # As its owner: the worker's statements are cut off after a while, and a trigger makes a turn for each held run.
        for team, gate in (("many", None), ("held", "queue")):
            administration.execute(FILL_QUICKLY, (DEFAULT_ORG_ID, team, NOON, gate and "dev/test/q", gate, MANY))
    async with database.worker_connection() as connection:
        for team in range(20):
            await fill(connection, f"team-{team}", 5)
        session_id = await connection.fetchval("SELECT gen_random_uuid()")
        await connection.execute(store.OPEN_SESSION, session_id, "here", 1, 60.0)
        with psycopg.connect(database_url, autocommit=True) as administration:
            administration.execute("VACUUM ANALYZE run_queue")
        _, seen = await explained(connection, claims_store.CLAIM, session_id, datetime.now(UTC), 128, 2**40, True)
        assert seen < 5000
        _, seen = await explained(connection, claims_store.NEXT_DUE)
        assert seen < 200
        counts = [["held"], [0], [100]]
        _, seen = await explained(
            connection, starting_store.CANDIDATES, DEFAULT_ORG_ID, "dev/test/q", *counts, datetime.now(UTC), 100
        )
        assert seen < 2000
