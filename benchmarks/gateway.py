"""What the served gateway adds to a call, beside the LiteLLM proxy, before a local stub that answers like OpenAI.

The same load on each side: raw connections that stay open, so many requests in flight, whole answers and streams of 20
words. The stub answers at once; asked through a side in a closed loop with many in flight, it is the side's own work
that is waited for. Each side's server has one core for itself; the load and the stub have the other; PostgreSQL has
both. CPU is of all processes of a side, children and PostgreSQL included.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
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
PACED_S = 0.1
"""How long the paced stub waits before it answers, in seconds: a quick model's first token."""
REQUESTS_MEMORY = 100_000
WARM = 400


@dataclass(frozen=True, slots=True)
class Load:
    """One load on one side."""

    side: str
    stream: bool
    in_flight: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: dict[str, float]

    @property
    def cpu_total_ms(self) -> float:
        return sum(self.cpu_ms.values())


def run(*, quick: bool, beside: bool = True, requests: int = REQUESTS_MEMORY) -> dict[str, float]:
    """The figures, by their names in RESULTS.md."""
    console = Console(width=150)
    figures: dict[str, float] = {}
    loads: list[Load] = []
    cores = psutil.Process().cpu_affinity() or [0]
    mine, theirs = cores[-1:], cores[0]
    psutil.Process().cpu_affinity(mine)  # the stub and the load inherit it
    with running_server() as server:
        psutil.Process(server.pid).cpu_affinity(cores)
        migrate(server.url)
        stub = python_child("benchmarks.gateway_upstream")
        paced = python_child("benchmarks.gateway_upstream", str(PACED_S))
        caller = python_child("benchmarks.gateway_load")
        try:
            caller.hear()
            port, paced_port = stub.hear()["port"], paced.hear()["port"]
            direct = Direct(port)
            loads += _loads(caller, direct, quick=quick)
            slow = _load(caller, Direct(paced_port), stream=False, in_flight=16, requests=160 if quick else 1600)
            makers: list[Callable[[int], Side]] = [lambda to: Signoff(server, to, core=theirs)]
            if beside:
                makers.append(lambda to: Litellm(server, to, core=theirs))
            for make in makers:
                side = _made(make, port, console)
                if side is None:
                    continue
                try:
                    loads += _loads(caller, side, quick=quick)
                    if side.name == "signoff":
                        figures |= _memory(caller, side, 2_000 if quick and requests == REQUESTS_MEMORY else requests)
                finally:
                    side.stop()
                side = _made(make, paced_port, console)
                if side is not None:
                    try:
                        _load(caller, side, stream=False, in_flight=16, requests=WARM)
                        behind = _load(caller, side, stream=False, in_flight=16, requests=160 if quick else 1600)
                    finally:
                        side.stop()
                    for name, value in (("p50", behind.p50_ms - slow.p50_ms), ("p99", behind.p99_ms - slow.p99_ms)):
                        figures[f"added_{name}_ms_16_paced{_suffix(side.name)}"] = round(value, 2)
        finally:
            for child in (caller, stub, paced):
                child.stop()
    figures |= _figures(loads)
    _print(console, loads, figures)
    return figures


def _made(make: Callable[[int], Side], port: int, console: Console) -> Side | None:
    try:
        side = make(port)
    except (PeerUnavailableError, RuntimeError) as error:
        console.print(f"a side cannot run here: {error}")
        return None
    console.print(f"{side.name}: {side.note}")
    return side


def _loads(caller: Child, side: Side, *, quick: bool) -> list[Load]:
    found: list[Load] = []
    for stream in (False, True):
        _load(caller, side, stream=stream, in_flight=16, requests=WARM)
        for in_flight in IN_FLIGHT:
            requests = 100 if quick else {1: 1000, 16: 4000, 64: 4000}[in_flight]
            found.append(_load(caller, side, stream=stream, in_flight=in_flight, requests=requests))
    return found


def _load(caller: Child, side: Side, *, stream: bool, in_flight: int, requests: int) -> Load:
    told = {
        "host": "127.0.0.1",
        "port": side.port,
        "path": side.path,
        "key": side.key,
        "model": side.model,
        "stream": stream,
        "in_flight": in_flight,
        "requests": requests,
    }
    watch = Stopwatch(side.pids())
    caller.tell(json.dumps(told))
    heard = caller.hear()
    if heard["wrong"]:
        raise RuntimeError(f"{heard['wrong']} of {requests} answers of {side.name} are wrong: {heard['example']}")
    latencies: list[float] = heard["latencies"]
    _, cpu = watch.read()
    return Load(
        side.name,
        stream,
        in_flight,
        len(latencies) / heard["elapsed_s"],
        percentile(latencies, 0.5) * 1000,
        percentile(latencies, 0.99) * 1000,
        {name: seconds * 1000 / len(latencies) for name, seconds in cpu.items()},
    )


def _memory(caller: Child, side: Side, requests: int) -> dict[str, float]:
    """How the server's own memory grew over so many requests, of which the first tenth is not counted."""
    pid = side.server_pid()
    assert pid is not None
    _load(caller, side, stream=False, in_flight=16, requests=requests // 10)
    time.sleep(1)
    before = memory_bytes(pid)
    _load(caller, side, stream=False, in_flight=16, requests=requests - requests // 10)
    time.sleep(1)
    return {
        "memory_growth_mb": round((memory_bytes(pid) - before) / 1e6, 2),
        "memory_requests": requests,
        "memory_mb": round(before / 1e6, 1),
    }


def _suffix(name: str) -> str:
    return "" if name == "signoff" else f"_{name}"


def _figures(loads: list[Load]) -> dict[str, float]:
    by_key = {(load.side, load.stream, load.in_flight): load for load in loads}
    figures: dict[str, float] = {}
    for name in ("signoff", "litellm"):
        for in_flight in IN_FLIGHT:
            for stream in (False, True):
                load, direct = by_key.get((name, stream, in_flight)), by_key[("direct", stream, in_flight)]
                if load is None:
                    continue
                ending = f"{in_flight}{'_stream' * stream}{_suffix(name)}"
                figures[f"added_p50_ms_{ending}"] = round(load.p50_ms - direct.p50_ms, 2)
                figures[f"added_p99_ms_{ending}"] = round(load.p99_ms - direct.p99_ms, 2)
                figures[f"cpu_ms_{ending}"] = round(load.cpu_total_ms, 3)
    for stream in (False, True):
        ours, other = by_key.get(("signoff", stream, 16)), by_key.get(("litellm", stream, 16))
        if ours and other and other.cpu_total_ms:
            figures[f"cpu_ratio_litellm{'_stream' * stream}"] = round(ours.cpu_total_ms / other.cpu_total_ms, 3)
    return figures


def _print(console: Console, loads: list[Load], figures: dict[str, Any]) -> None:
    table = Table("side", "answers", "in flight", "per second", "p50 ms", "p99 ms", "CPU per request, ms")
    for load in loads:
        cpu = ", ".join(f"{name} {value:.2f}" for name, value in load.cpu_ms.items())
        table.add_row(
            load.side,
            "streamed" if load.stream else "whole",
            str(load.in_flight),
            f"{load.per_s:,.0f}",
            f"{load.p50_ms:.2f}",
            f"{load.p99_ms:.2f}",
            cpu,
        )
    console.print(table)
    for name, value in figures.items():
        console.print(f"{name}: {value}")
