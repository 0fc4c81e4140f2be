"""Workflows in Python as releases have them: imported from the database's bytes, each release its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import pytest
from tests.support.engine import ACTOR, FAST, ScriptedTool, ended, journal, until

from signoff.catalog.model import Project
from signoff.catalog.projects import load_project_files
from signoff.catalog.releases import ReleaseCatalog, register
from signoff.core.clock import SystemClock
from signoff.core.errors import ConflictError
from signoff.foundation.database import Database
from signoff.runtime import StartRequest, Worker, start_run
from signoff.runtime.client import read_run
from signoff.runtime.client.forking import Fork, fork
from signoff.runtime.handlers import Done

HELPER = b"def twice(n):\n    return n * FACTOR\n\n\nFACTOR = 2\n"
CODE = b"""
from signoff.workflows.python import Context, RunOutcome, workflow

from .sums import twice


@workflow("test/sum", version="1.0.0", input={"type": "object"}, outcomes=["ok"])
async def add(ctx: Context, input) -> RunOutcome:
    act = await ctx.tool("shop.act", {"n": twice(input["n"])}, name="act")
    return ctx.outcome("ok", {"n": act["n"]})
"""
TOOL = b"""
tool: shop.act
about: Acts.
python: tools/act.py:act
input: {type: object, properties: {n: {type: integer}}, required: [n]}
output: {type: object, properties: {n: {type: integer}}, required: [n]}
effect: none
"""


def project(helper: bytes = HELPER, code: bytes = CODE) -> Project:
    files = {"signoff.yaml": b"project: test\n", "workflows/sum.py": code, "workflows/sums.py": helper}
    tools = {"tools/act.yaml": TOOL, "tools/act.py": b"def act(given):\n    return given\n"}
    return load_project_files({**files, **tools})


@asynccontextmanager
async def working(database: Database, tool: ScriptedTool) -> AsyncGenerator[None]:
    releases = ReleaseCatalog(database)
    worker = Worker(database, handlers=[tool], pure=[], releases=releases, clock=SystemClock(), settings=FAST)
    task = asyncio.create_task(worker.run())
    try:
        await asyncio.wait_for(worker.ready(), 10)
        yield
    finally:
        worker.stop()
        await asyncio.wait_for(task, 30)


async def begin(database: Database, released: Project, n: int) -> UUID:
    async with database.transaction(ACTOR.org_id) as connection:
        digest = await register(connection, ACTOR.org_id, released, ACTOR)
        request = StartRequest(released.workflows["test/sum"], digest, {"n": n}, ACTOR)
        return (await start_run(connection, request, now=SystemClock().now())).run_id


async def test_each_run_executes_the_code_of_its_own_release(database: Database) -> None:
    first, second = project(), project(HELPER.replace(b"FACTOR = 2", b"FACTOR = 10"))
    tool = ScriptedTool({"shop.act": lambda call: Done(call.arguments["with"])})
    old, new = await begin(database, first, 4), await begin(database, second, 4)
    async with working(database, tool):
        for run_id, n in ((old, 8), (new, 40)):
            assert (await ended(database, run_id)).status == "done"
            assert (await journal(database, run_id))[-1].data["output"] == {"n": n}
    (begun,) = [event for event in await journal(database, new) if event.kind == "step.started"]
    assert begun.data["command"]["at"] == "workflows/sum.py:9"


async def test_code_that_cannot_be_imported_parks_its_runs_and_says_why(database: Database) -> None:
    broken = project(code=CODE.replace(b"from .sums import twice", b"from .sums import thrice as twice"))
    run_id = await begin(database, broken, 4)
    async with working(database, ScriptedTool({})):
        run = await until(database, run_id, lambda summary: summary.status == "stuck")
    assert run.error is not None
    assert run.error["code"] == "workflow-import"
    assert "workflows/sum.py" in run.error["detail"]
    assert "thrice" in run.error["detail"]


async def test_a_fork_does_the_effects_of_code_once_more_only_dry(database: Database) -> None:
    released = project()
    run_id = await begin(database, released, 4)
    async with working(database, ScriptedTool({"shop.act": lambda call: Done(call.arguments["with"])})):
        await ended(database, run_id)
        workflow = released.workflows["test/sum"]
        async with database.transaction(ACTOR.org_id) as connection:
            release = (await read_run(connection, ACTOR.org_id, run_id)).release
            asked = Fork(run_id, None, workflow, workflow, release, None, ACTOR)
            with pytest.raises(ConflictError, match="once more"):
                await fork(connection, replace(asked, live=True), now=SystemClock().now())
            forked = await fork(connection, asked, now=SystemClock().now())
        assert (await ended(database, forked.run_id)).status == "done"
