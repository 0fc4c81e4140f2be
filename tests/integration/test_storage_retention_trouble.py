"""Retention that cannot write or read something: told, tried again, and in nobody else's way."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from support.engine import eventually

from signoff.core.clock import SystemClock
from signoff.core.ids import uuid7
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.runtime.diagnosis import diagnose
from signoff.runtime.retention import ProjectRetention, Retention, RetentionPolicy, RetentionReport, RetentionSettings

OLD = datetime.now(UTC) - timedelta(days=40)
DAY_S = 86_400.0
OTHER_ORG = UUID("00000000-0000-0000-0000-0000000000b2")

RUN = """
INSERT INTO run (run_id, org_id, workflow, workflow_version, release, request_digest, started_by, started_at)
VALUES (%(run)s, %(org)s, 'w', '1', %(release)s, 'd', 'user/ana', %(at)s);
INSERT INTO run_view (run_id, org_id, workflow, status, started_at, updated_at, ended_at)
VALUES (%(run)s, %(org)s, 'w', 'done', %(at)s, %(at)s, %(at)s);
INSERT INTO journal (org_id, run_id, seq, kind, recorded_at, data) VALUES (%(org)s, %(run)s, 1, 'n', %(at)s, '{}')
"""


class SlowClock(SystemClock):
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.fixture
def url(database_url: str) -> str:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO organisation (id, name) VALUES (%s, 'other')", (OTHER_ORG,))
    return database_url


def planted(url: str, org_id: UUID = DEFAULT_ORG_ID, release: str = "r1", data: bytes = b"{}") -> UUID:
    run_id = uuid7(time_ms=int(OLD.timestamp() * 1000))
    values = {"run": run_id, "org": org_id, "at": OLD, "release": release}
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(RUN, values)
        connection.execute("UPDATE journal SET data = %s WHERE run_id = %s", (data, run_id))
    return run_id


def left(url: str) -> set[UUID]:
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute("SELECT run_id FROM journal")}


def written(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if str(DEFAULT_ORG_ID) in str(path)]


def wanted(org_id: UUID, project: str, release: str, archive: str | None) -> ProjectRetention:
    policy = RetentionPolicy(done_s=DAY_S, archive=None if archive is None else Path(archive))
    return ProjectRetention(org_id, project, (release,), policy)


def retention(
    database: Database,
    all_wanted: Sequence[ProjectRetention],
    archives: Path,
    clock: SystemClock | None = None,
    file_s: float = 60.0,
) -> Retention:
    async def policies() -> Sequence[ProjectRetention]:
        return all_wanted

    settings = RetentionSettings(interval_s=60.0, longest_retry_s=200.0, file_s=file_s)
    return Retention(database, policies, clock=clock or SystemClock(), archives=archives, settings=settings)


async def test_an_archive_that_cannot_be_written_holds_up_nobody_else(database: Database, url: str, tmp_path: Path):
    (tmp_path / "bad").write_text("in the way")
    stays = {planted(url), planted(url)}
    planted(url, release="r2")
    planted(url, OTHER_ORG)
    projects = [
        wanted(DEFAULT_ORG_ID, "bad", "r1", "bad"),
        wanted(DEFAULT_ORG_ID, "good", "r2", "good"),
        wanted(OTHER_ORG, "bad", "r1", None),
    ]
    report = await retention(database, projects, tmp_path).run()
    assert [(trouble.org_id, trouble.project) for trouble in report.troubles] == [(DEFAULT_ORG_ID, "bad")]
    assert "cannot be written" in report.troubles[0].detail
    assert (report.archived_runs, report.dropped_runs) == (1, 2)
    assert left(url) == stays
    async with database.worker_connection() as connection:
        found = await diagnose(connection, clock=SystemClock(), lease_s=10.0, disk=None)
    told = next(finding for finding in found if finding.check == "retention")
    assert told.status == "warning"
    assert "project bad" in told.detail
    assert "cannot be written" in told.detail


async def test_it_is_tried_again_after_longer_and_longer_pauses(database: Database, url: str, tmp_path: Path):
    (tmp_path / "bad").write_text("in the way")
    planted(url)
    clock = SlowClock()
    found = retention(database, [wanted(DEFAULT_ORG_ID, "p", "r1", "bad")], tmp_path, clock)
    pauses: list[float] = []
    for _ in range(4):
        (trouble,) = (await found.run()).troubles
        pauses.append(round((trouble.retry_at - clock.now()).total_seconds()))
        assert (await found.run()).troubles == []  # its time has not come
        clock.ahead += timedelta(seconds=pauses[-1] + 1)
    assert pauses == pytest.approx([60, 120, 200, 200], abs=25)  # less the time that the pass took
    (tmp_path / "bad").unlink()
    assert (await found.run()).dropped_runs == 1
    assert left(url) == set()


async def test_a_person_does_not_wait_for_its_time(database: Database, url: str, tmp_path: Path):
    (tmp_path / "bad").write_text("in the way")
    planted(url)
    found = retention(database, [wanted(DEFAULT_ORG_ID, "p", "r1", "bad")], tmp_path)
    assert len((await found.run()).troubles) == 1
    (tmp_path / "bad").unlink()
    report = await found.run(retry_all=True)
    assert (report.archived_runs, report.dropped_runs, report.troubles) == (1, 1, [])


async def test_a_project_that_names_another_archive_is_heard(database: Database, url: str, tmp_path: Path):
    (tmp_path / "bad").write_text("in the way")
    planted(url)
    await retention(database, [wanted(DEFAULT_ORG_ID, "p", "r1", "bad")], tmp_path).run()
    report = await retention(database, [wanted(DEFAULT_ORG_ID, "p", "r1", "good")], tmp_path).run(retry_all=True)
    assert (report.archived_runs, report.dropped_runs) == (1, 1)
    assert len(list((tmp_path / "good").rglob("*.manifest.json"))) == 1


async def test_a_journal_that_nobody_can_read_holds_up_nobody_else(database: Database, url: str, tmp_path: Path):
    unreadable = planted(url, data=b"\x1f of a codec that is not here")
    planted(url, OTHER_ORG)
    projects = [wanted(DEFAULT_ORG_ID, "p", "r1", "a"), wanted(OTHER_ORG, "p", "r1", "a")]
    report = await retention(database, projects, tmp_path).run()
    assert (len(report.troubles), report.dropped_runs) == (1, 1)
    assert left(url) == {unreadable}


@pytest.mark.parametrize("archive", ["../outside", "/tmp", "link"])
async def test_nothing_is_written_outside_of_the_directory_of_archives(
    database: Database, url: str, tmp_path: Path, archive: str
):
    """Batches of earlier versions, and links that somebody put there, are held to the directory when it is used."""
    archives = tmp_path / "archives"
    archives.mkdir()
    (archives / "link").symlink_to(tmp_path)
    run_id = planted(url)
    report = await retention(database, [wanted(DEFAULT_ORG_ID, "p", "r1", archive)], archives).run()
    assert "leads out" in report.troubles[0].detail
    assert left(url) == {run_id}
    assert written(tmp_path) == []


async def test_what_failed_is_in_one_archive_in_the_end(database: Database, url: str, tmp_path: Path):
    """A run of a batch that waits is planned in no other batch meanwhile."""
    (tmp_path / "bad").write_text("in the way")
    runs = {planted(url) for _ in range(3)}
    found = retention(database, [wanted(DEFAULT_ORG_ID, "p", "r1", "bad")], tmp_path)
    for _ in range(3):
        report = RetentionReport()
        assert "dropped" not in [step async for step in found.steps(report)]
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*), max(cardinality(run_ids)) FROM retention_batch").fetchone()
    assert row == (1, len(runs))


def hanging_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "signoff-archive bad"]


async def test_an_archive_that_hangs_is_given_up_and_left_alone_while_it_does(
    database: Database, url: str, tmp_path: Path
):
    """A pipe that nobody writes to is read for ever, as a file is whose server is away."""
    (tmp_path / "bad").write_text("in the way")
    hanging = planted(url)
    planted(url, release="r2")
    projects = [wanted(DEFAULT_ORG_ID, "bad", "r1", "bad"), wanted(DEFAULT_ORG_ID, "good", "r2", "good")]
    found = retention(database, projects, tmp_path, file_s=0.5)
    assert len((await found.run()).troubles) == 1  # planned, so that its files have names
    async with database.worker_connection() as connection:
        batch_id = await connection.fetchval("SELECT batch_id FROM retention_batch WHERE problem IS NOT NULL")
    (tmp_path / "bad").unlink()
    directory = tmp_path / "bad" / str(DEFAULT_ORG_ID)
    directory.mkdir(parents=True)
    pipe = directory / f"{batch_id}.manifest.json"
    os.mkfifo(pipe)
    try:
        async with asyncio.timeout(60):
            (trouble,) = (await found.run(retry_all=True)).troubles
            assert "did not answer within 0.5 s" in trouble.detail
            assert len(hanging_threads()) == 1
            planted(url, release="r2")
            report = await found.run(retry_all=True)
        assert "hangs still" in report.troubles[0].detail
        assert (len(hanging_threads()), report.dropped_runs) == (1, 1)  # the others' archive goes on
    finally:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))  # whoever reads is let go
    pipe.unlink()
    await eventually(lambda: not hanging_threads())
    assert left(url) == {hanging}
    assert (await found.run(retry_all=True)).dropped_runs == 1
    assert left(url) == set()
