"""Retention: finished runs leave in batches that may be interrupted anywhere; everything else stays."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import psycopg
import pytest
from backports import zstd

from signoff.core.clock import SystemClock
from signoff.core.ids import digest, uuid7
from signoff.foundation.database import DEFAULT_ORG_ID, Database, DatabaseError
from signoff.runtime.artifacts import Content, keep
from signoff.runtime.retention import ProjectRetention, Retention, RetentionPolicy, RetentionReport, RetentionSettings

NOW = datetime.now(UTC)
DAY_S = 86_400.0
ARCHIVED = RetentionPolicy(done_s=DAY_S, archive=Path("old"))
SMALL = RetentionSettings(batch_runs=2)
TABLES = (
    "run",
    "run_view",
    "journal",
    "review",
    "approval_use",
    "emitted_event",
    "run_attribute",
    "run_word",
    "run_vault",
)

RUN = """
INSERT INTO run (run_id, org_id, workflow, workflow_version, release, idempotency_key, request_digest, started_by,
    started_at)
VALUES (%(run)s, %(org)s, 'w', '1', 'r1', %(key)s, 'd', 'user/ana', %(at)s);
INSERT INTO run_view (run_id, org_id, workflow, status, started_at, updated_at, ended_at)
VALUES (%(run)s, %(org)s, 'w', %(status)s, %(at)s, %(at)s,
    CASE WHEN %(status)s IN ('done', 'failed', 'cancelled', 'terminated') THEN %(at)s::timestamptz END);
INSERT INTO journal (org_id, run_id, seq, kind, recorded_at, data)
SELECT %(org)s, %(run)s, n, 'step.noted', %(at)s, '{"n":1}' FROM generate_series(1, 5) n;
INSERT INTO emitted_event (event_id, org_id, run_id, path, type, emitted_at, data, labels, place)
VALUES (gen_random_uuid(), %(org)s, %(run)s, 'e', 't', %(at)s, '{}', '{}', nextval('emitted_event_place'));
INSERT INTO run_attribute (org_id, run_id, name, text_value) VALUES (%(org)s, %(run)s, 'customer', 'c1');
INSERT INTO run_word (org_id, word, run_id) VALUES (%(org)s, 'c1', %(run)s);
INSERT INTO run_vault (org_id, run_id, nonce, tokens) VALUES (%(org)s, %(run)s, 'abcdefgh', '{}');
INSERT INTO review (org_id, review_id, run_id, path, workflow, workflow_version, risk, release, title, role, started_by,
    status, presented, digest, annotations, opened_at, closed_at)
VALUES (%(org)s, %(run)s, %(run)s, 'ask', 'w', '1', 'low', 'r1', 't', 'lead', 'user/ana',
    'withdrawn', '{}', encode(sha256('{}'), 'hex'), '{}', %(at)s, %(at)s);
INSERT INTO approval_use (review_id, org_id, run_id, path, seq, digest)
VALUES (%(run)s, %(org)s, %(run)s, 'ask', 1, 'd')
"""
QUEUED = "INSERT INTO run_queue (run_id, org_id, due_at) VALUES (%s, %s, now() + interval '1 year')"


def planted(url: str, status: str, age: timedelta, *, key: str | None = None, queued: bool = False) -> UUID:
    at = NOW - age
    run_id = uuid7(time_ms=int(at.timestamp() * 1000))
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(RUN, {"run": run_id, "org": DEFAULT_ORG_ID, "at": at, "status": status, "key": key})
        if queued:
            connection.execute(QUEUED, (run_id, DEFAULT_ORG_ID))
    return run_id


def left(url: str, table: str) -> set[UUID]:
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute(f"SELECT DISTINCT run_id FROM {table}")}  # type: ignore[arg-type]


def retention(
    database: Database,
    policy: RetentionPolicy,
    settings: RetentionSettings = SMALL,
    archives: Path = Path("/nonexistent"),
) -> Retention:
    async def policies() -> list[ProjectRetention]:
        return [ProjectRetention(DEFAULT_ORG_ID, "p", ("r0", "r1"), policy)]

    return Retention(database, policies, clock=SystemClock(), settings=settings, archives=archives)


def archived(directory: Path) -> dict[UUID, dict[str, Any]]:
    """Runs by id, of every manifest; each file is as its manifest says."""
    found: dict[UUID, dict[str, Any]] = {}
    for manifest in directory.rglob("*.manifest.json"):
        told = orjson.loads(manifest.read_bytes())
        content = (manifest.parent / told["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == told["sha256"]
        lines = [orjson.loads(line) for line in zstd.decompress(content).splitlines()]
        assert lines[0]["format"] == "signoff.archive/1"
        for run in told["runs"]:
            run_id = UUID(run["run_id"])
            assert run_id not in found, "archived twice"
            found[run_id] = {**run, "lines": [line for line in lines if str(run_id) in str(line)]}
    assert list(directory.rglob("*.part")) == []
    return found


async def test_finished_runs_leave_by_status_and_age_and_all_others_stay(database: Database, database_url: str):
    old, young = timedelta(days=40), timedelta(days=20)
    gone = {planted(database_url, status, old) for status in ("done", "cancelled", "terminated")}
    keyed = planted(database_url, "done", old, key="k-1")
    kept = {planted(database_url, status, young) for status in ("done", "cancelled")}
    kept |= {planted(database_url, "failed", old)}
    parked = {planted(database_url, status, old, queued=True) for status in ("waiting", "queued", "stuck", "done")}
    report = await retention(database, RetentionPolicy(30 * DAY_S, None, 30 * DAY_S)).due()
    assert {item.status: item.runs for item in report.due} == {"done": 2, "cancelled": 1, "terminated": 1}
    report = await retention(database, RetentionPolicy(30 * DAY_S, None, 30 * DAY_S)).run()
    assert (report.dropped_runs, report.archived_runs) == (4, 0)
    for table in TABLES:
        assert left(database_url, table) == kept | parked | ({keyed} if table == "run" else set()), table
    again = await retention(database, RetentionPolicy(30 * DAY_S, None, 30 * DAY_S)).run()
    assert again.dropped_runs == 0
    assert gone.isdisjoint(left(database_url, "run"))


async def test_it_may_be_killed_after_any_step_and_goes_on(database: Database, database_url: str, tmp_path: Path):
    """After each step of each pass another one begins anew; nothing is half gone meanwhile, nothing archived twice."""
    runs = {planted(database_url, "done", timedelta(days=40 + n)) for n in range(5)}
    steps: list[str] = []
    for turn in range(60):
        report = RetentionReport()
        passing = retention(database, ARCHIVED, archives=tmp_path).steps(report)
        try:
            for _ in range(turn % 6 + 1):  # killed after its first step each time, an archive would never be whole
                steps.append(await anext(passing))  # noqa: PERF401  (what ends it comes in between)
        except StopAsyncIteration:
            break
        finally:
            await passing.aclose()  # what a kill leaves: its connection and its lock go, files stay as they are
        everywhere = [left(database_url, table) for table in TABLES]
        assert all(found == everywhere[0] for found in everywhere), "half gone"
    else:
        pytest.fail("it never came to an end")
    assert {"planned", "written beside", "dropped"} <= set(steps)
    assert left(database_url, "journal") == set()
    found = archived(tmp_path)
    assert found.keys() == runs


@pytest.mark.parametrize("survived", range(1, 7))
async def test_what_a_kill_left_is_finished_by_one_pass(
    database: Database, database_url: str, tmp_path: Path, survived: int
):
    runs = {planted(database_url, "done", timedelta(days=40 + n)) for n in range(3)}
    passing = retention(database, ARCHIVED, archives=tmp_path).steps(RetentionReport())
    for _ in range(survived):
        await anext(passing)
    await passing.aclose()
    report = await retention(database, ARCHIVED, archives=tmp_path).run()
    assert report.leader
    assert left(database_url, "run") == set()
    assert archived(tmp_path).keys() == runs


async def test_an_archive_holds_everything_of_its_runs(database: Database, database_url: str, tmp_path: Path):
    run_id = planted(database_url, "done", timedelta(days=40))
    content = Content(digest(b"large"), b"large", "text/plain", 1)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        await keep(connection, DEFAULT_ORG_ID, run_id, [content], NOW)
    await retention(database, ARCHIVED, archives=tmp_path).run()
    found = archived(tmp_path)[run_id]
    tables = {line["table"] for line in found["lines"]}
    assert tables >= {"run", "run_view", "journal", "review", "approval_use", "emitted_event", "run_attribute"}
    events = [line for line in found["lines"] if line["table"] == "journal"]
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5]
    assert events[0]["data"] == {"n": 1}
    artifact = next(line for line in found["lines"] if line["table"] == "artifact")
    assert artifact["base64"] == "bGFyZ2U="


async def test_an_artifact_goes_with_its_last_run(database: Database, database_url: str):
    first, second = (planted(database_url, "done", timedelta(days=age)) for age in (40, 10))
    shared, own = (Content(digest(text), text, "text/plain", 1) for text in (b"shared", b"own"))
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        await keep(connection, DEFAULT_ORG_ID, first, [shared, own], NOW)
        await keep(connection, DEFAULT_ORG_ID, second, [shared], NOW)
    await retention(database, RetentionPolicy(done_s=30 * DAY_S)).run()

    def digests(table: str) -> set[str]:
        with psycopg.connect(database_url) as connection:
            return {row[0] for row in connection.execute(f"SELECT digest FROM {table}")}  # type: ignore[arg-type]

    assert digests("artifact") == digests("artifact_chunk") == {shared.digest}
    await retention(database, RetentionPolicy(done_s=5 * DAY_S)).run()
    assert digests("artifact") == digests("artifact_chunk") == set()


async def test_a_run_taken_up_again_between_plan_and_drop_stays(database: Database, database_url: str):
    run_id = planted(database_url, "done", timedelta(days=40))
    passing = retention(database, RetentionPolicy(done_s=DAY_S)).steps(RetentionReport())
    assert await anext(passing) == "planned"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(QUEUED, (run_id, DEFAULT_ORG_ID))
    assert await anext(passing) == "dropped"
    await passing.aclose()
    assert left(database_url, "journal") == {run_id}


async def test_one_process_at_a_time(database: Database, database_url: str):
    planted(database_url, "done", timedelta(days=40))
    leading = retention(database, RetentionPolicy(done_s=DAY_S)).steps(RetentionReport())
    await anext(leading)
    other = await retention(database, RetentionPolicy(done_s=DAY_S)).run()
    assert (other.leader, other.dropped_runs) == (False, 0)
    await leading.aclose()
    assert (await retention(database, RetentionPolicy(done_s=DAY_S)).run()).dropped_runs == 1


async def test_long_runs_make_batches_of_their_own(database: Database, database_url: str):
    for n in range(3):
        planted(database_url, "done", timedelta(days=40 + n))
    report = RetentionReport()
    settings = RetentionSettings(batch_events=6)
    steps = [s async for s in retention(database, RetentionPolicy(done_s=DAY_S), settings).steps(report)]
    assert steps == ["planned", "dropped"] * 3


async def test_a_month_that_is_over_and_empty_goes_and_no_other(database: Database, database_url: str):
    old = NOW - timedelta(days=100)
    months = {f"journal_{NOW - timedelta(days=days):%Y_%m}" for days in (100, 70, 31)}
    with psycopg.connect(database_url, autocommit=True) as connection:
        for days in (100, 70, 31):
            connection.execute("ALTER TABLE journal DETACH PARTITION journal_past")
            month = (NOW - timedelta(days=days)).date()
            connection.execute("SELECT signoff_add_journal_month(%s)", (month,))
            first = connection.execute("SELECT signoff_first_run_id('1970-01-01')").fetchone()
            connection.execute(
                f"ALTER TABLE journal ATTACH PARTITION journal_past FOR VALUES FROM (MINVALUE) TO ('{first[0]}')"  # type: ignore[index,arg-type]
            )
    planted(database_url, "done", NOW - old)
    waiting = planted(database_url, "waiting", timedelta(days=70), queued=True)
    report = await retention(database, RetentionPolicy(done_s=DAY_S)).run()
    assert report.dropped_runs == 1
    assert f"{old:%Y-%m}" in report.dropped_months
    assert f"{NOW - timedelta(days=70):%Y-%m}" not in report.dropped_months
    assert left(database_url, "journal") == {waiting}
    with psycopg.connect(database_url) as connection:
        there = {row[0] for row in connection.execute("SELECT relname FROM pg_class WHERE relispartition")}
    assert len(months & there) == 2


@pytest.mark.parametrize("role", ["signoff_app", "signoff_worker"])
def test_neither_role_drops_events_but_by_a_recorded_batch(database_url: str, role: str):
    run_id = planted(database_url, "done", timedelta(days=40))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"SET ROLE {role}")  # type: ignore[arg-type]
        connection.execute("SELECT set_config('signoff.org_id', %s, false)", (str(DEFAULT_ORG_ID),))
        refused: list[Callable[[], Any]] = [
            lambda: connection.execute("DELETE FROM journal"),
            lambda: connection.execute("UPDATE journal SET data = ''"),
            lambda: connection.execute("DROP TABLE journal_past"),
        ]
        if role == "signoff_app":
            refused.append(
                lambda: connection.execute("SELECT signoff_retire_batch(%s, %s, now())", (DEFAULT_ORG_ID, run_id))
            )
        for statement in refused:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                statement()
    assert left(database_url, "journal") == {run_id}


async def test_a_batch_that_is_not_archived_yet_is_not_dropped(database: Database, database_url: str, tmp_path: Path):
    run_id = planted(database_url, "done", timedelta(days=40))
    passing = retention(database, ARCHIVED, archives=tmp_path).steps(RetentionReport())
    await anext(passing)
    await passing.aclose()
    async with database.worker_connection() as connection:
        batch = await connection.fetchval("SELECT batch_id FROM retention_batch")
        with pytest.raises(DatabaseError, match="not archived yet"):
            await connection.fetchval("SELECT signoff_retire_batch($1, $2, now())", DEFAULT_ORG_ID, batch)
    assert left(database_url, "journal") == {run_id}


async def test_what_a_run_took_of_events_stays_for_the_run_that_it_goes_on_as(database: Database, database_url: str):
    old = planted(database_url, "done", timedelta(days=40))
    with psycopg.connect(database_url, autocommit=True) as connection:
        event = connection.execute(
            "INSERT INTO received_event (org_id, source, event_id, type, sent_by, projects, received_at, expires_at,"
            " data) VALUES (%s, 's', 'e', 't', 'user/ana', '{p}', now(), now() + interval '7 days', '{}')"
            " RETURNING event_no",
            (DEFAULT_ORG_ID,),
        ).fetchone()
        assert event is not None
        connection.execute(
            "INSERT INTO event_taken (chain_id, run_id, path, event_no, org_id) VALUES (%s, %s, 'w', %s, %s)",
            (old, old, event[0], DEFAULT_ORG_ID),
        )
    assert (await retention(database, RetentionPolicy(30 * DAY_S)).run()).dropped_runs == 1
    assert left(database_url, "event_taken") == {old}
