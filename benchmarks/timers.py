"""10,000 timers due within one second, on two workers: how late the steps behind them come."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta

import psycopg
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.engine_runs import start_workers
from benchmarks.machine import Server, percentile, running_server
from benchmarks.workloads import released, start_runs
from signoff.foundation.database import Database, migrate
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime.announcing import WAKE_CHANNEL

TIMERS = 10_000
WORKERS = 2
PARKING_S_PER_1000 = 9.0  # generous: all have to be asleep by the time
TIMEOUT_S = 120.0
_WAITING = "SELECT count(*) FROM run_view WHERE status = 'waiting'"
_DONE = "SELECT count(*) FROM run_view WHERE status = 'done'"
_LATE = """
SELECT extract(epoch FROM max(e.recorded_at)
    - (convert_from(s.data, 'UTF8')::jsonb->'input'->>'at')::timestamptz)::float
FROM journal s JOIN journal e ON e.run_id = s.run_id AND e.kind = 'step.ended'
WHERE s.seq = 1 GROUP BY s.run_id, s.data
"""


def run(*, quick: bool) -> dict[str, float]:
    """The figures, by their names in RESULTS.md."""
    timers = 100 if quick else TIMERS
    with running_server() as server:
        migrate(server.url)
        figures = uvloop.run(_measure(server, timers))
    table = Table("figure", "value", title=f"{timers:,} timers due in one second, {WORKERS} workers")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    Console().print(table)
    return figures


async def _measure(server: Server, timers: int) -> dict[str, float]:
    async with await Database.open(DatabaseSettings(url=server.url)) as database:
        release = await released(database)
        workers = await asyncio.to_thread(start_workers, server.url, WORKERS, {})
        try:
            first = datetime.now(UTC) + timedelta(seconds=10 + PARKING_S_PER_1000 * timers / 1000)
            moments = iter((first + timedelta(seconds=number / timers)).isoformat() for number in range(timers))
            await start_runs(database, release, "bench/asleep", timers, random.Random(1), moments=moments)
            await database.notify(WAKE_CHANNEL, "")
            asleep = 0
            while datetime.now(UTC) < first - timedelta(seconds=0.5) and asleep < timers:
                asleep = _count(server.url, _WAITING)
                await asyncio.sleep(0.25)
            if asleep < timers:
                raise RuntimeError(f"only {asleep} of {timers} were asleep before the first was due")
            until_s = time.monotonic() + (first - datetime.now(UTC)).total_seconds() + TIMEOUT_S
            while _count(server.url, _DONE) < timers:
                if time.monotonic() > until_s:
                    raise RuntimeError(f"{_count(server.url, _DONE)} of {timers} were done after {TIMEOUT_S:g} s")
                await asyncio.sleep(0.5)
        finally:
            for worker in workers:
                await asyncio.to_thread(worker.stop)
    with psycopg.connect(server.url) as connection:
        late_s = [row[0] for row in connection.execute(_LATE).fetchall()]
    return {
        "timers": len(late_s),
        "late_p50_s": round(percentile(late_s, 0.5), 3),
        "late_p99_s": round(percentile(late_s, 0.99), 3),
        "late_max_s": round(max(late_s), 3),
    }


def _count(url: str, query: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]
