"""Runs in Python that are moved to other code: they go on where it asks for the same, and else are where they were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from support.engine import ACTOR, FAST, RELEASE, ScriptedTool, SetHandler, ended, eventually, send, start, until
from support.engine import waits_for as waiting_for
from support.operations import told
from support.python_workflows import python_workflow

from signoff.core.clock import SystemClock
from signoff.foundation.database import Database
from signoff.runtime import Worker
from signoff.runtime.client.migrating import Move, migrate
from signoff.runtime.handlers import Done, Waiting
from signoff.workflows.model import Workflow
from signoff.workflows.python import Context, RunOutcome

OTHER = "o" * 64


@dataclass
class ByRelease:
    """Releases in memory, each with one workflow."""

    workflows: dict[str, Workflow]

    async def load(self, org_id: UUID, release: str) -> Any:
        return None

    async def workflow(self, org_id: UUID, release: str, name: str) -> Workflow:
        return self.workflows[release]


@asynccontextmanager
async def working(database: Database, tool: ScriptedTool, workflows: dict[str, Workflow]) -> AsyncGenerator[None]:
    clock, releases = SystemClock(), ByRelease(workflows)
    worker = Worker(database, handlers=[tool], pure=[SetHandler()], releases=releases, clock=clock, settings=FAST)
    task = asyncio.create_task(worker.run())
    await asyncio.wait_for(worker.ready(), 20)
    yield
    worker.stop()
    await asyncio.wait_for(task, 30)


async def first(ctx: Context, value: dict[str, Any]) -> RunOutcome:
    await ctx.tool("ask", {"n": 1}, name="ask")
    return ctx.outcome("ok", {"by": "first"})


async def fits(ctx: Context, value: dict[str, Any]) -> RunOutcome:
    await ctx.tool("ask", {"n": 1}, name="ask")
    return ctx.outcome("ok", {"by": "second"})


async def differs(ctx: Context, value: dict[str, Any]) -> RunOutcome:
    await ctx.tool("ask", {"n": 2}, name="ask")
    return ctx.outcome("ok", {"by": "second"})


@pytest.mark.parametrize("function", [fits, differs])
async def test_a_move_to_code_that_asks_for_something_else_is_taken_back(database: Database, function: Any) -> None:
    old = python_workflow("moved", first)
    new = replace(python_workflow("moved", function), digest="d" * 64)
    tool = ScriptedTool({"ask": lambda call: Waiting("signal")}, resumes={"ask": lambda call, message: Done({})})
    async with working(database, tool, {RELEASE: old, OTHER: new}):
        run_id = await start(database, old, {})
        await until(database, run_id, waiting_for("signal"))
        async with database.transaction(ACTOR.org_id) as connection:
            await migrate(connection, ACTOR, run_id, Move(OTHER, new, old, "better"), now=SystemClock().now())
        moves = 1 if function is fits else 2

        async def moved() -> bool:
            return len(await told(database, run_id, "run.migrated")) == moves

        await eventually(moved)
        release = OTHER if function is fits else RELEASE
        await until(database, run_id, lambda run: run.release == release and run.status == "waiting")
        await send(database, run_id, "ask", {})
        await ended(database, run_id)
    (end,) = await told(database, run_id, "run.ended")
    assert end["output"] == {"by": "second" if function is fits else "first"}
    if function is differs:
        back = (await told(database, run_id, "run.migrated"))[-1]
        assert (back["by"], back["release"]) == ("system/engine", RELEASE)
        assert back["differs"][0]["step"] == "ask"
        assert "test_runtime_python_moving.py" in back["reason"]
    assert await told(database, run_id, "run.stuck") == []
