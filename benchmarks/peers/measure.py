"""The same measurements of every peer: 256 in flight with five steps, one alone, other shapes, a count after a kill."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.machine import Server, Stopwatch, percentile
from benchmarks.peers.environments import PeerUnavailableError, environment
from benchmarks.peers.processes import Dbos, Langgraph, Peer, Prefect, Restate

PEERS = ("dbos", "restate", "langgraph", "prefect")
FAN_OUT_IN_FLIGHT = 8  # 400 steps at once; more only lengthens the wait for the last one
OTHERS_IN_FLIGHT = 64


@dataclass(slots=True)
class PeerFigures:
    """What was measured of one peer.

    Attributes:
        processes: of the engine's own language, for the rate: the better of one and two.
        by_shape: steps per second of the other shapes.
        done: runs it said were done, while it had 256 in flight.
        found: runs that were done after its server was killed and started again.
        problem: why it could not be measured, where it could not.
    """

    name: str
    settings: str = ""
    steps_per_s: float = 0.0
    processes: int = 1
    cpu_us: Mapping[str, float] = field(default_factory=dict[str, float])
    p50_ms: float = 0.0
    by_shape: dict[str, float] = field(default_factory=dict[str, float])
    done: int = 0
    found: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """One measurement under load."""

    steps: int
    fan_out: bool
    in_flight: int
    seconds: float


def measure(name: str, server: Server, *, quick: bool) -> PeerFigures:
    """All figures of one peer, or why there are none."""
    figures = PeerFigures(name)
    try:
        environment(name)
        for processes in (1,) if quick or name in {"restate", "prefect"} else (1, 2):
            _with_processes(figures, _made(name, processes, server), quick=quick)
    except (PeerUnavailableError, RuntimeError, OSError) as error:
        figures.problem = str(error)[:300]
    return figures


def _made(name: str, processes: int, server: Server) -> Peer:
    makers: Mapping[str, Callable[[], Peer]] = {
        "dbos": lambda: Dbos(processes, server),
        "langgraph": lambda: Langgraph(processes, server),
        "prefect": lambda: Prefect(processes, server),
        "restate": lambda: Restate(processes),
    }
    return makers[name]()


def _with_processes(figures: PeerFigures, peer: Peer, *, quick: bool) -> None:
    figures.settings = peer.settings
    seconds = 1.0 if quick else 5.0
    try:
        peer.start()
        rate, cpu_us, runs = _load(peer, Load(5, fan_out=False, in_flight=16 if quick else 256, seconds=seconds))
        if rate > figures.steps_per_s:
            figures.steps_per_s, figures.cpu_us, figures.processes = rate, cpu_us, peer.processes
        if peer.processes == 1:
            figures.done = runs
            figures.p50_ms = percentile(_alone(peer, 5 if quick else 60), 0.5)
            figures.done += 10 + (5 if quick else 60)
            for steps in () if quick else (1, 3, 9):
                load = Load(steps, fan_out=False, in_flight=OTHERS_IN_FLIGHT, seconds=2.0)
                figures.by_shape[f"{steps} steps"], _, runs = _load(peer, load)
                figures.done += runs
            if not quick:
                load = Load(50, fan_out=True, in_flight=FAN_OUT_IN_FLIGHT, seconds=3.0)
                figures.by_shape["fan-out of 50"], _, runs = _load(peer, load)
                figures.done += runs
            figures.found = peer.kill_and_count()
    finally:
        peer.stop()


def _load(peer: Peer, load: Load) -> tuple[float, dict[str, float], int]:
    command = {
        "do": "load",
        "steps": load.steps,
        "fan_out": load.fan_out,
        "in_flight": max(1, load.in_flight // peer.processes),
        "seconds": load.seconds,
    }
    for driver in peer.drivers:
        driver.tell(json.dumps(command))
    for driver in peer.drivers:
        driver.hear()
    before, watch = peer.steps(), Stopwatch(peer.pids())
    own = sum(driver.hear()["steps"] for driver in peer.drivers)
    after = peer.steps()
    elapsed_s, cpu = watch.read()
    steps = own if before is None or after is None else after - before
    runs = sum(driver.hear()["runs"] for driver in peer.drivers)
    return steps / elapsed_s, {name: used / max(steps, 1) * 1e6 for name, used in cpu.items()}, runs


def _alone(peer: Peer, runs: int) -> list[float]:
    peer.drivers[0].tell(json.dumps({"do": "alone", "steps": 5, "runs": runs}))
    return peer.drivers[0].hear()["latencies_ms"]
