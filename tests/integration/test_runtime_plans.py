"""What PostgreSQL does for the statements of the hot path, whatever its statistics say."""

from __future__ import annotations

import re

import psycopg

from signoff.runtime import store
from signoff.runtime.claims import store as claims_store


def planned(connection: psycopg.Connection, statement: str) -> str:
    """The plan that does without the parameters, as it is kept for all batches."""
    rows = connection.execute(f"EXPLAIN (GENERIC_PLAN) {statement}".encode()).fetchall()
    return "\n".join(row[0] for row in rows)


def test_the_append_finds_every_row_by_its_key(database_url: str):
    """It went through all runs of its owner for each event, once PostgreSQL had seen a queue with nobody in it."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ANALYZE run_queue")
        connection.execute(store.PLAN_BY_KEY.encode())
        for statement in (store.APPEND, store.APPEND_SEARCHED, store.APPEND_PLAIN):
            plan = planned(connection, statement)
            assert not re.findall(r"Seq Scan|Hash Join|Merge Join|run_queue_owned", plan)
            assert plan.count("run_queue_pkey") >= 4


def test_a_load_finds_every_run_by_its_key(database_url: str):
    """It compared each of its owner's runs with each that was claimed: the more a worker held, the longer a claim."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ANALYZE run_queue")
        connection.execute(store.PLAN_BY_KEY.encode())
        for statement in (claims_store.LOAD_INBOX, claims_store.LOAD, claims_store.CLAIM_NAMED):
            plan = planned(connection, statement)
            assert not re.findall(r"Seq Scan|Hash Join|Merge Join|run_queue_owned", plan)
            assert "run_queue_pkey" in plan


def test_a_claim_behind_another_begins_where_that_ended(database_url: str):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ANALYZE run_queue")
        connection.execute(store.PLAN_BY_KEY.encode())
        for statement in (claims_store.CLAIM_BEHIND, claims_store.NEXT_DUE_BEHIND):
            plan = planned(connection, statement)
            assert not re.findall(r"Seq Scan|Hash Join|Merge Join|run_queue_owned|Bitmap", plan)
            assert re.search(r"Index Cond: .*ROW\(due_at, run_id\) > ROW", plan), plan
