"""Durable steps per second, Signoff beside its peers, each on a PostgreSQL of its own with fsync on.

Every step of every run is an event of its own in the journal. `bare` is the ceiling: rows of the same bytes by group
commit, 256 appenders in flight, no engine. What counts is worked off a backlog by worker processes with 256 runs in
memory over all of them; `run_p50_ms` is one run alone, from the start call to the news of its end.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.bare import bare
from benchmarks.closed_loop import closed_loop
from benchmarks.engine_runs import Rate, alone, backlog, counted
from benchmarks.machine import Server, percentile, running_server
from benchmarks.peers.measure import PEERS, PeerFigures, measure
from benchmarks.workloads import FANNED, GOVERNED, PLAIN, SERIAL, Shape, released
from signoff.catalog.model import Release
from signoff.foundation.database import Database, migrate
from signoff.foundation.settings import DatabaseSettings

WORKERS = (1, 2)
TURNS = 2
PEER_CONNECTIONS = 200
RATIOS = ("dbos", "restate", "langgraph")


def run(*, quick: bool, beside: bool = True) -> dict[str, float]:
    """The figures, by their names in RESULTS.md; without `beside` no peer's."""
    with running_server() as server:
        migrate(server.url)
        figures, rows = uvloop.run(_signoff(server, quick=quick))
    peers: list[PeerFigures] = []
    for name in PEERS if beside else ():
        with running_server(max_connections=PEER_CONNECTIONS) as server:
            peers.append(measure(name, server, quick=quick))
    for peer in peers:
        if peer.problem:
            continue
        figures[f"run_p50_ms_{peer.name}"] = round(peer.p50_ms, 2)
        if peer.name in RATIOS and peer.steps_per_s:
            figures[f"ratio_{peer.name}"] = round(figures["steps_per_s_256"] / peer.steps_per_s, 1)
    _print(figures, rows, peers)
    return figures


async def _signoff(server: Server, *, quick: bool) -> tuple[dict[str, float], list[tuple[str, Rate, str]]]:
    rows: list[tuple[str, Rate, str]] = []
    async with await Database.open(DatabaseSettings(url=server.url)) as database:
        release = await released(database)
        ceiling = await bare(server, database, seconds=1.0 if quick else 4.0)
        rows.append(("bare group commit, 256 appenders", ceiling, ""))
        alone_ms = await alone(database, release, PLAIN, runs=20 if quick else 400)
        (plain, governed), expected = await _by_turns(server, database, release, quick=quick, rows=rows)
        whole = await closed_loop(server, database, release, PLAIN, seconds=1.0 if quick else 6.0)
        rows.append(("5 steps, starts included (closed loop)", whole, "1 worker"))
        if not quick:
            for shape, runs in ((SERIAL[1], 8000), (SERIAL[3], 6000), (SERIAL[9], 3000), (FANNED, 600)):
                rate = await backlog(server, database, release, shape, runs=runs, workers=plain[1])
                rows.append((f"{shape.name.removeprefix('bench/')}", rate, f"{plain[1]} workers"))
    before = counted(server.url)
    server.kill()
    after = counted(server.url)
    if after != before or after[0] < expected:
        raise RuntimeError(f"{before} runs and steps were done before the server was killed, {after} after")
    figures: dict[str, float] = {
        "steps_per_s_256": round(plain[0].steps_per_s),
        "workers_256": plain[1],
        "governed_steps_per_s": round(governed[0].steps_per_s),
        "ratio_governed": round(governed[0].steps_per_s / plain[0].steps_per_s, 3),
        "cpu_us_per_step": round(plain[0].cpu_us["worker"], 1),
        "bare_steps_per_s": round(ceiling.steps_per_s),
        "ratio_bare": round(plain[0].steps_per_s / ceiling.steps_per_s, 3),
        "closed_loop_steps_per_s": round(whole.steps_per_s),
        "run_p50_ms": round(statistics.median(alone_ms), 2),
        "run_p99_ms": round(percentile(alone_ms, 0.99), 2),
        "steps_per_s_1": round(PLAIN.steps * 1000 / statistics.median(alone_ms)),
        "runs_recounted": after[0],
    }
    return figures, rows


async def _by_turns(
    server: Server, database: Database, release: Release, *, quick: bool, rows: list[tuple[str, Rate, str]]
) -> tuple[list[tuple[Rate, int]], int]:
    """The best rates of plain and of governed runs, each with its number of worker processes; how many runs were done.

    By turns, twice: the speed of a shared host changes within the minutes that this takes, and what is compared is to
    have met the same.
    """
    found: dict[Shape, list[tuple[Rate, int]]] = {PLAIN: [], GOVERNED: []}
    done = 0
    for _ in range(1 if quick else TURNS):
        for workers in WORKERS:
            for shape, runs in ((PLAIN, 300 if quick else 6000), (GOVERNED, 100 if quick else 3000)):
                rate = await backlog(server, database, release, shape, runs=runs, workers=workers)
                rows.append((shape.name.removeprefix("bench/"), rate, f"{workers} workers"))
                found[shape].append((rate, workers))
                done += runs
    return [max(rates, key=lambda pair: pair[0].steps_per_s) for rates in found.values()], done


def _print(figures: dict[str, float], rows: Sequence[tuple[str, Rate, str]], peers: Sequence[PeerFigures]) -> None:
    console = Console(width=140)
    table = Table("workload", "steps/s", "CPU per step, µs", "", "meanwhile", title="Signoff: PostgreSQL with fsync on")
    for what, rate, note in rows:
        table.add_row(what, f"{rate.steps_per_s:,.0f}", _cpu(rate.cpu_us), note, rate.unused)
    console.print(table)
    beside = Table(
        "peer", "steps/s at 256", "CPU per step, µs", "alone, p50 ms", "other shapes, steps/s", "recounted", ""
    )
    for peer in peers:
        shapes = ", ".join(f"{shape}: {rate:,.0f}" for shape, rate in peer.by_shape.items())
        note = peer.problem or f"{peer.processes} processes; {peer.settings}"
        recounted = f"{peer.found} of {peer.done}"
        cells = (f"{peer.steps_per_s:,.0f}", _cpu(peer.cpu_us), f"{peer.p50_ms:.1f}", shapes, recounted)
        beside.add_row(peer.name, *(cells if not peer.problem else ("",) * 5), note)
    console.print(beside)
    for name, value in figures.items():
        console.print(f"{name}: {value:,}")


def _cpu(cpu_us: object) -> str:
    assert isinstance(cpu_us, dict)
    return ", ".join(f"{name} {value:,.0f}" for name, value in cpu_us.items())  # pyright: ignore[reportUnknownVariableType]
