"""What the engine's tables are, as its rules want them (docs/reference/engine-rules.md)."""

from __future__ import annotations

from uuid import UUID, uuid4

import psycopg
import pytest
from support.engine import ScriptedTool, compiled, ended, running, start
from support.review_cases import another_organisation

from signoff.core.clock import SystemClock
from signoff.core.ids import uuid7
from signoff.foundation.database import DEFAULT_ORG_ID, Connection, Database
from signoff.runtime import store
from signoff.runtime.entries import Entry, Row, columns_of
from signoff.runtime.handlers import Done, Effect

STEPS = 6

COUNT_WRITES = """
CREATE SEQUENCE view_writes;
GRANT USAGE, SELECT ON view_writes TO PUBLIC;
CREATE FUNCTION count_view_writes() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM nextval('view_writes'); RETURN NULL; END $$;
CREATE TRIGGER view_writes AFTER UPDATE ON run_view FOR EACH ROW EXECUTE FUNCTION count_view_writes();
"""


async def test_a_view_is_written_when_its_run_rests_and_not_with_its_steps(database: Database, database_url: str):
    with psycopg.connect(database_url, autocommit=True) as administration:
        administration.execute(COUNT_WRITES)
    steps = "".join(f"  s{n}: {{{f'requires: s{n - 1}, ' if n else ''}tool: act, with: {{}}}}\n" for n in range(STEPS))
    flow = compiled("viewed", f"steps:\n{steps}outcome: {{ok: s{STEPS - 1}.done}}\n", act=True)
    async with running(
        database, [flow], ScriptedTool({"act": lambda call: Done({})}, {"act": Effect("resend")})
    ) as worker:
        assert (await ended(database, await start(database, flow, {}))).outcome == "ok"
        assert worker.statistics["flushes"] >= STEPS
    async with database.worker_connection() as connection:
        assert await connection.fetchval("SELECT last_value FROM view_writes WHERE is_called") == 1


def test_tables_that_are_updated_all_day_leave_room_on_their_pages(database_url: str):
    """Then an update stays on its page and writes no index."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        options = dict(
            connection.execute(
                "SELECT c.relname, (SELECT option_value::int FROM pg_options_to_table(c.reloptions)"
                " WHERE option_name = 'fillfactor') FROM pg_class c WHERE relname = ANY(%s)",
                (["run_queue", "run_view", "worker_session"],),
            ).fetchall()
        )
    assert options == {"run_queue": 50, "run_view": 70, "worker_session": 50}


async def owned(connection: Connection, runs: int) -> tuple[UUID, list[UUID]]:
    """A session, and runs that it has."""
    session_id, run_ids = uuid4(), [uuid7() for _ in range(runs)]
    await connection.execute(store.OPEN_SESSION, session_id, "here", 1, 60.0)
    insert = "INSERT INTO run_queue (run_id, org_id, priority, due_at, owner) VALUES ($1, $2, 5, now(), $3)"
    for run_id in run_ids:
        await connection.execute(insert, run_id, DEFAULT_ORG_ID, session_id)
    return session_id, run_ids


async def test_a_batch_is_written_in_the_order_of_its_keys(database: Database):
    """Two batches that hold the same rows in different orders would wait for each other."""
    async with database.worker_connection(resets=True) as connection:
        await connection.execute(store.PLAN_BY_KEY)  # as the writer's connection has it
        session_id, run_ids = await owned(connection, 3)
        now = SystemClock().now()
        events = [(run_id, seq, "step.noted", now, b"{}", DEFAULT_ORG_ID) for run_id in run_ids for seq in (1, 2)]
        assert (await store.append(connection, session_id, store.Columns(events=events[::-1]))).events == len(events)
        written = await connection.fetch("SELECT run_id, seq FROM journal ORDER BY ctid")
        assert [tuple(row) for row in written] == sorted((run_id, seq) for run_id, seq, *_ in events)


async def test_an_event_of_a_batch_is_its_own_organisations(database: Database, database_url: str):
    """The organisation comes with the entry: whoever reads under row-level security sees the event by it."""
    other, now = another_organisation(database_url), SystemClock().now()
    async with database.worker_connection() as connection:
        session_id, (ours, theirs) = await owned(connection, 2)
        await connection.execute("UPDATE run_queue SET org_id = $2 WHERE run_id = $1", theirs, other)
        entries = [
            Entry(org_id, run_id, [Row(1, "step.noted", now, b"{}")])
            for org_id, run_id in ((DEFAULT_ORG_ID, ours), (other, theirs))
        ]
        assert (await store.append(connection, session_id, columns_of(entries))).events == len(entries)
    for org_id, run_id in ((DEFAULT_ORG_ID, ours), (other, theirs)):
        async with database.transaction(org_id) as connection:
            assert [row["run_id"] for row in await connection.fetch("SELECT run_id FROM journal")] == [run_id]


@pytest.mark.parametrize("data", [b'{"b": 1.0,  "a": 2, "a": 2}', b'{"a":1E2}'])
async def test_the_bytes_of_an_event_stay_as_they_were_written(database: Database, data: bytes):
    """They get hashed; spaces, order, doubled names and the form of numbers are part of them."""
    async with database.worker_connection() as connection:
        session_id, (run_id,) = await owned(connection, 1)
        event = (run_id, 1, "step.noted", SystemClock().now(), data, DEFAULT_ORG_ID)
        assert (await store.append(connection, session_id, store.Columns(events=[event]))).events == 1
        assert await connection.fetchval("SELECT data FROM journal WHERE run_id = $1", run_id) == data
