"""`retention:` of projects: what it means, what is wrong with it, and whose word holds."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.api_cases import FILES, deployed

from signoff.catalog import ReleaseCatalog, load_project_files
from signoff.catalog.retention import retention_policies
from signoff.core.errors import DefinitionError
from signoff.core.ids import uuid7
from signoff.foundation.database import DEFAULT_ORG_ID, Database

DAY_S = 86_400.0


def with_retention(text: str) -> dict[str, str]:
    return {**FILES, "signoff.yaml": FILES["signoff.yaml"] + f"retention: {text}\n"}


async def test_a_project_that_says_nothing_keeps_its_runs_for_ever(database: Database):
    await deployed(database)
    (found,) = await retention_policies(database, ReleaseCatalog(database))
    assert list(found.policy.by_status()) == []


async def test_todays_release_speaks_for_all_releases_of_its_project(database: Database):
    first = await deployed(database)
    second = await deployed(database, with_retention("{done: 30d, failed: forever, cancelled: 12h, archive: old/desk}"))
    (found,) = await retention_policies(database, ReleaseCatalog(database))
    assert set(found.releases) == {first, second}
    assert list(found.policy.by_status()) == [("done", 30 * DAY_S), ("cancelled", DAY_S / 2), ("terminated", DAY_S / 2)]
    assert found.policy.archive == Path("old/desk")


async def test_of_several_environments_the_longest_time_holds(database: Database):
    await deployed(database, with_retention("{done: 30d, failed: 1d}"))
    await deployed(database, with_retention("{done: 90d}"), environment="prod")
    (found,) = await retention_policies(database, ReleaseCatalog(database))
    assert list(found.policy.by_status()) == [("done", 90 * DAY_S)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{done: soon}", "no time to keep runs"),
        ("{done: 30}", "must be text"),
        ("{ended: 30d}", "'ended' is not a known key"),
        ("{archive: ../elsewhere}", "leads out"),
        ("{archive: /elsewhere}", "leads out"),
        ("30d", "must be a mapping"),
    ],
)
def test_a_mistake_is_told(text: str, told: str):
    with pytest.raises(DefinitionError, match=told):
        load_project_files({name: content.encode() for name, content in with_retention(text).items()})


async def test_the_command_says_what_is_due_and_does_it(database: Database, database_url: str, tmp_path: Path):
    release = await deployed(database, with_retention("{done: 30d, archive: kept}"))
    at = datetime.now(UTC) - timedelta(days=40)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for _ in range(2):
            run_id = uuid7(time_ms=int(at.timestamp() * 1000))
            connection.execute(
                "INSERT INTO run (run_id, org_id, workflow, workflow_version, release, request_digest, started_by,"
                " started_at) VALUES (%s, %s, 'w', '1', %s, 'd', 'user/ana', %s)",
                (run_id, DEFAULT_ORG_ID, release, at),
            )
            connection.execute(
                "INSERT INTO run_view (run_id, org_id, workflow, status, started_at, updated_at, ended_at)"
                " VALUES (%s, %s, 'w', 'done', %s, %s, %s)",
                (run_id, DEFAULT_ORG_ID, at, at, at),
            )

    def command(*arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [Path(sys.executable).parent / "signoff", "retention", "run", "--json", "-C", str(tmp_path), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={"SIGNOFF_DATABASE__URL": database_url, "SIGNOFF_RETENTION__BATCH_RUNS": "1", "PATH": "/usr/bin:/bin"},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    due = command("--dry-run")["due"]
    assert [(item["project"], item["status"], item["runs"]) for item in due] == [("desk", "done", 2)]
    report = command()
    assert (report["archived_runs"], report["dropped_runs"]) == (2, 2)
    assert len(list((tmp_path / ".signoff/archives/kept").rglob("*.manifest.json"))) == 2  # batches as they are set
    assert command()["dropped_runs"] == 0
