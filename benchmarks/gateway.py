"""What the served gateway adds to a call, beside the LiteLLM proxy, before a local stub that answers like OpenAI.

The same load on each side: raw connections that stay open, so many requests in flight, whole answers and streams of 20
words, for the same time. Before the stub that answers at once, a closed loop with many in flight waits for the side's
own work only: it measures throughput. Before the one that takes a model's time, it measures what a caller waits longer.
Each side's server has one core for itself; the load and the stub have the other; PostgreSQL has both. CPU is of all
processes of a side, children and PostgreSQL included.

Figures are told as they come; a run that is ended early, or fails, shows all that it measured until then.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.gateway_sides import Direct, Litellm, Side, Signoff
from benchmarks.machine import Child, Stopwatch, memory_bytes, percentile, python_child, running_server
from benchmarks.peers.environments import PeerUnavailableError
from signoff.foundation.database import migrate

IN_FLIGHT = (1, 16, 64)
SHAPE_S = 8.0
"""How long each shape of load lasts, in seconds."""
SHAPE_DIRECT_S = 3.0
"""The stub's own: tens of thousands of answers."""
SHAPE_SLOW_S = 14.0
"""LiteLLM's: it answers so much less in the same time that its last percent would be a handful of answers."""
WARM_S = 2.0
REQUESTS_MEMORY = 100_000
MEMORY_IN_FLIGHT = 64
MOST_S = 3600.0
"""Of a load that ends by its number of requests."""
SHAPES = (
    *((stream, in_flight, False) for stream in (False, True) for in_flight in IN_FLIGHT),
    (False, 1, True),
    (False, 16, True),
    (True, 16, True),
)
"""Streamed or not, how many in flight, and whether the stub takes a model's time."""


def ending(shape: tuple[bool, int, bool]) -> str:
    """How the keys of a shape's figures end, such as `16_paced`."""
    stream, in_flight, paced = shape
    return f"{in_flight}{'_paced' * paced}{'_stream' * stream}"


@dataclass(frozen=True, slots=True)
class Load:
    """One load on one side; of a paced one without the time that the stub waited."""

    side: str
    stream: bool
    in_flight: int
    paced: bool
    answers: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: dict[str, float]

    @property
    def cpu_total_ms(self) -> float:
        return sum(self.cpu_ms.values())


class Bench:
    """One run: its helpers, and what it measured so far."""

    def __init__(self, console: Console, caller: Child, *, quick: bool, only: Sequence[str] = ()) -> None:
        self._console = console
        self._caller = caller
        self._quick = quick
        self._shapes = [shape for shape in SHAPES if not only or ending(shape) in only]
        self._asked = 0
        self.loads: list[Load] = []
        self.memory: dict[str, float] = {}

    def shapes(self, side: Side, seconds: float) -> None:
        """Every shape of load on a side."""
        for at, (stream, in_flight, paced) in enumerate(self._shapes):
            if in_flight == IN_FLIGHT[0] or paced or not at:
                self._load(side, stream=stream, in_flight=16, paced=paced, seconds=min(WARM_S, self._time(seconds)))
            load = self._load(side, stream=stream, in_flight=in_flight, paced=paced, seconds=self._time(seconds))
            self.loads.append(load)
            self._console.print(" | ".join(_cells(load)))

    def grow(self, side: Side, requests: int) -> None:
        """How the server's own memory grows over so many requests, of which the first tenth is not counted."""
        pid = side.server_pid()
        assert pid is not None
        done, before, parts = 0, 0, 10
        for part in range(parts):
            load = self._load(side, stream=False, in_flight=MEMORY_IN_FLIGHT, most=requests // parts)
            done += load.answers
            time.sleep(1)
            now = memory_bytes(pid)
            before = before or now
            self.memory = {
                "memory_growth_mb": round((now - before) / 1e6, 2),
                "memory_requests": done,
                "memory_mb": round(before / 1e6, 1),
            }
            self._console.print(f"memory after {done} requests: {now / 1e6:.1f} MB ({part + 1} of {parts})")

    def figures(self) -> dict[str, float]:
        """By their names in RESULTS.md; those of what was measured."""
        return _figures(self.loads) | self.memory

    def _time(self, seconds: float) -> float:
        return min(seconds, 1.0) if self._quick else seconds

    def _load(
        self,
        side: Side,
        *,
        stream: bool,
        in_flight: int,
        paced: bool = False,
        seconds: float = MOST_S,
        most: int = 10**9,
    ) -> Load:
        told = {
            "host": "127.0.0.1",
            "port": (side.paced_port if paced else None) or side.port,
            "path": side.path,
            "key": side.key,
            "model": side.paced_model if paced else side.model,
            "stream": stream,
            "in_flight": in_flight,
            "paced": paced,
            "seconds": seconds,
            "most": most,
            "from": self._asked,
        }
        watch = Stopwatch(side.pids())
        self._caller.tell(json.dumps(told))
        heard = self._caller.hear()
        latencies: list[float] = heard["latencies"]
        self._asked += len(latencies)
        if heard["wrong"]:
            raise RuntimeError(f"{heard['wrong']} answers of {side.name} are wrong: {heard['example']}")
        _, cpu = watch.read()
        return Load(
            side.name,
            stream,
            in_flight,
            paced,
            len(latencies),
            len(latencies) / heard["elapsed_s"],
            percentile(latencies, 0.5) * 1000,
            percentile(latencies, 0.99) * 1000,
            {name: seconds * 1000 / len(latencies) for name, seconds in cpu.items()},
        )


def run(
    *, quick: bool, beside: bool = True, requests: int = REQUESTS_MEMORY, only: Sequence[str] = ()
) -> dict[str, float]:
    """The figures, by their names in RESULTS.md.

    Args:
        quick: whether each load takes a second.
        beside: whether LiteLLM is measured too.
        requests: over how many memory is watched.
        only: the endings of the loads that are measured, and nothing else; all, and memory, where none is given.
    """
    unknown = set(only) - {ending(shape) for shape in SHAPES}
    if unknown:
        raise SystemExit(f"There is no load {sorted(unknown)}; there are {', '.join(map(ending, SHAPES))}.")
    console = Console(width=150)
    cores = psutil.Process().cpu_affinity() or [0]
    mine, theirs = cores[-1:], cores[0]
    psutil.Process().cpu_affinity(mine)  # the stub and the load inherit it
    with running_server() as server:
        psutil.Process(server.pid).cpu_affinity(cores)
        migrate(server.url)
        stub, caller = python_child("benchmarks.gateway_upstream"), python_child("benchmarks.gateway_load")
        bench = Bench(console, caller, quick=quick, only=only)
        try:
            caller.hear()
            ports = stub.hear()
            upstream = {"stub": int(ports["port"]), "paced": int(ports["paced_port"])}
            bench.shapes(Direct(*upstream.values()), SHAPE_DIRECT_S)
            _with(lambda: Signoff(server, upstream, core=theirs), console, lambda side: bench.shapes(side, SHAPE_S))
            if beside:
                made = lambda: Litellm(server, upstream, core=theirs)  # noqa: E731  (as above)
                _with(made, console, lambda side: bench.shapes(side, SHAPE_SLOW_S))
            most = 2_000 if quick and requests == REQUESTS_MEMORY else requests
            if not only:
                _with(lambda: Signoff(server, upstream, core=theirs), console, lambda side: bench.grow(side, most))
        finally:
            _print(console, bench.loads, bench.figures())
            for child in (caller, stub):
                child.stop()
    return bench.figures()


def _with(make: Callable[[], Side], console: Console, measure: Callable[[Side], None]) -> None:
    """Measure a side, which is stopped then; one that cannot run here is told."""
    try:
        side = make()
    except (PeerUnavailableError, RuntimeError) as error:
        console.print(f"a side cannot run here: {error}")
        return
    console.print(f"{side.name}: {side.note}")
    try:
        measure(side)
    finally:
        side.stop()


def _figures(loads: list[Load]) -> dict[str, float]:
    by_key = {(load.side, load.stream, load.in_flight, load.paced): load for load in loads}
    figures: dict[str, float] = {}
    for name in ("signoff", "litellm"):
        for stream, in_flight, paced in SHAPES:
            load, direct = (
                by_key.get((name, stream, in_flight, paced)),
                by_key.get(("direct", stream, in_flight, paced)),
            )
            if load is None or direct is None:
                continue
            place = f"{ending((stream, in_flight, paced))}{'' if name == 'signoff' else f'_{name}'}"
            figures[f"added_p50_ms_{place}"] = round(load.p50_ms - direct.p50_ms, 2)
            figures[f"added_p99_ms_{place}"] = round(load.p99_ms - direct.p99_ms, 2)
            figures[f"cpu_ms_{place}"] = round(load.cpu_total_ms, 3)
    for stream in (False, True):
        ours, other = by_key.get(("signoff", stream, 16, False)), by_key.get(("litellm", stream, 16, False))
        if ours and other and other.cpu_total_ms:
            figures[f"cpu_ratio_litellm{'_stream' * stream}"] = round(ours.cpu_total_ms / other.cpu_total_ms, 3)
    return figures


def _cells(load: Load) -> tuple[str, ...]:
    return (
        load.side,
        ("streamed" if load.stream else "whole") + (", paced" if load.paced else ""),
        str(load.in_flight),
        f"{load.answers:,}",
        f"{load.per_s:,.0f}",
        f"{load.p50_ms:.2f}",
        f"{load.p99_ms:.2f}",
        ", ".join(f"{name} {value:.2f}" for name, value in load.cpu_ms.items()),
    )


def _print(console: Console, loads: list[Load], figures: dict[str, Any]) -> None:
    table = Table("side", "answers", "in flight", "how many", "per second", "p50 ms", "p99 ms", "CPU per request, ms")
    for load in loads:
        table.add_row(*_cells(load))
    console.print(table)
    for name, value in figures.items():
        console.print(f"{name}: {value}")
