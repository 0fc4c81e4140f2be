"""Live one schedule: workers that come and go, a network that fails, people who answer, until every run has ended."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from tests.simulation.journals import folded
from tests.simulation.memory_database import STATEMENTS, MemoryDatabase, Network, Statements
from tests.simulation.memory_store import MemoryStore
from tests.simulation.schedule import Happening, Schedule
from tests.simulation.services import TIMEOUT_S, SimulatedReview, SimulatedSet, SimulatedTool, World
from tests.simulation.virtual_loop import START, VirtualClock
from tests.support.engine import ACTOR, RELEASE, Releases

from signoff.core.errors import ConflictError, NotFoundError, UnavailableError
from signoff.core.ids import uuid7
from signoff.runtime import RuntimeSettings, Worker, client
from signoff.runtime.client import StartRequest, start_run
from signoff.runtime.state import RunState
from signoff.workflows.model import Workflow

SETTINGS = RuntimeSettings(
    lease_s=3.0, heartbeat_s=1.0, poll_s=1.0, park_after_s=0.1, step_timeout_s=TIMEOUT_S, drain_s=2.0
)
HORIZON_S = 12.0
"""Nothing befalls anybody after this."""
PATIENCE_S = 400.0
"""By then every run has ended, or something was lost."""
LOOK_S = 2.0 * TIMEOUT_S
"""How long a person lets pass before they look what became of a call: until then it may still be on its way."""

if "SIGNOFF_SIMULATION_LOG" not in os.environ:
    logging.getLogger("signoff").setLevel(logging.CRITICAL)  # workers die here all the time


class BrokenError(AssertionError):
    """Something that always holds did not."""


@dataclass
class Process:
    """One worker process, from its start to its death."""

    database: MemoryDatabase
    clock: VirtualClock
    worker: Worker
    task: asyncio.Task[None]


@dataclass
class Simulation:
    """A schedule under way.

    Attributes:
        accepted: ids of the messages that the store took, by run.
        answered: what people have answered, by run, step and try.
        locked_until_s: rows that a slow sender has locked, by run.
    """

    schedule: Schedule
    flow: Workflow
    loop: asyncio.AbstractEventLoop
    world: World
    network: Network
    store: MemoryStore
    people: MemoryDatabase
    processes: list[Process] = field(default_factory=list[Process])
    runs: list[UUID] = field(default_factory=list[UUID])
    accepted: dict[UUID, set[UUID]] = field(default_factory=dict[UUID, set[UUID]])
    asked_s: dict[tuple[Any, ...], float] = field(default_factory=dict[tuple[Any, ...], float])
    answered: set[tuple[Any, ...]] = field(default_factory=set[tuple[Any, ...]])
    locked_until_s: dict[UUID, float] = field(default_factory=dict[UUID, float])
    unequal: list[str] = field(default_factory=list[str])
    befalling: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])
    patience_s: float = PATIENCE_S

    def begin_process(self) -> Process:
        database, clock = MemoryDatabase(self.network), VirtualClock(self.loop)
        worker = Worker(
            database,  # type: ignore[arg-type]  (what the engine uses of it)
            handlers=[SimulatedTool(self.world, database), SimulatedReview(self.world, database)],
            pure=[SimulatedSet()],
            releases=Releases({self.flow.name: self.flow}),
            clock=clock,
            settings=SETTINGS,
            chance=self.world.chance.random,
        )
        process = Process(database, clock, worker, self.loop.create_task(worker.run()))
        self.processes.append(process)
        return process

    def locked(self, run_id: UUID) -> bool:
        return self.locked_until_s.get(run_id, 0.0) > self.loop.time()

    def left(self, session_id: UUID, run_id: UUID) -> None:
        """A run has left a worker's memory: what the worker knew of it is what its journal says."""
        for process in self.processes:
            session = process.worker._session  # pyright: ignore[reportPrivateUsage]  (what no caller needs to see, but this check)
            if session is None or session._id != session_id:  # pyright: ignore[reportPrivateUsage]  (likewise)
                continue
            execution = session._residents.get(run_id)  # pyright: ignore[reportPrivateUsage]  (likewise)
            if execution is not None and execution.resting:
                recorded = folded(self.store, run_id)
                if execution.state != recorded:
                    self.unequal.append(difference(execution.state, recorded))

    # --- what befalls them -------------------------------------------------------------------------------------

    async def befall(self, happening: Happening) -> None:
        await asyncio.sleep(max(happening.at_s - self.loop.time(), 0.0))
        process = self.processes[happening.subject % len(self.processes)]
        run_id = self.runs[happening.subject % len(self.runs)]
        lasts_s = min(happening.lasts_s, HORIZON_S - self.loop.time())
        match happening.action:
            case "kill":
                process.database.dead = True
                process.task.cancel()
                await asyncio.sleep(lasts_s)
                self._replace(process)
            case "stop":
                process.worker.stop()
                await asyncio.sleep(lasts_s)
                if process.task.done():
                    self._replace(process)
            case "stall":
                process.database.stalled_until_s = self.loop.time() + lasts_s
            case "cut":
                process.database.cuts += 1
            case "restart server":
                for one in [*self.processes, None]:
                    (self.people if one is None else one.database).cuts += 1
            case "clock":
                process.clock.offset_s += lasts_s if happening.subject % 2 else -lasts_s
            case "lock":
                self.locked_until_s[run_id] = self.loop.time() + min(lasts_s, 1.0)
            case "stray":
                await self._stray(run_id, happening)
            case "cancel":
                await self.send(run_id, "", "run.cancel", {"reason": "simulated"})
            case _:
                path = f"s{happening.subject % len(self.schedule.steps)}"
                await self.send(run_id, path, "signal", {"n": 1}, copies=2)

    def _replace(self, process: Process) -> None:
        if process in self.processes:
            self.processes.remove(process)
            self.begin_process()

    async def _stray(self, run_id: UUID, happening: Happening) -> None:
        """Something for nobody, for somebody else, or of a kind that does not belong there."""
        path = ("nobody", "s0", "s0/undo", "s1", "s0[0]/e", "s1_ok")[happening.subject % 6]
        strays: tuple[tuple[str, dict[str, Any]], ...] = (
            ("signal", {}),
            ("effect.resolution", {"resolution": "retry", "attempt": 99}),
            ("effect.observed", {"output": {}, "labels": {}}),
        )
        kind, data = strays[int(happening.lasts_s * 10) % 3]
        await self.send(run_id, path, kind, data)

    # --- people ------------------------------------------------------------------------------------------------

    async def send(self, run_id: UUID, path: str, kind: str, data: Mapping[str, Any], *, copies: int = 1) -> None:
        """What a client does: again with the same id until there is an answer; a conflict says that the run ended."""
        noise = self.world.chance.randbytes(10)
        for copy in range(copies):
            made_ms = int((START.timestamp() + self.loop.time()) * 1000)
            message_id = uuid7(time_ms=made_ms, random_bytes=noise if copy == 0 else self.world.chance.randbytes(10))
            while True:
                try:
                    async with self.people.worker_transaction() as connection:
                        await client.send_message(
                            connection,
                            org_id=ACTOR.org_id,
                            run_id=run_id,
                            path=path,
                            kind=kind,
                            data=data,
                            sent_by="user/ana",
                            now=VirtualClock(self.loop).now(),
                            message_id=message_id,
                        )
                except (ConflictError, NotFoundError):
                    break
                except UnavailableError:
                    await asyncio.sleep(0.2)
                    continue
                self.accepted.setdefault(run_id, set()).add(message_id)
                await self.people.notify("signoff_wake", str(run_id))
                break

    async def attend(self) -> None:
        """People look at what waits, and answer once: an answer that was taken needs no second one."""
        while True:
            await asyncio.sleep(0.25)
            for run_id in self.runs:
                for entry in orjson.loads(self.store.views[run_id]["waiting_for"]):
                    await self._attend_to(run_id, entry)

    async def _attend_to(self, run_id: UUID, entry: Mapping[str, Any]) -> None:
        path, kind = str(entry["step"]), entry["kind"]
        question = (run_id, path, kind, entry.get("attempt"), entry.get("again"))
        since_s = self.asked_s.setdefault(question, self.loop.time())
        if question in self.answered or self.loop.time() < since_s + LOOK_S * (kind == "outcome_unknown"):
            return
        self.answered.add(question)
        copies = self.world.chance.choice((1, 1, 2))
        match kind:
            case "outcome_unknown":
                await self.send(run_id, path, "effect.resolution", self._truth(run_id, path, entry), copies=copies)
            case "undo_failed":
                await self.send(
                    run_id, path, "effect.resolution", {"resolution": "failed", "attempt": entry["attempt"]}
                )
            case "review":
                await self.send(run_id, path, "review.decided", {"result": "approved"}, copies=copies)
            case "answer":
                await self.send(run_id, path, "signal", {"answer": 1}, copies=copies)
            case _:
                self.answered.discard(question)

    def _truth(self, run_id: UUID, path: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """What somebody finds who looks in the other system."""
        key = folded(self.store, run_id).steps[path].key
        if self.world.performed[str(key)]:
            return {"resolution": "happened", "output": {}, "attempt": entry["attempt"]}
        said = self.world.chance.choice(("retry", "failed"))
        return {"resolution": said, "attempt": entry["attempt"]}

    # --- from beginning to end ---------------------------------------------------------------------------------

    async def live(self) -> None:
        for _ in range(self.schedule.workers):
            self.begin_process()
        for number in range(self.schedule.runs):
            async with self.people.worker_transaction() as connection:
                request = self.start_of(number)
                self.runs.append((await start_run(connection, request, now=VirtualClock(self.loop).now())).run_id)
            await asyncio.sleep(0.05)
        attending = self.loop.create_task(self.attend())
        self.befalling = [self.loop.create_task(self.befall(one)) for one in self.schedule.happenings]
        while not self.all_ended():
            for task in (attending, *(process.task for process in self.processes), *self.befalling):
                if task.done() and not task.cancelled():
                    task.result()  # whoever fails here would leave everything waiting
            if self.network.unknown:
                raise BrokenError(f"the store in memory does not know this statement:\n{self.network.unknown}")
            await asyncio.sleep(0.1)
            if self.loop.time() > HORIZON_S:
                for process in list(self.processes):
                    process.clock.offset_s = 0.0
                    if process.task.done():
                        self._replace(process)
            if self.loop.time() > self.patience_s:
                waiting = {str(run_id): self.store.views[run_id]["waiting_for"] for run_id in self.runs}
                raise BrokenError(f"runs have not ended: {waiting}")
        attending.cancel()
        await asyncio.gather(*self.befalling)
        for process in self.processes:
            process.worker.stop()
        await asyncio.wait([process.task for process in self.processes], timeout=60)

    def start_of(self, number: int) -> StartRequest:
        """How the run with that number is started."""
        return StartRequest(self.flow, RELEASE, {"n": number}, ACTOR)

    def all_ended(self) -> bool:
        """Whether nothing is left to happen."""
        return not any(run_id in self.store.queue for run_id in self.runs)


def difference(live: RunState, recorded: RunState) -> str:
    """What a worker knew that its journal does not say."""
    names = [name for name in live.__dataclass_fields__ if getattr(live, name) != getattr(recorded, name)]
    return "; ".join(f"{name}: {getattr(live, name)!r} is recorded as {getattr(recorded, name)!r}" for name in names)


def simulated(schedule: Schedule, flow: Workflow, statements: Statements = STATEMENTS) -> Simulation:
    """A simulation on the running loop."""
    loop, chance = asyncio.get_running_loop(), random.Random(schedule.seed)
    made: list[Simulation] = []
    store = MemoryStore(
        VirtualClock(loop).now,
        locked=lambda run_id: made[0].locked(run_id),  # noqa: PLW0108  (it is made below)
        left=lambda session_id, run_id: made[0].left(session_id, run_id),  # noqa: PLW0108  (it is made below)
    )
    network = Network(store, chance, statements)
    made.append(Simulation(schedule, flow, loop, World(schedule, chance), network, store, MemoryDatabase(network)))
    return made[0]
