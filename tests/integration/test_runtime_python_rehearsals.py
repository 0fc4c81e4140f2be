"""Before a run in Python is moved, a worker runs the other code over its journal: nothing is executed, all is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from support.engine import ACTOR, ScriptedTool, eventually, journal, running, start, until
from support.engine import waits_for as waiting_for
from support.python_workflows import python_workflow

from signoff.core.errors import ConflictError
from signoff.foundation.database import Database
from signoff.runtime.client.migrating import Move, compared
from signoff.runtime.handlers import Done, Waiting
from signoff.runtime.rehearsals import NotRehearsedError, Rehearser, rehearse
from signoff.workflows.model import Workflow
from signoff.workflows.python import Context, RunOutcome

OTHER = "o" * 64
KEPT = "SELECT asked_by, asked_at, answered_at, expires_at <= now() AS over, takes, problem FROM run_rehearsal"


@dataclass
class ByRelease:
    """Releases in memory, each with one workflow."""

    workflows: dict[str, Workflow]

    async def load(self, org_id: UUID, release: str) -> Any:
        return None

    async def workflow(self, org_id: UUID, release: str, name: str) -> Workflow:
        return self.workflows[release]


async def first(ctx: Context, value: dict[str, Any]) -> RunOutcome:
    await ctx.tool("look", {"n": 1}, name="look")
    await ctx.tool("ask", {"n": 1}, name="ask")
    return ctx.outcome("ok", {"by": "first"})


async def same(ctx: Context, value: dict[str, Any]) -> RunOutcome:
    await ctx.tool("look", {"n": 1}, name="look")
    await ctx.tool("ask", {"n": 1}, name="ask")
    await ctx.tool("look", {"n": 3}, name="more")
    return ctx.outcome("ok", {"by": "second"})


async def changed(ctx: Context, value: dict[str, Any]) -> RunOutcome:
    await ctx.tool("look", {"n": 1}, name="look")
    await ctx.tool("pay", {"n": 1}, name="ask")
    return ctx.outcome("ok", {"by": "second"})


async def hangs(ctx: Context, value: dict[str, Any]) -> RunOutcome:
    while True:
        pass


def other(function: Any, *requires: str) -> Workflow:
    return replace(python_workflow("moved", function, requires=requires), digest="d" * 64)


@pytest.fixture
async def parked(database: Database) -> UUID:
    """A run that has looked and waits for an answer; no worker is there any more."""
    old = python_workflow("moved", first)
    tool = ScriptedTool({"look": lambda call: Done({}), "ask": lambda call: Waiting("signal")})
    async with running(database, [old], tool):
        run_id = await start(database, old, {})
        await until(database, run_id, waiting_for("signal"))
    return run_id


@asynccontextmanager
async def answering(database: Database, workflow: Workflow, *more: Workflow) -> AsyncGenerator[None]:
    """Workers that answer, and do nothing else: each has that release as one workflow."""
    rehearsers = [Rehearser(database, ByRelease({OTHER: flow})) for flow in (workflow, *more)]
    duties = [asyncio.create_task(rehearser.duty(lambda _: None)) for rehearser in rehearsers]
    yield
    for duty in duties:
        duty.cancel()
    await asyncio.gather(*duties, return_exceptions=True)


async def asked(database: Database, run_id: UUID, timeout_s: float = 30) -> Any:
    return await rehearse(database, ACTOR, run_id, release=OTHER, workflow="test/moved", timeout_s=timeout_s)


async def kept(database: Database) -> Any:
    async with database.worker_connection() as connection:
        return await connection.fetchrow(KEPT)


async def _asked(database: Database) -> bool:
    return await kept(database) is not None


async def _passed_on(database: Database) -> bool:
    row = await kept(database)
    return row is not None and "no-such-package-here" in (row["problem"] or "")


async def test_code_that_asks_for_the_same_differs_in_nothing(database: Database, parked: UUID):
    """It is kept who asked; the run's journal is as it was, and nothing of the run was executed."""
    before = await journal(database, parked)
    async with answering(database, other(same)):
        found = await asked(database, parked)
    assert (found.differences, found.last_seq) == ((), before[-1].seq)
    assert await journal(database, parked) == before
    row = await kept(database)
    assert (row["asked_by"], row["takes"], row["problem"]) == (str(ACTOR), 1, None)
    assert row["asked_at"] <= row["answered_at"]


async def test_code_that_asks_for_something_else_is_told_with_both_and_the_line(database: Database, parked: UUID):
    before, new = await journal(database, parked), other(changed)
    async with answering(database, new):
        found = await asked(database, parked)
    (difference,) = found.differences
    assert (difference.step, difference.begun) == ("ask", True)
    assert (difference.recorded["target"], difference.now["target"]) == ("ask", "pay")
    line = changed.__code__.co_firstlineno
    assert difference.now["at"].endswith(f"test_runtime_python_rehearsals.py:{line + 2}")
    assert difference.recorded["at"].endswith(f"test_runtime_python_rehearsals.py:{first.__code__.co_firstlineno + 2}")
    assert await journal(database, parked) == before
    move = Move(OTHER, new, python_workflow("moved", first), rehearsed=found.differences, rehearsed_at=found.last_seq)
    async with database.transaction(ACTOR.org_id) as connection:
        _, differences = await compared(connection, ACTOR, parked, move)
        assert differences == list(found.differences)
        with pytest.raises(ConflictError, match="moved on"):
            await compared(connection, ACTOR, parked, replace(move, rehearsed_at=found.last_seq - 1))


async def test_code_that_never_comes_to_an_await_is_told_and_interrupted(database: Database, parked: UUID):
    async with answering(database, other(hangs)):
        (difference,) = (await asked(database, parked)).differences
    assert difference.begun
    assert "without an await" in difference.what


async def test_no_worker_is_a_plain_problem_and_nobody_begins_it_later(database: Database, parked: UUID):
    with pytest.raises(NotRehearsedError, match=r"No worker answered within 0.3 s .*`signoff worker`"):
        await asked(database, parked, 0.3)
    assert (await kept(database))["over"]
    assert not await Rehearser(database, ByRelease({OTHER: other(same)})).answer_one()


async def test_whoever_is_cancelled_takes_it_back(database: Database, parked: UUID):
    asking = asyncio.create_task(asked(database, parked))
    await eventually(lambda: _asked(database))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await kept(database))["over"]


async def test_a_worker_without_the_packages_leaves_it_to_another(database: Database, parked: UUID):
    lacking = other(same, "no-such-package-here")
    async with answering(database, lacking):
        asking = asyncio.create_task(asked(database, parked))
        await eventually(lambda: _passed_on(database))
    async with answering(database, other(same)):
        assert (await asking).differences == ()


async def test_what_kills_its_workers_kills_no_more_than_two(database: Database, parked: UUID):
    """Each took it, and never said anything."""
    asking = asyncio.create_task(asked(database, parked))
    await eventually(lambda: _asked(database))
    taken = "UPDATE run_rehearsal SET takes = takes + 1, taken_at = now() - interval '1 hour'"
    rehearser = Rehearser(database, ByRelease({OTHER: other(same)}))
    async with database.worker_connection() as connection:
        await connection.execute(taken)
        await connection.execute(taken)
    assert not await rehearser.answer_one()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
