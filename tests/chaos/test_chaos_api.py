"""kill -9 of the API in the middle of starts: what it answered is there, and what is sent again counts once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from support.api_cases import deployed
from support.killed import forkserver
from support.ports import lasting_port

from signoff.api import ApiServer, create_app
from signoff.core.actors import Actor
from signoff.core.clock import SystemClock
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.foundation.settings import ApiSettings, DatabaseSettings
from signoff.governance.identity import create_key

STARTS = 40


def serve(url: str, port: int) -> None:
    """The body of an API process."""

    async def main() -> None:
        async with await Database.open(DatabaseSettings(url=url)) as database:
            await ApiServer(create_app(database, ApiSettings(), SystemClock()), "127.0.0.1", port).serve()

    asyncio.run(main())


@asynccontextmanager
async def api_process(url: str, port: int) -> AsyncGenerator[Any]:
    process = forkserver.Process(target=serve, args=(url, port), daemon=True)
    await asyncio.to_thread(process.start)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for _ in range(1200):
                try:
                    await client.get("/health/live")
                    break
                except httpx.HTTPError:
                    await asyncio.sleep(0.05)
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.join, 10)


@pytest.mark.timeout(300)
async def test_starts_survive_kills_of_the_api(database: Database, database_url: str):
    """The client sends each start with its key until it is answered; the API dies under it again and again."""
    await deployed(database)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        creator = Actor(DEFAULT_ORG_ID, "system", "tests")
        _, key = await create_key(
            connection, DEFAULT_ORG_ID, "shop", ["clerk"], created_by=creator, now=SystemClock().now()
        )
    port = lasting_port()
    answered: dict[int, str] = {}
    sent = 0

    async def client() -> None:
        nonlocal sent
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20) as http:
            for number in range(STARTS):
                body = {"workflow": "desk/ask", "input": {"text": "hello", "cents": number}}
                while number not in answered:
                    sent += 1
                    try:
                        answer = await http.post("/v1/runs", json=body, headers={"Idempotency-Key": f"start-{number}"})
                    except httpx.HTTPError:
                        await asyncio.sleep(0.05)
                        continue
                    assert answer.status_code in (200, 201, 202, 503), answer.text
                    if answer.status_code != 503:
                        answered[number] = answer.json()["run_id"]

    task = asyncio.create_task(client())
    for wanted in (5, 15, 25):
        async with api_process(database_url, port) as process:
            while len(answered) < wanted and not task.done():  # noqa: ASYNC110  (it counts)
                await asyncio.sleep(0.005)
            os.kill(process.pid, signal.SIGKILL)
    async with api_process(database_url, port):
        await asyncio.wait_for(task, 120)
    async with database.worker_connection() as connection:
        rows = await connection.fetch("SELECT run_id FROM run")
        whole = await connection.fetchval(
            "SELECT count(*) FROM run JOIN run_queue USING (run_id) JOIN run_view USING (run_id)"
            " WHERE EXISTS (SELECT FROM journal j WHERE j.run_id = run.run_id AND j.seq = 1)"
        )
    assert {str(row["run_id"]) for row in rows} == set(answered.values())
    assert len(rows) == whole == STARTS
    assert sent > STARTS  # the kills did hit
