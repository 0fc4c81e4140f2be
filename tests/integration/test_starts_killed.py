"""Queues and schedules with real processes: kill -9 at any event, and SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack

import pytest
from support.engine import ACTOR, eventually
from support.killed import worker_process
from support.starts_cases import bounded, nothing_left

from signoff.catalog.projects import load_project_files
from signoff.catalog.releases import point_environment, register
from signoff.core.clock import SystemClock
from signoff.foundation.database import Database
from signoff.runtime import StartRequest, start_run
from signoff.runtime.client.emitted import list_events
from signoff.runtime.queues import QueuePlace, queue_path

FILES = {
    "signoff.yaml": "project: chaos\nroles: {lead: Leads.}\nqueues: {few: {concurrency: 3}}\n",
    "policies/all.cedar": '@id("all")\npermit (principal, action, resource);\n',
    "workflows/sum.yaml": """workflow: chaos/sum
version: 1.0.0
about: Adds, and tells.
owner: team/test
risk: low
input: {type: object, properties: {n: {type: integer}}, required: [n], additionalProperties: false}
steps:
  twice: {set: {n: "${input.n * 2}"}}
  pause: {wait: 30ms, requires: twice}
  tell: {requires: pause, emit: chaos.summed.v1, payload: {n: "${twice.n}"}}
outcome: {told: tell.done}
""",
}


async def started(database: Database, count: int) -> None:
    made = load_project_files({path: text.encode() for path, text in FILES.items()})
    place = QueuePlace(bounded("few", concurrency=3), queue_path("dev", "chaos", "few"))
    async with database.transaction(ACTOR.org_id) as connection:
        digest = await register(connection, ACTOR.org_id, made, ACTOR)
        await point_environment(connection, ACTOR.org_id, made.name, "dev", digest, actor=ACTOR)
        for n in range(count):
            request = StartRequest(made.workflows["chaos/sum"], digest, {"n": n}, ACTOR, place=place)
            await start_run(connection, request, now=SystemClock().now())


async def admitted_and_left(database: Database) -> tuple[int, int]:
    async with database.worker_connection() as connection:
        row = await connection.fetchrow(
            "SELECT count(*) FILTER (WHERE gate IS NULL) AS admitted, count(*) AS left_over FROM run_queue"
        )
    assert row is not None
    return row["admitted"], row["left_over"]


@pytest.mark.timeout(280)
async def test_kills_neither_pass_a_limit_nor_strand_a_run(database: Database, database_url: str):
    await started(database, 12)
    left, survives = 12, 25
    async with asyncio.timeout(250):
        while left:
            async with AsyncExitStack() as stack:
                # Two that die soon, at another event each time, and are followed by others.
                processes = [
                    await stack.enter_async_context(worker_process(database_url, survives + n)) for n in (0, 7)
                ]
                while left and any(process.is_alive() for process in processes):
                    admitted, left = await admitted_and_left(database)
                    assert admitted <= 3
                    await asyncio.sleep(0.02)
            survives += 40
    await nothing_left(database)
    async with database.transaction(ACTOR.org_id) as connection:
        events = await list_events(connection, ACTOR.org_id, limit=100)
    assert sorted(event.data["n"] for event in events) == [2 * n for n in range(12)]


async def test_a_worker_that_is_asked_to_stop_gives_its_runs_back_and_the_next_one_goes_on(
    database: Database, database_url: str
):
    await started(database, 12)

    async def some_are_done() -> bool:
        return (await admitted_and_left(database))[1] < 12

    async def all_are_done() -> bool:
        return (await admitted_and_left(database))[1] == 0

    async with worker_process(database_url) as process:
        await eventually(some_are_done, 60)
        os.kill(process.pid, signal.SIGTERM)
        await asyncio.to_thread(process.join, 30)
        assert process.exitcode == 0
    async with database.worker_connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM run_queue WHERE owner IS NOT NULL") == 0
        assert await connection.fetchval("SELECT count(*) FROM worker_session") == 0
    async with worker_process(database_url):
        await eventually(all_are_done, 60)
    await nothing_left(database)
