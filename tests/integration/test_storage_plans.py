"""What PostgreSQL does for statements outside of the hot path where it takes tables for empty that are not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from support.plans import planned

from signoff.capabilities.gateway.caching import store as caching_store
from signoff.capabilities.gateway.records import store as records_store
from signoff.catalog import store as catalog_store
from signoff.foundation.database.database import APP_ROLE
from signoff.runtime import store
from signoff.runtime.client import store as client_store
from signoff.runtime.entries import Entry, View, columns_of
from signoff.runtime.rehearsals import store as rehearsals_store
from signoff.runtime.starting import store as starting_store
from signoff.runtime.waits import store as waits_store

ORG_ID, RUN_ID = UUID(int=1), UUID(int=2)

# As many rows as give a table more pages than a look at an index costs.
_ROWS = "FROM generate_series(1, 5000) AS i"
_DIGESTS = "gen_random_uuid(), md5(i::text) || md5(i::text)"
FILL = {
    "worker_session": "(id, host, process_id, expires_at) SELECT gen_random_uuid(), 'a', 1, now()",
    "run_queue": """(run_id, org_id, priority, due_at, gate, queue, queue_key)
        SELECT gen_random_uuid(), gen_random_uuid(), 5, now(), 'key', 'q', 'k'""",
    "queue_turn": "(org_id, queue, due_at) SELECT gen_random_uuid(), 'q', now()",
    "queue_bucket": """(org_id, queue, scope, label, tokens, filled_at)
        SELECT gen_random_uuid(), 'q', 'key', i::text, 1, now()""",
    "start_deduplicated": """(org_id, run_id, project, workflow, key, until)
        SELECT gen_random_uuid(), gen_random_uuid(), 'p', 'w', i::text, now()""",
    "received_event": """(org_id, source, event_id, type, sent_by, projects, received_at, expires_at, data)
        SELECT gen_random_uuid(), 's', i::text, 't', 'u', '{}', now(), now(), ''""",
    "received_event_key": "(org_id, type, digest, event_no) SELECT gen_random_uuid(), 't', 'd', i",
    "run_rehearsal": """(rehearsal_id, org_id, run_id, release, workflow, asked_by, expires_at)
        SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'r', 'w', 'u', now()""",
    "model_answer": f"(org_id, question, claim, claimed_until) SELECT {_DIGESTS}, gen_random_uuid(), now()",
    "model_call": """(org_id, call_id, began_at, project, environment, release, principal, team, workflow, step, task,
            prompt, kind, outcome, finish_reason, model, cached, model_calls, input_tokens, output_tokens,
            cost_micro_usd, latency_s, details)
        SELECT gen_random_uuid(), gen_random_uuid(), now(), '', '', '', '', '', '', '', '', '', '', '', '', '', false,
            0, 0, 0, 0, 0, '{}'""",
    "release_content": f"(org_id, digest, content) SELECT {_DIGESTS}, ''",
}
"""Tables that are empty when nothing is under way, or come and go: their rows, once."""

# Which index finds the rows of a table; none where the rows are given by where they lie.
INDEXES: dict[str, tuple[str, dict[str, str]]] = {
    "FENCE": (store.FENCE, {"run_queue": "run_queue_pkey"}),
    "PROMOTE": (starting_store.PROMOTE, {"run_queue": "run_queue_pkey"}),
    "FIND_KEPT": (
        waits_store.FIND_KEPT,
        {"received_event_key": "received_event_key_pkey", "received_event": "received_event_pkey"},
    ),
    "SELECT_FILES": (
        catalog_store._SELECT_FILES,  # pyright: ignore[reportPrivateUsage]
        {"release_content": "release_content_pkey"},
    ),
}

# What takes away a number of rows at a time: chosen once, and not compared with each other.
SWEEPS = {
    "TAKE_TURNS": starting_store.TAKE_TURNS,
    "FORGET_BUCKETS": starting_store.FORGET_BUCKETS,
    "FORGET_DEDUPLICATED": starting_store.FORGET_DEDUPLICATED,
    "EXPIRE": waits_store.EXPIRE,
    "FORGET": rehearsals_store.FORGET,
    "SWEEP": caching_store.SWEEP,
    "FORGET_CALLS": records_store.FORGET_CALLS,
}


@pytest.fixture(scope="module")
def emptied(databases: Any) -> Iterator[psycopg.Connection]:
    """A connection to a database that PostgreSQL looked at when its tables had just been emptied."""
    with databases.fresh() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # rows of no organisation, and no triggers
        for table, rows in FILL.items():
            connection.execute(f"INSERT INTO {table} {rows} {_ROWS}".encode())
            connection.execute(f"DELETE FROM {table}".encode())
            connection.execute(f"ANALYZE {table}".encode())
        yield connection


@pytest.mark.parametrize("name", INDEXES)
def test_a_row_is_found_by_the_index_that_leads_to_it(emptied: psycopg.Connection, name: str):
    statement, wanted = INDEXES[name]
    plan = planned(emptied, statement)
    of_tables = [node for node in plan if node.get("Relation Name") in wanted and "Scan" in node["Node Type"]]
    assert "Seq Scan" not in {node["Node Type"] for node in of_tables}
    indexes = {node["Index Name"]: node.get("Index Cond", "") for node in plan if "Index Name" in node}
    assert {index for index in indexes if index.startswith(tuple(wanted))} == set(wanted.values())
    assert "digest" in indexes.get("release_content_pkey", "digest")


@pytest.mark.parametrize("name", SWEEPS)
def test_what_is_swept_is_not_compared_row_by_row(emptied: psycopg.Connection, name: str):
    """Each of a hundred thousand turns was compared with each of a hundred that were taken: 12 s instead of 1 ms."""
    assert not [node for node in planned(emptied, SWEEPS[name]) if re.search("Join|Nested", node["Node Type"])]


def test_a_page_of_events_begins_behind_its_cursor(emptied: psycopg.Connection):
    """Under row-level security each page read all of the organisation's events before it, whatever the statistics."""
    with emptied.transaction(force_rollback=True):
        emptied.execute(f"SET LOCAL ROLE {APP_ROLE}".encode())
        conditions = [node.get("Index Cond", "") for node in planned(emptied, client_store.EVENTS)]
    assert any("(place > (InitPlan" in condition for condition in conditions), conditions


def test_of_two_views_of_a_run_in_one_batch_the_later_one_is_written():
    """A retry's came before the end's, and the list said for ever that the run was queued."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    views = [View(status, None, "[]", None, "{}", now, None) for status in ("queued", "done")]
    columns = columns_of([Entry(ORG_ID, RUN_ID, view=view) for view in views])
    assert [row[1] for row in columns.views] == ["done"]
