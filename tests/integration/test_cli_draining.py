"""What SIGTERM does to the real commands that execute runs: a call under way, its run, the session, the exit code."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from uuid import UUID

import pytest
from support.api_cases import write_project
from support.cli_cases import Process, running
from support.engine import ACTOR, eventually

from signoff.catalog import load_project
from signoff.catalog.releases import point_environment, register
from signoff.core.clock import SystemClock
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.runtime import StartRequest, client, start_run

FILES = {
    "signoff.yaml": "project: shop\nroles: {lead: Leads.}\n",
    "policies/all.cedar": '@id("all")\npermit (principal, action, resource);\n',
    "tools/pay.yaml": """tool: pay
about: Pays.
effect: write
trigger: any
python: "tools/pay.py:pay"
timeout: 60s
input: {type: object, properties: {}, additionalProperties: false}
output: {type: object}
idempotency: {recovery: ask}
""",
    "tools/pay.py": """import asyncio
from pathlib import Path


async def pay(arguments):
    here = Path(@HERE@)
    with (here / "paid").open("a") as paid:
        paid.write("x")
    while not (here / "answer").exists():
        await asyncio.sleep(0.01)
    return {}
""",
    "workflows/pay.yaml": """workflow: shop/pay
version: 1.0.0
about: Pays.
owner: team/test
risk: low
input: {type: object, properties: {}, additionalProperties: false}
steps:
  pay: {tool: pay, with: {}}
  after: {requires: pay, set: {n: 1}}
outcome: {paid: after.done}
""",
}
LEFT = "SELECT (SELECT count(*) FROM worker_session), (SELECT owner FROM run_queue WHERE run_id = $1)"


async def begun(database: Database, root: Path) -> UUID:
    """A run whose call waits for the file `answer`; some process works for environment `dev`."""
    project = load_project(root)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        digest = await register(connection, DEFAULT_ORG_ID, project, ACTOR)
        await point_environment(connection, DEFAULT_ORG_ID, project.name, "dev", digest, actor=ACTOR)
        request = StartRequest(project.workflows["shop/pay"], digest, {}, ACTOR)
        run_id = (await start_run(connection, request, now=SystemClock().now())).run_id
    await eventually((root / "paid").exists, 60)
    return run_id


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_project(tmp_path, {path: text.replace("@HERE@", repr(str(tmp_path))) for path, text in FILES.items()})


async def left(database: Database, run_id: UUID) -> tuple[int, UUID | None]:
    async with database.worker_connection() as connection:
        row = await connection.fetchrow(LEFT, run_id)
    assert row is not None
    return row[0], row[1]


async def told(root: Path, text: str) -> None:
    await eventually(lambda: text in (root / "stderr.txt").read_text(), 60)


async def test_a_call_under_way_is_finished_and_the_rest_left_to_others(
    database: Database, database_url: str, root: Path
):
    variables = {"SIGNOFF_DATABASE__URL": database_url}
    with running("worker", "--json", cwd=root, variables=variables) as worker:
        await asyncio.to_thread(worker.line)
        run_id = await begun(database, root)
        _signal(worker, signal.SIGTERM)
        await told(root, "work under way is finished first")
        (root / "answer").touch()
        assert await asyncio.to_thread(worker.ended) == 0
    assert (root / "paid").read_text() == "x"
    assert await left(database, run_id) == (0, None)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        kinds = [event.kind for event in await client.read_journal(connection, DEFAULT_ORG_ID, run_id)]
    assert kinds.count("step.ended") == 1  # `after` begins elsewhere


async def test_the_time_to_drain_is_as_set(database: Database, database_url: str, root: Path):
    """`signoff dev` waited for 20 seconds whatever it was told."""
    variables = {"SIGNOFF_DATABASE__URL": database_url, "SIGNOFF_WORKER__SHUTDOWN_TIMEOUT_S": "0.2"}
    with running("dev", "--port", "0", "--json", cwd=root, variables=variables) as process:
        await asyncio.to_thread(process.line)
        run_id = await begun(database, root)
        assert await asyncio.to_thread(process.stop, signal.SIGTERM) == 0
    assert "1 runs were still busy after 0.2 s" in (root / "stderr.txt").read_text()
    assert await left(database, run_id) == (0, None)


async def test_a_second_signal_waits_for_nothing_and_frees_the_runs(database: Database, database_url: str, root: Path):
    variables = {"SIGNOFF_DATABASE__URL": database_url, "SIGNOFF_WORKER__SHUTDOWN_TIMEOUT_S": "3600"}
    with running("worker", "--json", cwd=root, variables=variables) as worker:
        await asyncio.to_thread(worker.line)
        run_id = await begun(database, root)
        _signal(worker, signal.SIGTERM)
        await told(root, "Once more stops at once")
        assert await asyncio.to_thread(worker.stop, signal.SIGTERM) == 130
    assert await left(database, run_id) == (0, None)
    assert "Traceback" not in (root / "stderr.txt").read_text()


def _signal(process: Process, number: int) -> None:
    assert process.process.pid is not None
    os.kill(process.process.pid, number)
