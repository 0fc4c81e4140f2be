"""Durable steps per second through the real worker, on the embedded PostgreSQL with fsync on.

Every step of every run is an event of its own in the journal. `bare` is the ceiling: the same rows by group commit, 64
writers in flight, no engine. `steps_per_s_256` works off a backlog with 256 runs in memory; `run_p50_ms` is one run
alone, from the start call to the notification that it has ended.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from signoff.catalog.model import Project, Release
from signoff.catalog.projects import load_project_files
from signoff.catalog.releases import point_environment, register
from signoff.core.actors import Actor
from signoff.core.clock import SystemClock
from signoff.foundation.database import DEFAULT_ORG_ID, Database, EmbeddedServer, migrate
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime import RuntimeSettings, StartRequest, Worker, start_run
from signoff.runtime.session import ENDED_CHANNEL, WAKE_CHANNEL
from signoff.steps import open_worker

STEPS = 5
ACTOR = Actor(DEFAULT_ORG_ID, "user", "bench", frozenset({"admin"}))
FILES = {
    "signoff.yaml": b"project: bench\n",
    "workflows/noop.yaml": b"""workflow: bench/noop
version: 1.0.0
about: Five steps that do nothing but follow each other.
owner: team/bench
risk: low
input: {type: object, properties: {n: {type: integer}}, required: [n], additionalProperties: false}
steps:
  a: {set: {n: "${input.n}"}}
  b: {set: {n: "${a.n}"}}
  c: {set: {n: "${b.n}"}}
  d: {set: {n: "${c.n}"}}
  e: {set: {n: "${d.n}"}}
outcome: {done: e.done}
""",
}

BARE_TABLE = """
CREATE TABLE bare (run_id uuid, seq int, org_id uuid, kind text, recorded_at timestamptz, session_id uuid, data bytea,
    PRIMARY KEY (run_id, seq))
"""
BARE_GRANT = "GRANT INSERT ON bare TO signoff_worker"
BARE_INSERT = """
INSERT INTO bare (org_id, run_id, seq, kind, recorded_at, data)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::timestamptz[], $6::bytea[])
"""


def run(*, quick: bool) -> dict[str, float]:
    """The figures, by their names in RESULTS.md."""
    return uvloop.run(_measure(quick=quick))


async def _measure(*, quick: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as directory:
        server = EmbeddedServer(Path(directory))
        url = await asyncio.to_thread(server.start)
        try:
            await asyncio.to_thread(migrate, url)
            async with await Database.open(DatabaseSettings(url=url)) as database:
                bare = await _bare(url, database, seconds=1.0 if quick else 5.0)
                release = await _released(database)
                alone_ms = await _alone(database, release, runs=50 if quick else 500)
                rates = [
                    await _backlog(database, release, runs=1000 if quick else 8000) for _ in range(1 if quick else 3)
                ]
        finally:
            await asyncio.to_thread(server.stop, delete=True)
    rate = statistics.median(rates)
    figures = {
        "steps_per_s_256": round(rate),
        "steps_per_s_1": round(STEPS * 1000 / statistics.median(alone_ms)),
        "run_p50_ms": round(statistics.median(alone_ms), 2),
        "run_p99_ms": round(statistics.quantiles(alone_ms, n=100)[98], 2),
        "bare_steps_per_s": round(bare),
        "ratio_bare": round(rate / bare, 3),
    }
    table = Table("figure", "value", title="runtime: five-step workflows of no-op steps")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    Console().print(table)
    return figures


async def _bare(url: str, database: Database, seconds: float) -> float:
    """Rows per second of one writer that commits what 64 appenders wait for."""
    import psycopg  # noqa: PLC0415  (only to create a table that is not the product's)

    with psycopg.connect(url, autocommit=True) as administration:
        administration.execute(BARE_TABLE)
        administration.execute(BARE_GRANT)
    pending: list[tuple[tuple[Any, ...], asyncio.Future[None]]] = []
    wake, loop = asyncio.Event(), asyncio.get_running_loop()
    written, until = 0, time.perf_counter() + seconds

    async def appender() -> None:
        run_id, seq, now = uuid.uuid4(), 0, SystemClock().now()
        data = b'{"step":"a","status":"done","output":{"n":1},"labels":{"class":"internal","trust":"untrusted"}}'
        while time.perf_counter() < until:
            seq += 1
            future: asyncio.Future[None] = loop.create_future()
            pending.append(((DEFAULT_ORG_ID, run_id, seq, "step.ended", now, data), future))
            wake.set()
            await future

    async def writer() -> None:
        nonlocal written
        async with database.worker_connection() as connection:
            while True:
                await wake.wait()
                wake.clear()
                batch, pending[:] = pending[:], []
                if not batch:
                    continue
                await connection.execute(
                    BARE_INSERT, *[list(column) for column in zip(*[row for row, _ in batch], strict=True)]
                )
                written += len(batch)
                for _, future in batch:
                    future.set_result(None)

    task = asyncio.create_task(writer())
    started = time.perf_counter()
    await asyncio.gather(*(appender() for _ in range(64)))
    elapsed = time.perf_counter() - started
    task.cancel()
    return written / elapsed


async def _released(database: Database) -> Release:
    project: Project = load_project_files(FILES)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        digest = await register(connection, DEFAULT_ORG_ID, project, ACTOR)
        await point_environment(connection, DEFAULT_ORG_ID, project.name, "dev", digest, actor=ACTOR)
    return Release(digest, project)


async def _start(database: Database, release: Release, count: int) -> list[uuid.UUID]:
    workflow, now = release.project.workflows["bench/noop"], SystemClock().now()
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        return [
            (await start_run(connection, StartRequest(workflow, release.digest, {"n": n}, ACTOR), now=now)).run_id
            for n in range(count)
        ]


@asynccontextmanager
async def _working(database: Database, settings: RuntimeSettings) -> AsyncGenerator[Worker]:
    async with open_worker(database, clock=SystemClock(), settings=settings) as worker:
        task = asyncio.create_task(worker.run())
        await worker.ready()
        yield worker
        worker.stop()
        await task


async def _alone(database: Database, release: Release, runs: int) -> list[float]:
    """Milliseconds from the start call to the news of the end, one run after another."""
    ended = asyncio.Event()
    durations: list[float] = []
    async with (
        database.listen(ENDED_CHANNEL, lambda _: ended.set()),
        _working(database, RuntimeSettings(poll_s=5.0)),
    ):
        for number in range(runs + 20):
            ended.clear()
            began = time.perf_counter()
            await _start(database, release, 1)
            await database.notify(WAKE_CHANNEL, "")
            await ended.wait()
            if number >= 20:
                durations.append((time.perf_counter() - began) * 1000)
    return durations


async def _backlog(database: Database, release: Release, runs: int) -> float:
    """Steps per second while a backlog is worked off with 256 runs in memory."""
    for _ in range(runs // 500):
        await _start(database, release, 500)
    left, done = runs // 500 * 500, asyncio.Event()

    def count(payload: str) -> None:
        nonlocal left
        left -= payload.count(",") + 1
        if left <= 0:
            done.set()

    async with database.listen(ENDED_CHANNEL, count):
        began = time.perf_counter()
        async with _working(database, RuntimeSettings(resident_runs=256, claim_batch=128)):
            await done.wait()
            elapsed = time.perf_counter() - began
    return runs // 500 * 500 * STEPS / elapsed
