"""Run schedules of the whole engine on a PostgreSQL of their own."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from tests.simulation.engine_checks import check
from tests.simulation.engine_schedule import EngineSchedule
from tests.simulation.engine_world import engine_simulation, flows_of
from tests.simulation.journals import events_of
from tests.simulation.running import SHRINKING_TRIES, shrunk_by
from tests.simulation.sql_server import prepare
from tests.simulation.virtual_loop import START, run_virtually

from signoff.foundation.database import EmbeddedServer, migrate
from signoff.runtime.events import Event
from signoff.workflows.model import Workflow


@dataclass(frozen=True)
class EngineLived:
    """What came of a schedule that held: kinds and steps of each run's events, effects, and how long it took there."""

    journals: tuple[tuple[str, ...], ...]
    effects: int
    lasted_s: float


@dataclass
class Totals:
    """Of many schedules that held."""

    events: int = 0
    effects: int = 0
    simulated_s: float = 0.0

    def add(self, lived: EngineLived) -> None:
        """One more."""
        self.events += sum(len(journal) for journal in lived.journals)
        self.effects += lived.effects
        self.simulated_s += lived.lasted_s

    def __str__(self) -> str:
        return f"{self.events} events, {self.effects} effects, {self.simulated_s / 3600:.1f} simulated hours"


@lru_cache(maxsize=64)
def _flows(document: str, schedule: EngineSchedule) -> dict[str, Workflow]:
    del document
    return flows_of(schedule)


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """Ids that the operating system's chance would make are the seed's: a set of ids has the same order again."""
    chance, real = random.Random(seed), os.urandom
    os.urandom = chance.randbytes
    try:
        yield
    finally:
        os.urandom = real


def live_engine(url: str, schedule: EngineSchedule) -> tuple[EngineLived, list[list[Event]]]:
    """Live a schedule and check what always holds.

    Raises:
        BrokenError: something does not hold.
    """
    of_shape = replace(schedule, seed=0, happenings=())
    flows = _flows(schedule.document(), of_shape) if not schedule.python else flows_of(schedule)

    async def main() -> tuple[EngineLived, list[list[Event]]]:
        simulation = engine_simulation(url, schedule, flows)
        open_until_all_have_left.enter_context(simulation.server)
        await simulation.live()
        check(simulation)
        journals = [events_of(simulation.server, run_id) for run_id in simulation.server.views]
        told = tuple(tuple(f"{event.kind} {event.data.get('step', '')}" for event in events) for events in journals)
        lasted_s = asyncio.get_running_loop().time()
        return EngineLived(told, simulation.world.performed.total(), lasted_s), journals

    with seeded(schedule.seed), ExitStack() as open_until_all_have_left:
        return run_virtually(main())


def engine_failure(url: str, schedule: EngineSchedule) -> Exception | None:
    """How a schedule fails, or none."""
    try:
        live_engine(url, schedule)
    except Exception as error:  # noqa: BLE001  (whatever breaks is what was looked for)
        return error
    return None


def shrunk_engine(
    url: str, schedule: EngineSchedule, *, most_tries: int = SHRINKING_TRIES
) -> tuple[EngineSchedule, Exception]:
    """The smallest schedule found that still fails, and how it fails."""
    for simpler in (replace(schedule, at_once=0, of_key=0, yields=False), replace(schedule, of_key=0, yields=False)):
        if simpler != schedule and engine_failure(url, simpler) is not None:
            schedule = simpler
            break
    return shrunk_by(lambda one: engine_failure(url, one), schedule, most_tries=most_tries)


@contextmanager
def engine_server() -> Generator[str]:
    """The URL of a migrated PostgreSQL of the simulation's own, in which nothing is ever committed."""
    with tempfile.TemporaryDirectory(prefix="signoff-simulation-") as directory:
        Path(directory).chmod(0o711)
        server = EmbeddedServer(Path(directory) / "pg", max_connections=20, durable=False)
        url = server.start()
        try:
            migrate(url)
            prepare(url, START)
            yield url
        finally:
            server.stop(delete=True)
