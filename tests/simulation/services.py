"""What a simulated workflow acts on: services beyond a network, that perform a call now, later or never."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid5

from tests.simulation.memory_database import MemoryDatabase
from tests.simulation.schedule import Schedule

from signoff.core.errors import StepError
from signoff.runtime.handlers import Approval, Done, Effect, Message, StepCall, Waiting

TIMEOUT_S = 1.0
"""How long one call may take: what is performed later than that after its start cannot happen."""
ANSWER_WITHIN_S = 2.0
"""When a waiting step gives up waiting for a message."""


@dataclass
class World:
    """What really happened, whatever the journals say.

    Attributes:
        performed: how often the service acted on a key. Those called with `resend` act once on one key.
        tries: how often each place of a run was called.
        approvals_used: which effects acted on each approval.
        open_reviews: reviews that people can see, by run and path.
    """

    schedule: Schedule
    chance: random.Random
    performed: Counter[str] = field(default_factory=Counter[str])
    tries: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    approvals_used: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    open_reviews: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def result_of(self, call: StepCall) -> str:
        """How this try ends. The last result of a step's list is for good; an undo works."""
        if call.path.endswith("/undo"):
            return "ok"
        place = (str(call.run.run_id), call.path)
        self.tries[place] += 1
        top = call.path.partition("/")[0].partition("[")[0]
        results = self.schedule.steps[int(top.removeprefix("s").removesuffix("_ok"))].results
        return results[min(self.tries[place], len(results)) - 1]

    def act(self, call: StepCall) -> None:
        """The service gets the call."""
        key = call.idempotency_key
        assert key is not None
        if call.step.target in ("resend", "undo") and self.performed[key]:
            return  # who takes part in `resend` has promised to act once on a key
        self.performed[key] += 1
        for approval in call.approvals:
            self.approvals_used.setdefault(approval.review_id, set()).add(key)


class SimulatedTool:
    """The verb `tool`, in one worker's process."""

    verb = "tool"
    visible = False

    def __init__(self, world: World, database: MemoryDatabase) -> None:
        self._world = world
        self._database = database

    def effect(self, call: StepCall) -> Effect | None:
        match call.step.target:
            case "lookup":
                return Effect("lookup", settle_s=TIMEOUT_S)
            case "resend" | "undo":
                return Effect("resend", settle_s=TIMEOUT_S)
            case "ask":
                return Effect("ask", settle_s=TIMEOUT_S)
            case _:
                return None

    async def permit(self, call: StepCall) -> None:
        """Everything is permitted."""

    async def execute(self, call: StepCall) -> Done | Waiting:
        world, chance = self._world, self._world.chance
        if self._database.dead:
            raise asyncio.CancelledError
        result = world.result_of(call)
        if call.step.target == "wait":
            return Waiting("answer")
        if self.effect(call) is not None:
            if call.step.target == "resend" and world.performed[str(call.idempotency_key)]:
                result = "ok"  # who honours keys answers as before
            self._send(call, result)
        await asyncio.sleep(chance.uniform(0, 0.05) if chance.random() < 0.9 else chance.uniform(0, TIMEOUT_S))
        match result:
            case "lost before" | "lost after" | "late":
                raise StepError("no answer", kind="timeout", retryable=True, outcome_unknown=True)
            case "refused":
                raise StepError("no", kind="refused")
            case "busy":
                raise StepError("busy", kind="busy", retryable=True)
            case "bug":
                raise KeyError("bug")
            case _:
                return Done({})

    def _send(self, call: StepCall, result: str) -> None:
        """What is on its way arrives, also if the sender has died meanwhile."""
        if result in ("ok", "lost after", "bug"):
            self._world.act(call)
        elif result == "late":
            delay_s = self._world.chance.uniform(0, TIMEOUT_S)
            asyncio.get_running_loop().call_later(delay_s, self._world.act, call)

    async def resume(self, call: StepCall, waiting: Waiting, message: Message | None) -> Done | Waiting:
        if message is None:
            return Done({}, result="expired", readable=False)
        return Done({"answer": str(message.message_id)})

    async def look_up(self, call: StepCall) -> Done | None:
        await asyncio.sleep(self._world.chance.uniform(0, 0.02))
        return Done({}) if self._world.performed[str(call.idempotency_key)] else None

    def check_answer(self, call: StepCall, output: Any) -> None:
        """Any object will do."""

    async def withdraw(self, call: StepCall, waiting: Waiting) -> None:
        """Nobody was told."""


class SimulatedReview(SimulatedTool):
    """The verb `review`: opens in a table that people see, and is withdrawn from it."""

    verb = "review"
    visible = True

    def effect(self, call: StepCall) -> Effect | None:
        return None

    async def execute(self, call: StepCall) -> Done | Waiting:
        if self._database.dead:
            raise asyncio.CancelledError
        self._world.open_reviews.add((str(call.run.run_id), call.path))
        return Waiting("review")

    async def resume(self, call: StepCall, waiting: Waiting, message: Message | None) -> Done | Waiting:
        if message is None or message.kind != "review.decided":
            return waiting
        self._world.open_reviews.discard((str(call.run.run_id), call.path))
        review_id = str(uuid5(call.run.run_id, f"{call.generation}/{call.path}"))
        approval = Approval(call.path, review_id, "d" * 64, message.sent_by, "approved")
        return Done({"n": 1}, result="approved", approval=approval)

    async def withdraw(self, call: StepCall, waiting: Waiting) -> None:
        self._world.open_reviews.discard((str(call.run.run_id), call.path))


class SimulatedSet:
    """The verb `set`."""

    verb = "set"

    def compute(self, call: StepCall) -> Done:
        return Done(call.arguments["set"])
