"""Search on a real database, as the app role under row-level security."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from support.starts_cases import begin, one_step

from signoff.core.ids import uuid7
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.runtime.client import Debounce
from signoff.runtime.client.searching import each_run, find_runs, parse_filter
from signoff.runtime.starting import start_debounced

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

RUN = """
WITH r AS (
    INSERT INTO run (run_id, org_id, workflow, workflow_version, release, request_digest, started_by, started_at)
    VALUES ($1, $2, $3, '1.0.0', 'r1', 'd', 'user/ana', $4)
)
INSERT INTO run_view (run_id, org_id, workflow, status, outcome, started_at, updated_at, ended_at, data_class)
VALUES ($1, $2, $3, $5, $6, $4, $4, CASE WHEN $5 IN ('done', 'failed') THEN $4::timestamptz END, $7)
"""
ATTRIBUTES = """
INSERT INTO run_attribute (org_id, run_id, name, text_value, integer_value, number_value, moment_value)
VALUES ($1, $2, 'customer', $3, NULL, NULL, NULL), ($1, $2, 'cents', NULL, $4, NULL, NULL),
    ($1, $2, 'rate', NULL, NULL, $5, NULL), ($1, $2, 'due', NULL, NULL, NULL, $6)
"""
WORD = "INSERT INTO run_word (org_id, word, run_id) SELECT $1, unnest($3::text[]), $2"


async def planted(database: Database) -> dict[UUID, str]:
    """Six runs, named a to f, a day apart, the last one newest."""
    found: dict[UUID, str] = {}
    rows = [
        ("a", "support/refund", "done", "refunded", 0),
        ("b", "support/refund", "failed", None, 3),
        ("c", "support/reply", "waiting", None, 2),
        ("d", "billing/dunning", "done", "paid", 1),
        ("e", "billing/dunning", "queued", None, 0),
        ("f", "support/refund", "stuck", None, 0),
    ]
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        for place, (name, workflow, status, outcome, data_class) in enumerate(rows):
            moment = NOW - timedelta(days=5 - place)
            run_id = uuid7(time_ms=int(moment.timestamp() * 1000))
            found[run_id] = name
            await connection.execute(RUN, run_id, DEFAULT_ORG_ID, workflow, moment, status, outcome, data_class)
            due = NOW + timedelta(days=place)
            values = (f"c{place}", 500 * place, place / 2, due)
            await connection.execute(ATTRIBUTES, DEFAULT_ORG_ID, run_id, *values)
        failed = next(run_id for run_id, name in found.items() if name == "b")
        await connection.execute(WORD, DEFAULT_ORG_ID, failed, ["card", "expired", "timeout"])
        await connection.execute(
            "INSERT INTO run_queue (run_id, org_id, due_at, owner) VALUES ($1, $2, $3, $1)",
            next(run_id for run_id, name in found.items() if name == "e"),
            DEFAULT_ORG_ID,
            NOW,
        )
    return found


CASES = (
    ("", "fedcba"),
    ("workflow = 'support/refund'", "fba"),
    ("workflow ^= 'support/'", "fcba"),
    ("workflow != 'support/refund'", "edc"),
    ("workflow in ('support/reply', 'billing/dunning')", "edc"),
    ("status = 'running'", "e"),
    ("status = 'queued'", ""),
    ("status != 'done'", "fecb"),
    ("status in ('running', 'stuck')", "fe"),
    ("outcome = 'paid'", "d"),
    ("outcome != 'paid'", "fecba"),
    ("outcome ^= 'ref'", "a"),
    ("release ^= 'r'", "fedcba"),
    ("started_by = 'user/ana' and class >= 'confidential'", "cb"),
    ("class = 'internal'", "d"),
    ("started > -49h", "fed"),
    ("started >= '2026-11-18T12:00:00Z' and started < '2026-11-21T12:00:00Z'", "dcb"),
    ("started <= '2026-11-17T12:00:00Z'", "a"),
    ("ended > -3d", "d"),
    ("customer = 'c2'", "c"),
    ("customer != 'c2'", "fedba"),
    ("customer ^= 'c'", "fedcba"),
    ("customer in ('c1', 'c4', 'nobody')", "eb"),
    ("cents > 1000", "fed"),
    ("cents >= 1000 and cents < 2000", "dc"),
    ("rate > 1", "fed"),
    ("rate = 0.5", "b"),
    ("rate = 1", "c"),
    ("due > '2026-11-25'", "fed"),
    ("customer = 'c1' and cents > 1000", ""),
    ("nothing = 1", ""),
    ("text ~ 'expired CARD'", "b"),
    ("text ~ 'time'", "b"),
    ("text ~ 'refund timeout'", "b"),
    ("text ~ 'refund'", "fba"),
    ("text ~ 'refund' and status = 'done'", "a"),
    ("text ~ 'dunning paid'", "d"),
    ("text ~ 'card nowhere'", ""),
)


async def test_a_filter_finds_its_runs_newest_first(database: Database):
    names = await planted(database)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        for text, expected in CASES:
            wanted = parse_filter(text, now=NOW)
            found = await find_runs(connection, DEFAULT_ORG_ID, wanted)
            assert ("".join(names[run.run_id] for run in found), text) == (expected, text)
            page = await find_runs(connection, DEFAULT_ORG_ID, wanted, limit=2)
            if len(page) == 2:
                rest = await find_runs(connection, DEFAULT_ORG_ID, wanted, before=page[-1].run_id)
                assert [*page, *rest] == found, text
            each = [run.run_id async for run in each_run(connection, DEFAULT_ORG_ID, wanted, most=3)]
            assert each == [run.run_id for run in found][:3], text


async def test_another_organisation_finds_nothing(database: Database):
    await planted(database)
    other = uuid7()
    async with database.transaction(other) as connection:
        for text in ("", "customer ^= 'c'", "text ~ 'refund'", "cents > 0"):
            assert await find_runs(connection, other, parse_filter(text, now=NOW)) == []
            assert await find_runs(connection, DEFAULT_ORG_ID, parse_filter(text, now=NOW)) == []


async def test_a_run_that_was_debounced_is_found_by_when_it_started(database: Database):
    """Its id is from the first start of its key, hours before the run began."""
    debounce = Debounce("c-7", quiet_s=7200.0, max_wait_s=86_400.0)
    made = await begin(database, one_step(), now=NOW, debounce=debounce)
    assert await start_debounced(database, NOW + timedelta(hours=3)) == 1
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        for text, there in (
            ("started > '2026-11-22T14:00:00Z'", True),
            ("started >= '2026-11-22T16:00:00Z'", False),
            ("started < '2026-11-22T14:00:00Z'", False),
            ("started < '2026-11-22T16:00:00Z'", True),
        ):
            found = await find_runs(connection, DEFAULT_ORG_ID, parse_filter(text, now=NOW))
            assert [run.run_id for run in found] == [made.run_id][: int(there)], text
