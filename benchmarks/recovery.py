"""A worker is killed with 1,000 runs in flight: how soon another goes on with them, and no effect is lost or doubled.

Each run holds still in a step without effect until the second worker is there, then acts: its tool appends the key of
the effect to a file and does not deduplicate, then holds still again, and is killed there. The tool's contract says how
to look an effect up. Default lease. A run counts as taken over when another worker owns it; its first event there may
come later, as an effect in doubt is looked up only when no call of the dead worker can be under way any more.
"""

from __future__ import annotations

import asyncio
import collections
import random
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.engine_runs import start_workers
from benchmarks.machine import Server, running_server
from benchmarks.workloads import released, start_runs
from signoff.foundation.database import Database, migrate
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime import RuntimeSettings

RUNS = 1000
TIMEOUT_S = 180.0
KILL_AT_SHARE = 0.5
_BEGUN = "SELECT count(DISTINCT run_id) FROM journal WHERE kind IN ('step.started', 'effect.intended')"
_INTENDED = "SELECT count(*) FROM journal WHERE kind = 'effect.intended'"
_DONE = "SELECT count(*) FROM run_view WHERE status = 'done'"
_OPEN = "SELECT run_id FROM run_view WHERE status <> 'done'"
# A run goes on with the first event that another session wrote of it.
_CONTINUED = """
SELECT run_id, min(recorded_at) FROM journal WHERE session_id IS NOT NULL AND session_id <> ALL(%s) GROUP BY run_id
"""
_TAKEN_OVER = "SELECT (count(*) = 0)::int FROM run_queue WHERE owner IS NULL OR owner = ANY(%s)"
_SESSIONS = "SELECT id FROM worker_session WHERE process_id = %s"


def run(*, quick: bool) -> dict[str, float]:
    """The figures, by their names in RESULTS.md."""
    runs = 40 if quick else RUNS
    with running_server() as server:
        migrate(server.url)
        figures = uvloop.run(_measure(server, runs))
    table = Table("figure", "value", title=f"kill -9 with {runs:,} runs in flight, default lease")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    Console().print(table)
    return figures


async def _measure(server: Server, runs: int) -> dict[str, float]:
    book = Path(server.embedded.log_path.parent.parent) / "acted.txt"
    book.touch()
    settings = {"resident_runs": runs, "tasks": runs}
    async with await Database.open(DatabaseSettings(url=server.url)) as database:
        release = await released(database, book=book)
        await start_runs(database, release, "bench/holding", runs, random.Random(1))
        (first,) = await asyncio.to_thread(start_workers, server.url, 1, settings)
        try:
            await _until(server.url, _BEGUN, runs)
            (second,) = await asyncio.to_thread(start_workers, server.url, 1, settings)
            try:
                book.with_name(f"{book.name}.go").touch()
                await _until(server.url, _INTENDED, int(runs * KILL_AT_SHARE))
                dead = [row[0] for row in _rows(server.url, _SESSIONS, first.pid)]
                first.kill()
                killed_at = datetime.now(UTC)
                in_flight = {row[0] for row in _rows(server.url, _OPEN)}
                await _until(server.url, _TAKEN_OVER, 1, dead)
                takeover_s = (datetime.now(UTC) - killed_at).total_seconds()
                await _until(server.url, _DONE, runs)
            finally:
                await asyncio.to_thread(second.stop)
        finally:
            first.kill()
    continued = {row[0]: row[1] for row in _rows(server.url, _CONTINUED, dead)}
    acted = collections.Counter(book.read_text(encoding="utf-8").split())
    late_s = [(continued[run_id] - killed_at).total_seconds() for run_id in in_flight if run_id in continued]
    return {
        "runs_in_flight": len(in_flight),
        "takeover_s": round(takeover_s, 2),
        "first_event_s": round(max(late_s, default=0.0), 2),
        "lease_s": RuntimeSettings().lease_s,
        "lost": runs - len(acted),
        "doubled": sum(1 for count in acted.values() if count > 1),
    }


def _rows(url: str, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode(), parameters or None).fetchall()


async def _until(url: str, query: str, wanted: int, *parameters: object) -> None:
    until_s = time.monotonic() + TIMEOUT_S
    while (found := _rows(url, query, *parameters)[0][0]) < wanted:
        if time.monotonic() > until_s:
            raise RuntimeError(f"{found} of {wanted} after {TIMEOUT_S:g} s: {query}")
        await asyncio.sleep(0.05)
