"""The journal by months: conversion of what is in the field, months ahead, and ids for which there is none."""

from __future__ import annotations

import asyncio
import logging
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from support.engine import ACTOR, RELEASE, compiled, eventually

from signoff.core.clock import SystemClock
from signoff.core.ids import uuid7
from signoff.foundation.database import DEFAULT_ORG_ID, Database, migrate
from signoff.foundation.database.migrate import MIGRATIONS_DIRECTORY
from signoff.runtime import StartRequest, start_run, store
from signoff.runtime.claims import store as claims_store
from signoff.runtime.journal import Entry, Journal, Row, SessionLostError
from signoff.runtime.partitions import MissingPartitionError, covered, prepare_partitions

NOW = datetime.now(UTC)
FLOW = "steps:\n  s: {set: {n: 1}}\noutcome: {ok: s.done}\n"
PARTITION = "SELECT tableoid::regclass::text FROM journal WHERE run_id = %s GROUP BY 1"


def run_id_at(moment: datetime) -> UUID:
    return uuid7(time_ms=int(moment.timestamp() * 1000))


@pytest.mark.parametrize("superuser", [True, False])
def test_what_is_in_the_field_is_moved_whole(
    empty_url: str, administration: psycopg.Connection, tmp_path: Path, superuser: bool
):
    """Also by an owner without any power, whom forced row-level security would show no row to move."""
    before = tmp_path / "before"
    shutil.copytree(MIGRATIONS_DIRECTORY, before)
    for file in before.glob("*.sql"):
        if file.name == "0014.storage.sql" or "0014.storage" in file.read_text():
            file.unlink()  # it, and what builds on it
    url, role = empty_url, f"owner_{uuid7().hex}"
    if not superuser:
        for part in ("CREATE ROLE {} LOGIN", "GRANT signoff_app, signoff_worker TO {}"):
            administration.execute(sql.SQL(part).format(sql.Identifier(role)))
        with psycopg.connect(empty_url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
            connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(role)))
        url = empty_url.replace("postgres@", f"{role}@")
    migrate(url, directory=before)
    ages = (timedelta(0), timedelta(days=40), timedelta(days=400), timedelta(days=3000), timedelta(days=-400))
    ids = [run_id_at(NOW - age) for age in ages]
    insert = "INSERT INTO journal VALUES (%s, %s, %s, 'step.noted', now(), NULL, %s)"
    with psycopg.connect(empty_url, autocommit=True) as connection:
        for run_id in ids:
            for seq in (1, 2, 3):
                connection.execute(insert, (run_id, seq, DEFAULT_ORG_ID, f'{{"n":{seq}}}'.encode()))
        rows = connection.execute("SELECT * FROM journal ORDER BY run_id, seq").fetchall()
    migrate(url)
    with psycopg.connect(empty_url, autocommit=True) as connection:
        assert connection.execute("SELECT * FROM journal ORDER BY run_id, seq").fetchall() == rows
        named = [connection.execute(PARTITION, (run_id,)).fetchone() for run_id in ids]
        expected = [f"journal_{NOW - age:%Y_%m}" for age in ages]
        expected[3] = "journal_past"
        assert named == [(name,) for name in expected]
        if not superuser:
            connection.execute("SET ROLE signoff_worker")
            assert len(connection.execute("SELECT signoff_prepare_journal(6)").fetchall()) == 2
            connection.execute("RESET ROLE")
            connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(role)))
            connection.execute("DROP SCHEMA IF EXISTS public CASCADE")
            administration.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


async def test_workers_make_the_coming_months_and_nothing_else(database: Database, database_url: str):
    async with database.worker_connection() as connection:
        assert (await covered(connection)).months_ahead == 4
        assert await prepare_partitions(connection, 3) == []
        assert len(await prepare_partitions(connection, 6)) == 2
        assert (await covered(connection)).months_ahead == 6
        assert len(await prepare_partitions(connection, 10_000)) == 18  # two years at most, whoever asks
    with psycopg.connect(database_url) as connection:
        query = "SELECT has_function_privilege(%s, 'signoff_add_journal_month(date)', 'EXECUTE')"
        for role in ("signoff_app", "signoff_worker"):
            assert connection.execute(query, (role,)).fetchone() == (False,)


async def test_a_month_that_cannot_be_made_is_told(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture
):
    with psycopg.connect(database_url, autocommit=True) as connection:
        months = connection.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = 'journal'::regclass AND c.relname > %s",
            (f"journal_{NOW:%Y_%m}",),
        ).fetchall()
        for (name,) in months:
            if name != "journal_past":
                connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        connection.execute(
            "CREATE OR REPLACE FUNCTION signoff_add_journal_month(month date) RETURNS text"
            " LANGUAGE plpgsql AS $$ BEGIN RAISE 'no space'; END $$"
        )
    async with database.worker_connection() as connection:
        with caplog.at_level(logging.WARNING):
            assert await prepare_partitions(connection) == []
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "no further one can be made" in caplog.text


async def test_a_start_with_a_clock_far_ahead_is_told_why_and_one_far_behind_works(database: Database):
    flow = compiled("clocks", FLOW)

    async def started(now: datetime) -> UUID:
        async with database.transaction(ACTOR.org_id) as connection:
            return (await start_run(connection, StartRequest(flow, RELEASE, {}, ACTOR), now=now)).run_id

    with pytest.raises(MissingPartitionError, match="2043-02") as caught:
        await started(datetime(2043, 2, 3, tzinfo=UTC))
    assert caught.value.status == 503
    assert caught.value.members["month"] == "2043-02"
    assert await started(datetime(2001, 2, 3, tzinfo=UTC))
    assert await started(SystemClock().now())


async def test_a_run_without_a_partition_fails_alone(database: Database):
    """Only possible where a partition was taken away under a run: the others of its batch are written."""
    rejected: list[UUID] = []
    session_id = uuid7()
    good, bad = run_id_at(NOW), run_id_at(datetime(2043, 2, 3, tzinfo=UTC))
    async with database.worker_connection() as connection:
        await connection.execute(store.OPEN_SESSION, session_id, "here", 1, 60.0)
        for run_id in (good, bad):
            insert = "INSERT INTO run_queue (run_id, org_id, due_at, owner) VALUES ($1, $2, now(), $3)"
            await connection.execute(insert, run_id, DEFAULT_ORG_ID, session_id)
        journal = Journal(database, session_id, flush_events=100, rejected=lambda run_id, _: rejected.append(run_id))
        batch = [Entry(DEFAULT_ORG_ID, run_id, [Row(1, "run.started", NOW, b"{}")]) for run_id in (bad, good)]
        writing = asyncio.create_task(journal.run())
        for entry in batch:
            entry.written = asyncio.get_running_loop().create_future()
            journal.submit(entry)
        assert batch[1].written is not None
        assert await batch[1].written
        await eventually(lambda: rejected == [bad])
        writing.cancel()
        assert await connection.fetchval("SELECT count(*) FROM journal WHERE run_id = $1", good) == 1
    journal.close(SessionLostError("over"))


async def test_a_journal_is_looked_for_in_its_own_month_only(database: Database):
    async with database.worker_connection(resets=True) as connection:
        await connection.execute(store.PLAN_BY_KEY)  # as where runs are loaded
        ids = [run_id_at(NOW), run_id_at(NOW - timedelta(days=40))]
        explaining = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) " + claims_store.LOAD
        explained = await connection.fetch(explaining, uuid7(), store.written(ids))
        plan = "\n".join(row[0] for row in explained)
    assert "Seq Scan" not in plan
    ran = [line for line in plan.splitlines() if "Scan on journal_" in line and "never executed" not in line]
    assert len(ran) <= 4, plan  # an index and its table for each of two partitions


def test_partitions_are_reached_through_the_journal_alone(database_url: str):
    with psycopg.connect(database_url) as connection:
        query = "SELECT has_table_privilege(%s, 'journal_past', 'SELECT, INSERT, UPDATE, DELETE')"
        for role in ("signoff_app", "signoff_worker"):
            assert connection.execute(query, (role,)).fetchone() == (False,)
