"""Signoff's side: a backlog worked off by worker processes, one run alone, a count after a crash."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.machine import Child, Server, Stopwatch, python_child
from benchmarks.workloads import Shape, start_runs
from signoff.catalog.model import Release
from signoff.core.clock import SystemClock
from signoff.foundation.database import Database
from signoff.runtime import RuntimeSettings, Worker
from signoff.runtime.announcing import ENDED_CHANNEL, WAKE_CHANNEL
from signoff.steps import open_worker

IN_FLIGHT = 256
FEW_RUNS = 4 * IN_FLIGHT
BACKLOG_TIMEOUT_S = 240.0
_ENDED_SINCE = "SELECT count(*) FROM journal WHERE run_id >= $1 AND kind = 'step.ended'"
_EVENTS = "SELECT count(*) FROM journal WHERE kind = 'step.ended'"
_DONE = "SELECT count(*) FROM run_view WHERE status = 'done'"


@dataclass(frozen=True, slots=True)
class Rate:
    """What a stretch of work came to.

    Attributes:
        cpu_us: CPU per step in microseconds, by whose it is.
        unused: what was left of the processors.
    """

    steps_per_s: float
    cpu_us: Mapping[str, float]
    unused: str = ""


def start_workers(url: str, count: int, settings: Mapping[str, Any], log: Path | None = None) -> list[Child]:
    """So many worker processes, each claiming runs by the time this returns."""
    workers = [python_child("benchmarks.worker", url, json.dumps(settings), log=log) for _ in range(count)]
    for worker in workers:
        worker.hear()
    return workers


async def backlog(
    server: Server, database: Database, release: Release, shape: Shape, *, runs: int, workers: int, seed: int = 1
) -> Rate:
    """Steps per second while a backlog is worked off with 256 runs in memory over all worker processes.

    The clock begins at the first news of an end and stops at the last, so that processes starting up do not count, and
    no step that had ended by then does. With few runs, of which all may be under way before the first has ended, it
    begins when the workers are ready.
    """
    left, began, finished = runs, asyncio.Event(), asyncio.Event()

    def count(payload: str) -> None:
        nonlocal left
        if payload:
            left -= payload.count(",") + 1
            began.set()
            if left <= 0:
                finished.set()

    first = min(await start_runs(database, release, shape.name, runs, random.Random(seed)))
    settings = {"resident_runs": IN_FLIGHT // workers, "claim_batch": IN_FLIGHT // workers}
    async with database.listen(ENDED_CHANNEL, count):
        children = await asyncio.to_thread(start_workers, server.url, workers, settings)
        pids = {"worker": [child.pid for child in children], "postgresql": [server.pid]}
        try:
            if runs >= FEW_RUNS:
                await asyncio.wait_for(began.wait(), BACKLOG_TIMEOUT_S)
            watch = Stopwatch(pids)
            async with database.worker_connection() as connection:
                already = await connection.fetchval(_ENDED_SINCE, first)
            await asyncio.wait_for(finished.wait(), BACKLOG_TIMEOUT_S)
            (elapsed_s, cpu), unused = watch.read(), watch.unused()
        finally:
            for child in children:
                await asyncio.to_thread(child.stop)
    steps = runs * shape.steps - already
    return Rate(steps / elapsed_s, {name: used / steps * 1e6 for name, used in cpu.items()}, unused=unused)


async def alone(database: Database, release: Release, shape: Shape, *, runs: int, warm_up: int = 20) -> list[float]:
    """Milliseconds from the start call to the news of the end, one run after another, in one process like `dev`."""
    ended: set[str] = set()
    news = asyncio.Event()
    durations: list[float] = []
    source = random.Random(2)

    def tell(payload: str) -> None:
        ended.update(payload.split(","))
        news.set()

    settings = RuntimeSettings(poll_s=5.0)
    async with (
        database.listen(ENDED_CHANNEL, tell),
        open_worker(database, clock=SystemClock(), settings=settings) as worker,
        working(worker),
    ):
        for number in range(runs + warm_up):
            began = time.perf_counter()
            (run_id,) = await start_runs(database, release, shape.name, 1, source, flushes=False)
            await database.notify(WAKE_CHANNEL, str(run_id), others_later=True)  # as the API does
            await database.flushes.wait()
            while str(run_id) not in ended:  # another's news, such as that of a late one, is none of it
                news.clear()
                await news.wait()
            if number >= warm_up:
                durations.append((time.perf_counter() - began) * 1000)
    return durations


@asynccontextmanager
async def working(worker: Worker) -> AsyncGenerator[None]:
    """The worker runs while the block lasts."""
    task = asyncio.create_task(worker.run())
    await worker.ready()
    yield
    worker.stop()
    await task


def counted(url: str) -> tuple[int, int]:
    """How many runs are done and how many steps have ended, by the tables."""
    with psycopg.connect(url) as connection:
        done = connection.execute(_DONE).fetchone()
        steps = connection.execute(_EVENTS).fetchone()
    assert done is not None
    assert steps is not None
    return done[0], steps[0]
