"""How steps per second change with the length of a run's history, the size of the journal, and the number of workers.

Each series is drawn into `benchmarks/plots/`. The larger journals are copies of finished runs' rows, made by SQL.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.copying import copy_runs
from benchmarks.engine_runs import backlog
from benchmarks.machine import Server, running_server
from benchmarks.workloads import HISTORIES, PLAIN, Shape, released
from signoff.catalog.model import Release
from signoff.foundation.database import Database, migrate
from signoff.foundation.settings import DatabaseSettings

PLOTS = Path(__file__).parent / "plots"
JOURNAL_EVENTS = (0, 10_000, 100_000, 1_000_000, 10_000_000)
WORKERS = (1, 2, 4)
STEPS = 20_000
EVENTS_PER_RUN = PLAIN.steps + 2  # the start and the end
SEED_RUNS = 1000
_EVENTS = "SELECT count(*) FROM journal"


def run(*, quick: bool) -> dict[str, float]:
    """The figures, by their names in RESULTS.md."""
    with running_server() as server:
        migrate(server.url)
        series = uvloop.run(_measure(server, quick=quick))
    titles = {
        "history": ("Steps per second by the length of a run's history", "events in one run's journal"),
        "journal": ("Steps per second by the size of the journal", "events in the journal before"),
        "workers": ("Steps per second by worker processes", "worker processes"),
    }
    figures: dict[str, float] = {}
    for name, points in series.items():
        title, across = titles[name]
        table = Table(across, "steps/s", title=title)
        for at, rate in points:
            table.add_row(f"{at:,}", f"{rate:,.0f}")
            figures[f"{name}_{at}"] = round(rate)
        Console().print(table)
        if not quick:
            _draw(PLOTS / f"growth-{name}.svg", title, across, points)
    return figures


async def _measure(server: Server, *, quick: bool) -> Mapping[str, Sequence[tuple[int, float]]]:
    steps = 300 if quick else STEPS
    async with await Database.open(DatabaseSettings(url=server.url)) as database:
        release = await released(database)
        workers = [
            (count, await _rate(server, database, release, PLAIN, runs=steps // PLAIN.steps, workers=count))
            for count in (WORKERS[:2] if quick else WORKERS)
        ]
        history = [
            (events, await _rate(server, database, release, shape, runs=max(2, steps // shape.steps)))
            for events, shape in list(HISTORIES.items())[: 2 if quick else None]
        ]
        journal = await _by_journal(
            server, database, release, steps=steps, sizes=JOURNAL_EVENTS[: 2 if quick else None]
        )
    return {"history": history, "journal": journal, "workers": workers}


async def _by_journal(
    server: Server, database: Database, release: Release, *, steps: int, sizes: Sequence[int]
) -> list[tuple[int, float]]:
    """On a database of its own kind: what the other series left is removed first."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("TRUNCATE journal, run, run_queue, run_view CASCADE")
    points: list[tuple[int, float]] = []
    for size in sizes:
        await asyncio.to_thread(_fill, server.url, size)
        rate = await _rate(
            server, database, release, PLAIN, runs=max(SEED_RUNS if size == 0 else 2, steps // PLAIN.steps)
        )
        points.append((size, rate))
    return points


def _fill(url: str, events: int) -> None:
    """Copy what is there until the journal has about so many events."""
    with psycopg.connect(url) as connection:
        row = connection.execute(_EVENTS).fetchone()
    assert row is not None
    if row[0] and events > row[0]:
        copy_runs(url, max(1, round(events / row[0]) - 1))


async def _rate(
    server: Server, database: Database, release: Release, shape: Shape, *, runs: int, workers: int = 1
) -> float:
    return (await backlog(server, database, release, shape, runs=runs, workers=workers)).steps_per_s


def _draw(path: Path, title: str, across: str, points: Sequence[tuple[int, float]]) -> None:
    pygal: Any = importlib.import_module("pygal")
    chart = pygal.Line(
        title=title,
        x_title=across,
        y_title="steps/s",
        show_legend=False,
        js=[],
        range=(0, max(y for _, y in points) * 1.1),
    )
    chart.x_labels = [f"{x:,}" for x, _ in points]
    chart.add("steps/s", [round(y) for _, y in points])
    path.parent.mkdir(exist_ok=True)
    chart.render_to_file(os.fspath(path))
