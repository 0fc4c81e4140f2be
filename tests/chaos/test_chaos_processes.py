"""kill -9 of the real `signoff serve` and of the real `signoff worker`, by turns, while runs are started and pay."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from support.cli_cases import running
from support.engine import eventually
from support.killed import Sink
from support.ports import lasting_port
from tests.chaos.test_chaos_killed_worker import outcomes, project, stories

from signoff.catalog.releases import point_environment, register
from signoff.core.actors import Actor
from signoff.core.clock import SystemClock
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.governance.identity import create_key

RUNS = 16
CREATOR = Actor(DEFAULT_ORG_ID, "system", "tests")


async def deployed(database: Database, sink: Sink) -> str:
    """A key that may start the paying workflow."""
    made = project(sink.url)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        digest = await register(connection, DEFAULT_ORG_ID, made, CREATOR)
        await point_environment(connection, DEFAULT_ORG_ID, made.name, "dev", digest, actor=CREATOR)
        _, key = await create_key(
            connection, DEFAULT_ORG_ID, "shop", ["lead"], created_by=CREATOR, now=SystemClock().now()
        )
    return key


async def start_all(port: int, key: str, answered: dict[int, UUID]) -> None:
    """Start each run until that is answered, whatever becomes of the server meanwhile."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20) as http:
        for number in range(RUNS):
            body = {"workflow": "chaos/pay", "input": {"n": number}}
            while number not in answered:
                try:
                    answer = await http.post("/v1/runs", json=body, headers={"Idempotency-Key": f"start-{number}"})
                except httpx.HTTPError:
                    await asyncio.sleep(0.05)
                    continue
                assert answer.status_code in (200, 201, 202, 503), answer.text
                if answer.status_code != 503:
                    answered[number] = UUID(answer.json()["run_id"])


@pytest.mark.slow  # the lease of a real worker is ten seconds, and each process starts anew
@pytest.mark.timeout(300)
async def test_server_and_worker_are_killed_by_turns(database: Database, database_url: str, tmp_path: Path):
    variables = {"SIGNOFF_DATABASE__URL": database_url}
    with Sink() as sink:
        key, port = await deployed(database, sink), lasting_port()
        answered: dict[int, UUID] = {}
        serve, work = ("serve", "--port", str(port), "--json"), ("worker", "--json")
        starting = asyncio.create_task(start_all(port, key, answered))
        with running(*work, cwd=tmp_path, variables=variables) as doomed_worker:
            await asyncio.to_thread(doomed_worker.line)
            with running(*serve, cwd=tmp_path, variables=variables) as doomed_server:
                await eventually(lambda: len(answered) >= RUNS // 4, 60)
                await asyncio.to_thread(doomed_server.stop, signal.SIGKILL)
            with running(*serve, cwd=tmp_path, variables=variables) as server:
                assert json.loads(await asyncio.to_thread(server.line))["ready"]
                await eventually(lambda: len(sink.payments) > RUNS // 4, 60)
                await asyncio.to_thread(doomed_worker.stop, signal.SIGKILL)
                await starting  # with no worker up
                assert len(answered) == RUNS
        with running(*work, cwd=tmp_path, variables=variables):  # and the rest with no server up
            runs = [answered[number] for number in range(RUNS)]
            found = await outcomes(database, runs, 120)
        assert found == ["paid"] * RUNS, await stories(database, runs, found)
        assert sorted(sink.payments) == sorted(f"pay/{number}" for number in range(RUNS))
        assert set(sink.payments.values()) == {1}
