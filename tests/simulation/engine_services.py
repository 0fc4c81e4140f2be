"""What simulated workflows of the whole engine act on: the services of `services.py`, one that is down at times."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

from tests.simulation.engine_schedule import CHILD, EngineSchedule
from tests.simulation.services import SimulatedTool, World

from signoff.core.errors import StepError
from signoff.runtime.handlers import Done, StepCall, Waiting

_STEP = re.compile(r"(?:^|/)s(\d+)")


def index_of(path: str) -> int:
    """Which of the schedule's steps a path belongs to, also in a group and in Python's `gather`."""
    found = _STEP.search(path)
    assert found is not None, path
    return int(found[1])


@dataclass
class EngineWorld(World):
    """As its base.

    Attributes:
        down_until_s: until then, on the simulation's clock, the service `flaky` answers nobody.
        under_way: calls of each run that are under way, in whichever worker.
        refused: how often `flaky` was called in vain.
    """

    down_until_s: float = 0.0
    under_way: Counter[UUID] = field(default_factory=Counter[UUID])
    refused: int = 0

    def result_of(self, call: StepCall) -> str:
        if call.path.endswith("/undo"):
            return "ok"
        place = (str(call.run.run_id), f"{call.generation}/{call.path}")
        self.tries[place] += 1
        schedule = self.schedule
        assert isinstance(schedule, EngineSchedule)
        of_child = call.run.workflow == CHILD
        results = schedule.child[int(call.path[1])] if of_child else schedule.steps[index_of(call.path)].results
        return results[min(self.tries[place], len(results)) - 1]


class EngineTool(SimulatedTool):
    """The verb `tool`: `flaky` is behind a circuit breaker."""

    def __init__(self, world: EngineWorld, database: object, began: object) -> None:
        super().__init__(world, database)  # type: ignore[arg-type]  (any client of the store)
        self._engine_world = world
        self._began = began

    def target(self, call: StepCall) -> str | None:
        """What a breaker is about."""
        return "tool/flaky" if call.step.target == "flaky" else None

    async def execute(self, call: StepCall) -> Done | Waiting:
        world = self._engine_world
        world.under_way[call.run.run_id] += 1
        try:
            self._began()  # type: ignore[operator]  (a function)
            if call.step.target != "flaky":
                return await super().execute(call)
            await asyncio.sleep(world.chance.uniform(0, 0.05))
            if world.down_until_s > asyncio.get_running_loop().time():
                world.refused += 1
                raise StepError("down", kind="http_503", retryable=True)
            return Done({})
        finally:
            world.under_way[call.run.run_id] -= 1
