"""Code of workflows in Python that does not come to an await: it is interrupted, and holds up nobody for long."""

from __future__ import annotations

import time
from typing import Any

import pytest
from support.engine import FAST, ScriptedTool, ended, running, send, start, until
from support.python_workflows import python_workflow

from signoff.foundation.database import Database
from signoff.runtime.handlers import Done
from signoff.workflows.python import Context, RunOutcome

BRIEF = FAST.model_copy(update={"code_s": 0.3, "lease_s": 6.0, "heartbeat_s": 0.5})
PAUSE = time.sleep
TOOL = ScriptedTool({"act": lambda call: Done({"n": 1})})


async def spins(ctx: Context, value: dict[str, Any]) -> RunOutcome:
    await ctx.tool("act")
    while value["spin"]:
        pass
    return ctx.outcome("ok")


async def sleeps(ctx: Context, value: dict[str, Any]) -> RunOutcome:
    await ctx.tool("act")
    if value["spin"]:
        PAUSE(3600)
    return ctx.outcome("ok")


@pytest.mark.parametrize("function", [spins, sleeps])
async def test_code_that_does_not_come_to_an_await_is_interrupted_and_its_run_parked(
    database: Database, function: Any
) -> None:
    workflow = python_workflow("hangs", function)
    async with running(database, [workflow], TOOL, BRIEF) as worker:
        run_id = await start(database, workflow, {"spin": True})
        stuck = await until(database, run_id, lambda run: run.status == "stuck")
        assert (stuck.error or {})["code"] == "non-responsive"
        assert "test_runtime_python_hanging.py:" in (stuck.error or {})["at"]
        assert (await ended(database, await start(database, workflow, {"spin": False}))).outcome == "ok"
        assert worker.statistics["resident_runs"] == 0
        await send(database, run_id, "", {"reason": "enough"}, kind="run.cancel")
        assert (await ended(database, run_id)).status == "cancelled"


async def test_an_interrupted_workflow_may_not_go_on_as_if_nothing_were(database: Database) -> None:
    async def catches(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        try:
            while True:
                pass
        except Exception:  # noqa: BLE001  (what it does is the point)
            return ctx.outcome("ok")

    workflow = python_workflow("catches", catches)
    async with running(database, [workflow], TOOL, BRIEF):
        run_id = await start(database, workflow, {})
        await until(database, run_id, lambda run: run.status == "stuck")
