"""Live a schedule of the whole engine: several workflows, people who operate runs, events, a server that fails over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from tests.simulation.engine_python import written_in_python
from tests.simulation.engine_schedule import CHILD, CHILD_DOCUMENT, EVENT, EngineSchedule
from tests.simulation.engine_services import EngineTool, EngineWorld, index_of
from tests.simulation.journals import events_of
from tests.simulation.memory_database import Network
from tests.simulation.schedule import Happening
from tests.simulation.services import SimulatedReview, SimulatedSet
from tests.simulation.sql_database import SqlDatabase
from tests.simulation.sql_server import SqlServer
from tests.simulation.virtual_loop import START, VirtualClock
from tests.simulation.world import SETTINGS, BrokenError, Process, Simulation
from tests.support.engine import ACTOR, OBJECT, RELEASE, Releases

from signoff.core.errors import ConflictError, InvalidError, NotFoundError, UnavailableError
from signoff.runtime import StartRequest, Worker
from signoff.runtime.breakers import BreakerSettings
from signoff.runtime.client.operations import Operation, operate
from signoff.runtime.queues import Bounds, Queue, QueuePlace
from signoff.runtime.waits import IncomingEvent, post_event
from signoff.runtime.waits import store as waits_store
from signoff.steps.call import CallStep
from signoff.steps.wait import WaitStep
from signoff.workflows import compile_workflow
from signoff.workflows.model import Contract, Contracts, Workflow

ENGINE_SETTINGS = SETTINGS.model_copy(update={"crash_limit": 1000})
BREAKERS = BreakerSettings(failures=3, window_s=10, open_s=1, longest_open_s=3, refresh_s=1)
NAME = "test/simulated"
LOST_S = 1.5
"""The longest tail of commits that a failover loses."""
PAUSED_S = 3.0
"""How long people leave a run paused."""
OPERATIONS = ("terminate", "pause", "retry", "skip", "priority", "retry from")
HEAD = """
workflow: {name}
version: 1.0.0
about: A simulation.
owner: team/test
risk: low
input:
  type: object
  additionalProperties: false
  properties: {{n: {{type: integer}}, past: {{type: string}}, soon: {{type: string}}, later: {{type: string}}}}
  required: [{required}]
"""
TOOLS = {"read": False, "wait": False, "flaky": False, "lookup": True, "resend": True, "ask": True, "undo": True}


def flows_of(schedule: EngineSchedule) -> dict[str, Workflow]:
    """The schedule's workflows by name."""
    tools = {name: Contract(OBJECT, OBJECT, effect) for name, effect in TOOLS.items()}
    given = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    contracts = Contracts(tools=tools, workflows={CHILD: Contract(given, OBJECT, outcomes=("ok",))})
    child = compile_workflow(HEAD.format(name=CHILD, required="n") + CHILD_DOCUMENT, "workflows/child.yaml", contracts)
    if schedule.python:
        main = written_in_python(schedule, "simulated")
    else:
        text = HEAD.format(name=NAME, required="n, past, soon, later") + schedule.document()
        main = compile_workflow(text, "workflows/simulated.yaml", contracts)
    return {main.name: main, child.name: child}


@dataclass
class EngineSimulation(Simulation):
    """A schedule of the whole engine under way.

    Attributes:
        flows: the workflows of its release.
        posted: events that were taken: whom for, which step, and when by the simulation's clock.
        closed: when a wait for an event was first closed, by run and path.
        over: what the queue's limit was broken by.
    """

    flows: Mapping[str, Workflow] = field(default_factory=dict[str, Workflow])
    posted: list[tuple[int, str, float]] = field(default_factory=list[tuple[int, str, float]])
    closed: dict[tuple[UUID, str], float] = field(default_factory=dict[tuple[UUID, str], float])
    over: list[str] = field(default_factory=list[str])
    patience_s: float = 120.0
    paused_s: dict[UUID, float] = field(default_factory=dict[UUID, float])

    @property
    def plan(self) -> EngineSchedule:
        """The schedule, as what it is."""
        assert isinstance(self.schedule, EngineSchedule)
        return self.schedule

    @property
    def server(self) -> SqlServer:
        """The store, as what it is."""
        store: Any = self.store
        return store

    def begin_process(self) -> Process:
        database, clock = SqlDatabase(self.network), VirtualClock(self.loop)
        releases = Releases(dict(self.flows))
        world: Any = self.world
        worker = Worker(
            database,  # type: ignore[arg-type]  (what the engine uses of it)
            handlers=[
                EngineTool(world, database, self.check_queue),
                SimulatedReview(self.world, database),
                WaitStep(database),  # type: ignore[arg-type]  (likewise)
                CallStep(database, releases, permit=_permitted),  # type: ignore[arg-type]  (likewise)
            ],
            pure=[SimulatedSet()],
            releases=releases,
            clock=clock,
            settings=ENGINE_SETTINGS,
            chance=self.world.chance.random,
            breakers=BREAKERS,
        )
        process = Process(database, clock, worker, self.loop.create_task(worker.run()))
        self.processes.append(process)
        return process

    def start_of(self, number: int) -> StartRequest:
        now = VirtualClock(self.loop).now()
        moments = {"past": -5.0, "soon": 0.5, "later": 4.0}
        told = {name: (now + timedelta(seconds=after_s)).isoformat() for name, after_s in moments.items()}
        request = StartRequest(self.flow, RELEASE, {"n": number, **told}, ACTOR, team=f"team-{number % 2}")
        plan = self.plan
        if not plan.at_once:
            return request
        queue = Queue(
            "simulated",
            whole=Bounds(plan.at_once),
            per_key=Bounds(plan.of_key or None),
            release_while_waiting=plan.yields,
        )
        return replace(request, place=QueuePlace(queue, "dev/simulated", f"key-{number % 2}" if plan.of_key else None))

    def check_queue(self) -> None:
        """No more of the queue's runs are under way than it lets; what a worker does that is dead does not count."""
        if not self.plan.at_once:
            return
        queued = self.server.read("SELECT run_id FROM run_queue WHERE queue IS NOT NULL AND gate IS NULL")
        busy = [row["run_id"] for row in queued if self._world.under_way[row["run_id"]]]
        if len(busy) > self.plan.at_once:
            self.over.append(f"{len(busy)} runs are under way at {self.loop.time():g} s: {busy}")

    @property
    def _world(self) -> EngineWorld:
        world: Any = self.world
        return world

    def noted(self, query: str, arguments: Sequence[Any]) -> None:
        """A statement was applied."""
        if query == waits_store.CLOSE:
            self.closed.setdefault((arguments[0], arguments[1]), self.loop.time())

    # --- what befalls them -------------------------------------------------------------------------------------

    async def befall(self, happening: Happening) -> None:
        if happening.action not in (*OPERATIONS, "failover", "outage", "event"):
            await super().befall(happening)
            return
        await asyncio.sleep(max(happening.at_s - self.loop.time(), 0.0))
        match happening.action:
            case "failover":
                await self._fail_over(min(happening.lasts_s, LOST_S))
            case "outage":
                self._world.down_until_s = self.loop.time() + happening.lasts_s
            case "event":
                number, step = happening.subject % self.schedule.runs, happening.subject % len(self.schedule.steps)
                await self.post(number, str(step), twice=happening.lasts_s > 3)
            case _:
                await self._operate(happening)

    async def _fail_over(self, lost_s: float) -> None:
        """A standby takes over that lacks the last commits; every connection breaks."""
        async with self.network.lock:
            mark, reviews, posted = self.server.savepoint(), set(self.world.open_reviews), len(self.posted)
        await asyncio.sleep(lost_s)
        async with self.network.lock:
            if not self.server.lose(mark):
                return  # an earlier one took it along
            self.world.open_reviews = reviews
            del self.posted[posted:]
            self.answered.clear()
            for client in (*(process.database for process in self.processes), self.people):
                client.cuts += 1

    async def _operate(self, happening: Happening) -> None:
        known = list(self.server.views)
        name: Any = happening.action
        step = f"s{happening.subject % len(self.schedule.steps)}"
        more: dict[str, Any] = {"skip": {"step": step}, "priority": {"priority": 1 + happening.subject}}.get(name, {})
        if name == "retry from":
            name, more = "retry", {"step": step}
        if not known:
            return
        operation = Operation(name, "simulated", key=f"{happening.at_s}", **more)
        run_id = known[happening.subject % len(known)]
        while True:
            try:
                async with self.people.worker_transaction() as connection:
                    await operate(connection, ACTOR, run_id, operation, now=VirtualClock(self.loop).now())
            except (ConflictError, InvalidError, NotFoundError):
                return
            except UnavailableError:
                await asyncio.sleep(0.2)
                continue
            await self.people.notify("signoff_wake", str(run_id))
            return

    async def post(self, number: int, step: str, *, twice: bool = False) -> None:
        """Somebody sends an event, until it is taken; perhaps twice."""
        event_id = f"{number}/{step}/{self.world.chance.random()}"
        event = IncomingEvent(ACTOR.org_id, event_id, "", EVENT, {"n": number, "step": step}, "user/ana", ("",))
        for _ in range(1 + twice):
            while True:
                try:
                    async with self.people.worker_transaction() as connection:
                        done = await post_event(connection, event, now=VirtualClock(self.loop).now())
                except UnavailableError:
                    await asyncio.sleep(0.2)
                    continue
                break
            self.posted.append((number, step, self.loop.time()))
            for run_id in done.run_ids:
                await self.people.notify("signoff_wake", str(run_id))

    # --- people ------------------------------------------------------------------------------------------------

    async def attend(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            try:
                for run_id, view in self.server.views.items():
                    await self._look_at(run_id, view)
            except UnavailableError:
                continue  # they try again

    async def _look_at(self, run_id: UUID, view: Mapping[str, Any]) -> None:
        if view["status"] == "paused":
            if self.loop.time() > self.paused_s.setdefault(run_id, self.loop.time()) + PAUSED_S:
                del self.paused_s[run_id]
                await self.send(run_id, "", "run.resume", {"reason": "simulated"})
            return
        for entry in orjson.loads(view["waiting_for"]):
            again = sum(event.kind == "run.reopened" for event in events_of(self.server, run_id))
            if entry["kind"] == "event" and "timeout" not in self._form(entry["step"]):
                await self._bring(run_id, entry, again)
            else:
                await self._attend_to(run_id, {**entry, "attempt": entry.get("attempt"), "again": again})

    def _form(self, path: str) -> str:
        return self.schedule.steps[index_of(path)].inner

    async def _bring(self, run_id: UUID, entry: Mapping[str, Any], again: int) -> None:
        """What a run waits for without an end comes, once."""
        question = (run_id, entry["step"], "event", again)
        since_s = self.asked_s.setdefault(question, self.loop.time())
        if question in self.answered or self.loop.time() < since_s + 1.0:
            return
        self.answered.add(question)
        await self.post(events_of(self.server, run_id)[0].data["input"]["n"], str(index_of(entry["step"])))

    async def live(self) -> None:
        try:
            await super().live()
        except BrokenError as error:
            tables = ("run_queue", "queue_slot", "queue_turn", "worker_session", "breaker")
            rows = [str(dict(row.items())) for table in tables for row in self.server.read(f"SELECT * FROM {table}")]
            stories = ["\n".join([str(run_id), *self._story(run_id)]) for run_id in self.server.queue]
            raise BrokenError("\n".join([str(error), *rows, *stories])) from error

    def _story(self, run_id: UUID) -> list[str]:
        events = events_of(self.server, run_id)
        return [f"{event.recorded_at:%X.%f} {event.seq} {event.kind} {event.data}" for event in events]

    def all_ended(self) -> bool:
        return all(task.done() for task in self.befalling) and not self.server.queue


async def _permitted(*_: Any) -> None:
    """Everything is permitted."""


def engine_simulation(url: str, schedule: EngineSchedule, flows: Mapping[str, Workflow]) -> EngineSimulation:
    """A simulation on the running loop; enter its `server` before it lives."""
    loop, chance = asyncio.get_running_loop(), random.Random(schedule.seed)
    made: list[EngineSimulation] = []
    server = SqlServer(
        url,
        VirtualClock(loop).now,
        left=lambda session_id, run_id: made[0].left(session_id, run_id),  # noqa: PLW0108  (it is made below)
        applied=lambda query, arguments: made[0].noted(query, arguments),  # noqa: PLW0108  (it is made below)
    )
    tables: Any = server
    network = Network(tables, chance)
    people = SqlDatabase(network)
    world = EngineWorld(schedule, chance)
    flow = next(iter(flows.values()))
    made.append(EngineSimulation(schedule, flow, loop, world, network, tables, people, flows=flows))
    return made[0]


__all__ = ["START", "BrokenError", "EngineSimulation", "engine_simulation", "flows_of"]
