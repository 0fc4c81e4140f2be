"""What PostgreSQL does for the statements of the hot path, whatever its statistics say."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from support.plans import planned

from signoff.runtime import store
from signoff.runtime.claims import store as claims_store
from signoff.runtime.waits import store as waits_store

TABLES = ("run_queue", "run_view", "inbox", "effect_key", "worker_session")
STATEMENTS = {
    name: statement
    for module, names in (
        (store, ("APPEND", "APPEND_SEARCHED", "APPEND_PLAIN", "RESIDENT_WITH_MESSAGES", "RELEASE_RUNS")),
        (claims_store, ("CLAIM_BEHIND", "CLAIM_NAMED", "LOAD", "LOAD_INBOX", "NEXT_DUE_BEHIND")),
        (waits_store, ("BUMP", "SEND")),
    )
    for name in names
    for statement in (getattr(module, name),)
}

BY_NO_RUN = {
    "RESIDENT_WITH_MESSAGES": "run_queue_owned",
    "CLAIM_BEHIND": "run_queue_free",
    "NEXT_DUE_BEHIND": "run_queue_free",
}
"""By what those find runs that are not told which: all that the session has, or the next of a lane."""

# What they were in an hour that ended long ago: pages, and not a row in them.
_FILL = """
INSERT INTO run_queue (run_id, org_id, priority, due_at)
    SELECT gen_random_uuid(), gen_random_uuid(), 5, now() FROM generate_series(1, 5000);
INSERT INTO inbox (message_id, org_id, run_id, path, kind, sent_by, sent_at, data)
    SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), '', 'signal', 'user/x', now(), '{}'
    FROM generate_series(1, 5000);
INSERT INTO effect_key (org_id, key, generation)
    SELECT gen_random_uuid(), 'key', 1 FROM generate_series(1, 5000);
INSERT INTO run_view (run_id, org_id, workflow, workflow_version, status, started_at, updated_at)
    SELECT gen_random_uuid(), gen_random_uuid(), 'a', '1.0.0', 'queued', now(), now() FROM generate_series(1, 5000);
"""


@pytest.fixture
def emptied(database_url: str) -> Iterator[psycopg.Connection]:
    """A worker's connection to a database that PostgreSQL looked at when its tables had just been emptied."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_FILL.encode())
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}".encode())
            connection.execute(f"ANALYZE {table}".encode())
        connection.execute(store.PLAN_BY_KEY.encode())
        yield connection


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_of_the_hot_path_finds_every_row_by_its_key(emptied: psycopg.Connection, name: str):
    """Appends read the whole queue for each batch, once PostgreSQL had seen it with nobody in it."""
    plan = planned(emptied, STATEMENTS[name])
    scans = [node for node in plan if node["Node Type"].endswith(" Scan") and "Relation Name" in node]
    assert {node["Relation Name"] for node in scans} & {"run_queue", "inbox"}
    for node in scans:
        assert "Index Cond" in node or "Recheck Cond" in node, node
    assert not [node for node in plan if node["Node Type"] in ("Hash Join", "Merge Join")]
    used = {node["Index Name"] for node in plan if node.get("Index Name", "").startswith("run_queue")}
    assert used <= {BY_NO_RUN.get(name, "run_queue_pkey"), "run_queue_pkey"}


def test_a_claim_behind_another_begins_where_that_ended(emptied: psycopg.Connection):
    for statement in (claims_store.CLAIM_BEHIND, claims_store.NEXT_DUE_BEHIND):
        conditions = [node["Index Cond"] for node in planned(emptied, statement) if "Index Cond" in node]
        assert any(re.search(r"ROW\(due_at, run_id\) > ROW", condition) for condition in conditions)
