"""Runs that wait for a person: what they cost while they wait, and how fast they go on.

A thousand are run by the engine into a review; the others are copies of their rows under new ids, made by SQL. The
thousand are decided in one transaction, and each goes on to its next step. `--runs 1000000` for the long table.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.copying import copy_runs
from benchmarks.machine import Child, memory_bytes, percentile, python_child, running_server
from benchmarks.workloads import ACTOR, released, start_runs
from signoff.capabilities.reviews import ReviewDecision, decide
from signoff.core.clock import SystemClock
from signoff.foundation.database import DEFAULT_ORG_ID, Database, migrate
from signoff.foundation.settings import DatabaseSettings
from signoff.governance.policy import PolicySet
from signoff.runtime.announcing import WAKE_CHANNEL

RUNS = 100_000
AWAKENED = 1000
SETTLE_S = 2.0
TIMEOUT_S = 240.0
_WAITING = "SELECT count(*) FROM run_view WHERE status = 'waiting'"
_SIZE = "SELECT pg_database_size(current_database())"
_DONE = "SELECT count(*) FROM run_view WHERE status = 'done'"
_LAST_STEPS = """
SELECT max(recorded_at) FROM journal WHERE kind = 'step.ended' AND run_id = ANY(%s) GROUP BY run_id
"""
_REVIEWS = "SELECT run_id, review_id, digest FROM review WHERE run_id = ANY(%s)"


def run(*, quick: bool, runs: int | None = None) -> dict[str, float]:
    """The figures, by their names in RESULTS.md."""
    wanted = runs or (500 if quick else RUNS)
    awakened = 50 if quick else AWAKENED
    with running_server() as server:
        migrate(server.url)
        figures = uvloop.run(_measure(server.url, max(wanted, awakened), awakened))
    table = Table("figure", "value", title=f"{wanted:,} runs wait for a person")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    Console().print(table)
    return figures


async def _measure(url: str, runs: int, awakened: int) -> dict[str, float]:
    async with await Database.open(DatabaseSettings(url=url)) as database:
        release = await released(database)
        worker, _ = await asyncio.to_thread(_timed_worker, url)
        await asyncio.sleep(SETTLE_S)
        empty_bytes = memory_bytes(worker.pid)
        size_before = _scalar(url, _SIZE)
        started = list(await start_runs(database, release, "bench/asked", awakened, random.Random(1)))
        await database.notify(WAKE_CHANNEL, "")
        await _until(url, _WAITING, awakened)
        await asyncio.to_thread(worker.stop)
        await asyncio.to_thread(copy_runs, url, -(-runs // awakened) - 1)
        parked = _scalar(url, _WAITING)
        bytes_per_run = (_scalar(url, _SIZE) - size_before) / parked
        worker, startup_s = await asyncio.to_thread(_timed_worker, url)
        try:
            await asyncio.sleep(SETTLE_S)
            growth = memory_bytes(worker.pid) - empty_bytes
            late_s = await _wake(url, database, release.project.policies, started)
        finally:
            await asyncio.to_thread(worker.stop)
    return {
        "runs": parked,
        "worker_growth_mb": round(max(0, growth) / 1e6, 2),
        "startup_s": round(startup_s, 3),
        "wake_p50_s": round(percentile(late_s, 0.5), 3),
        "wake_p99_s": round(percentile(late_s, 0.99), 3),
        "bytes_per_run": round(bytes_per_run),
    }


def _timed_worker(url: str) -> tuple[Child, float]:
    """A worker process, and how long it took from its first connection until it claimed runs."""
    worker = python_child("benchmarks.worker", url)
    return worker, worker.hear()["startup_s"]


async def _wake(url: str, database: Database, policies: object, started: list[UUID]) -> list[float]:
    """Seconds from the commit of all decisions to each run's next step."""
    permitting = PolicySet.parse(policies)  # pyright: ignore[reportArgumentType]
    with psycopg.connect(url) as connection:
        reviews = connection.execute(_REVIEWS, (started,)).fetchall()
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        for _, review_id, digest in reviews:
            decision = ReviewDecision("approve", digest=digest)
            now = SystemClock().now()
            await decide(connection, ACTOR, review_id, decision, authorise=permitting.decide, now=now)
    committed_at = datetime.now(UTC)
    await database.notify(WAKE_CHANNEL, "")
    await _until(url, _DONE, len(started))
    with psycopg.connect(url) as connection:
        rows = connection.execute(_LAST_STEPS, (started,)).fetchall()
    return [(row[0] - committed_at).total_seconds() for row in rows]


def _scalar(url: str, query: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


async def _until(url: str, query: str, wanted: int) -> None:
    until_s = time.monotonic() + TIMEOUT_S
    while (found := _scalar(url, query)) < wanted:
        if time.monotonic() > until_s:
            raise RuntimeError(f"{found} of {wanted} after {TIMEOUT_S:g} s: {query}")
        await asyncio.sleep(0.2)
