"""Handlers whose calls queue for something scarce: waiting for a turn is no part of a try."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from support.engine import ScriptedTool, compiled, ended, journal, running, start

from signoff.foundation.database import Database
from signoff.runtime.handlers import Done, StepCall


@dataclass
class OneAtATime(ScriptedTool):
    """A tool with a single turn."""

    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    def turn(self, call: StepCall) -> AbstractAsyncContextManager[None]:
        return self.turns


async def test_a_step_that_waits_for_its_turn_is_not_late(database: Database):
    """Six calls of 100 ms, one at a time, each with a timeout of 300 ms: the last one waits longer than that."""
    steps = "".join(f"  s{n}: {{tool: act, with: {{}}, timeout: 300ms}}\n" for n in range(6))
    flow = compiled("turns", f"steps:\n{steps}outcome: {{ok: s0.done}}\n", act=False)
    working = 0
    most = 0

    async def act(call: StepCall) -> Done:
        nonlocal working, most
        working += 1
        most = max(most, working)
        await asyncio.sleep(0.1)
        working -= 1
        return Done({})

    async with running(database, [flow], OneAtATime({"act": act})):
        summary = await ended(database, await start(database, flow, {}))
    assert summary.outcome == "ok"
    assert most == 1
    assert not [event for event in await journal(database, summary.run_id) if event.kind == "step.retrying"]
