"""`signoff doctor` finds what is wrong, says what to do, and is quiet about what is well."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
from support.engine import compiled, start

from signoff.core.clock import SystemClock
from signoff.core.ids import uuid7
from signoff.foundation.database import Database
from signoff.runtime.continuity import suspect_before
from signoff.runtime.diagnosis import Finding, diagnose, worst
from signoff.runtime.diagnosis import store as diagnosis_store

GIB = 1024**3


class LateClock(SystemClock):
    def now(self) -> datetime:
        return super().now() - timedelta(minutes=3)


async def checked(database: Database, **options: Any) -> dict[str, Finding]:
    given: dict[str, Any] = {"clock": SystemClock(), "lease_s": 10.0, "disk": (50 * GIB, 100 * GIB)} | options
    async with database.worker_connection() as connection:
        return {finding.check: finding for finding in await diagnose(connection, **given)}


async def test_a_healthy_database_has_nothing_but_the_tests_own_unsafe_settings(database: Database):
    found = await checked(database)
    bad = {name for name, finding in found.items() if finding.status != "ok"}
    assert bad == {"fsync", "full_page_writes"}  # the tests' server is not durable, and the doctor notices
    assert all(finding.todo for finding in found.values() if finding.status != "ok")
    assert {"PostgreSQL version", "synchronous_commit", "replication", "partitions", "disk"} <= found.keys()
    assert worst(list(found.values())) == "failed"


async def test_what_is_wrong_around_the_database_is_found(database: Database):
    found = await checked(database, clock=LateClock(), lease_s=1.0, disk=(1 * GIB, 100 * GIB))
    assert found["clock"].status == "warning"
    assert "180" in found["clock"].detail
    assert found["idle transactions"].status == "failed"
    assert found["disk"].status == "failed"
    elsewhere = await checked(database, disk=None)
    assert "cannot be seen" in elsewhere["disk"].detail


async def test_work_that_does_not_move_is_found(database: Database):
    flow = compiled("idle", "steps:\n  a: {set: {n: 1}}\noutcome: {ok: a.done}\n")
    run_id = await start(database, flow, {})
    async with database.worker_connection() as connection:
        await connection.execute("UPDATE run_queue SET due_at = now() - interval '1 hour'")
        await connection.execute("UPDATE run_view SET status = 'stuck'")
        gone = (
            "INSERT INTO worker_session (id, host, process_id, expires_at) VALUES ($1, 'far', 1, now() - $2::interval)"
        )
        await connection.execute(gone, run_id, timedelta(hours=1))
        await suspect_before(connection)
        told = "INSERT INTO server_history (system_identifier, timeline, broke) VALUES (1, 2, true)"
        await connection.execute(told)
    found = await checked(database)
    assert found["overdue runs"].status == "failed"
    assert found["workers"].status == "failed"
    assert "far" in found["workers"].todo
    assert str(run_id) in found["stuck runs"].todo
    assert found["history"].status == "warning"


async def test_a_server_that_no_worker_has_met_is_told_before_one_starts(database: Database) -> None:
    """After a restore it said that nothing had happened, and to start a worker, which comes after all else."""
    async with database.worker_connection() as connection:
        gone = (
            "INSERT INTO worker_session (id, host, process_id, expires_at) VALUES ($1, 'far', 1, now() - $2::interval)"
        )
        await connection.execute(gone, uuid7(), timedelta(hours=1))
        await connection.execute("INSERT INTO server_history (system_identifier, timeline, broke) VALUES (1, 1, false)")
        found = await checked(database)
        assert found["history"].status == "failed"
        assert "Start no worker before" in found["history"].todo
        assert "'history'" in found["workers"].todo
        assert await suspect_before(connection) is not None  # as the first worker does
    assert "1 times" in (await checked(database))["history"].detail


async def test_a_transaction_that_is_open_for_long_is_told(database: Database, database_url: str):
    """Whosever it is: old snapshots keep dead rows, and claims get slow."""
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT 1")  # open from here on
        async with database.worker_connection() as asking:
            found = await asking.fetchrow(diagnosis_store.LONG_TRANSACTIONS, 0.0)
            server = await asking.fetchrow(diagnosis_store.SERVER)
    assert found is not None
    assert found["long"] >= 1
    assert server is not None
    assert server["connections"] >= 2
