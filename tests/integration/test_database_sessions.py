"""Connections go back to the pool as they are: what is set for a session is set where that is said, and is undone."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import psycopg

import signoff
from signoff.core.errors import UnavailableError
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.foundation.settings import DatabaseSettings

LASTING = re.compile(
    r"""^\s*(SET\s(?!LOCAL)|LISTEN|PREPARE|DECLARE|CREATE\s+TEMP|LOAD\s)|;\s*SET\s(?!LOCAL)"""
    r"""|pg_(try_)?advisory_lock(_shared)?\(|set_config\([^)]*,\s*(false|f)\)""",
    re.MULTILINE,
)
"""What a session has after its transaction, in SQL. In UPDATE, `SET` is never at the beginning of a line of its own
without what it sets; a line there that begins with it has a column before an equals sign."""

KNOWN = {
    "foundation/database/listener.py",  # on a connection of its own, that no pool has
    "foundation/database/migrate.py",  # the same
    "foundation/database/poolers.py",  # what a connection begins with
    "runtime/claims/store.py",  # the claims' settings
    "runtime/store.py",  # the journal's settings
    "runtime/retention/store.py",  # who leads
}


async def test_what_is_said_to_change_the_session_is_undone(database_url: str):
    settings = DatabaseSettings(url=database_url, worker_pool_size=1)
    async with await Database.open(settings) as database:
        async with database.worker_connection(resets=True) as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            await connection.execute("SET enable_seqscan = off")
            await connection.fetchval("SELECT pg_advisory_lock(4711)")
        async with database.worker_connection() as connection:
            assert await connection.fetchval("SELECT pg_backend_pid()") == pid
            assert await connection.fetchval("SHOW enable_seqscan") == "on"
            locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            assert await connection.fetchval(locks) == 0


async def test_a_connection_that_comes_back_costs_no_statement(database_url: str):
    last = (
        "SELECT query FROM pg_stat_activity"
        " WHERE application_name LIKE 'signoff_app/%' AND datname = current_database()"
    )
    async with await Database.open(DatabaseSettings(url=database_url, app_pool_size=1)) as database:
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            assert await connection.fetchval("SELECT current_setting('signoff.org_id')") == str(DEFAULT_ORG_ID)
        with psycopg.connect(database_url) as administration:
            assert administration.execute(last).fetchall() == [("COMMIT;",)]


async def test_a_transaction_leaves_nothing_to_the_next(database_url: str):
    """Also where it was cut off in the middle of a statement."""
    asleep = asyncio.Event()

    async def held(database: Database) -> None:
        async with database.worker_transaction() as connection:
            await connection.execute("SELECT set_config('signoff.org_id', 'somebody', true)")
            asleep.set()
            await connection.execute("SELECT pg_sleep(30)")

    async with await Database.open(DatabaseSettings(url=database_url, worker_pool_size=1)) as database:
        task = asyncio.create_task(held(database))
        await asleep.wait()
        task.cancel()
        await asyncio.wait([task])
        async with database.worker_connection() as connection:
            assert not connection.is_in_transaction()
            assert not await connection.fetchval("SELECT current_setting('signoff.org_id', true)")


def test_nothing_else_in_the_house_changes_a_session():
    root = Path(signoff.__file__).parent
    found = set[str]()
    for path in root.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for literal in re.findall(r'"""(.*?)"""|"([^"\n]*)"', text, re.DOTALL):
            if LASTING.search(literal[0] or literal[1]) and re.search(r"[A-Z]{3,}", literal[0] or literal[1]):
                found.add(str(path.relative_to(root)))
    assert found <= KNOWN


async def test_a_deadlock_that_postgresql_breaks_is_no_error_of_whoever_ran_into_it(database: Database):
    both = asyncio.Barrier(2)

    async def lock(first: int, second: int) -> None:
        async with database.worker_transaction() as connection:
            await connection.fetchval("SELECT pg_advisory_xact_lock($1)", first)
            await both.wait()
            await connection.fetchval("SELECT pg_advisory_xact_lock($1)", second)

    ends = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
    assert [type(end) for end in ends if end is not None] == [UnavailableError]


async def test_listening_that_ends_while_it_begins_leaves_no_connection(database_url: str):
    mine = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'signoff%'"
    )
    async with await Database.open(DatabaseSettings(url=database_url)) as database:
        for step in range(60):
            async with database.listen("a_channel", lambda _: None):
                await asyncio.sleep(step / 2_000)  # each time a little further on its way
        left = 3
        async with database.worker_connection() as connection:
            for _ in range(200):  # the server takes a moment to see them go
                if (left := await connection.fetchval(mine)) <= 2:
                    break
                await asyncio.sleep(0.05)
        assert left <= 2  # those of the pools
