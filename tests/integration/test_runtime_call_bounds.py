"""What bounds a called workflow: its caller's patience, tries and money."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from support.operations import do
from support.starts_cases import begin
from tests.support.crashing import folded
from tests.support.engine import (
    ACTOR,
    HEAD,
    OBJECT,
    Releases,
    ScriptedTool,
    ended,
    running,
    start,
    until,
)

from signoff.core.errors import StepError
from signoff.core.money import Cost, Usage
from signoff.foundation.database import Database
from signoff.runtime.client import RunSummary, list_runs
from signoff.runtime.handlers import Done, StepCall, Waiting
from signoff.steps.call import CallStep
from signoff.workflows import compile_workflow
from signoff.workflows.model import Contract, Contracts, Workflow

CHILD = "steps:\n  act: {tool: shop.act, with: {}}\noutcome:\n  acted: {when: act.done, give: {n: '${act.n}'}}\n"
HALF_A_DOLLAR = Usage(1, 10, 10, Cost(500_000))


def made(name: str, body: str, *targets: str, head: str = "") -> Workflow:
    contracts = Contracts(
        tools={"shop.act": Contract(OBJECT, OBJECT)},
        workflows={target: Contract(OBJECT, OBJECT, outcomes=("acted",)) for target in targets},
    )
    return compile_workflow(HEAD.format(name=name) + head + body, f"workflows/{name}.yaml", contracts)


async def permitted(call: StepCall, workflow: Workflow) -> None:
    """Everything is."""


def calls(database: Database, *workflows: Workflow) -> CallStep:
    return CallStep(database, Releases({flow.name: flow for flow in workflows}), permit=permitted)


async def runs_of(database: Database, workflow: Workflow) -> list[RunSummary]:
    async with database.transaction(ACTOR.org_id) as connection:
        return await list_runs(connection, ACTOR.org_id, workflow=workflow.name)


async def output(database: Database, run_id: UUID) -> Any:
    return ((await folded(database, run_id)).end or {}).get("output")


async def test_a_called_run_that_takes_too_long_is_cancelled_and_called_again(database: Database) -> None:
    body = """
steps:
  sub: {call: test/child, with: {n: 1}, timeout: 300ms, retry: {times: 2, delay: 10ms, on: [timeout]}}
outcome: {over: {when: sub.done, give: {n: "${sub.output.n}"}}}
"""
    parent, sub, tries = made("patient", body, "test/child"), made("child", CHILD), 0

    def act(call: StepCall) -> Done | Waiting:
        nonlocal tries
        tries += 1
        return Waiting("answer") if tries < 3 else Done({"n": tries})

    async with running(database, [parent, sub], ScriptedTool({"shop.act": act}), others=[calls(database, sub)]):
        run_id = await start(database, parent, {})
        assert (await ended(database, run_id)).outcome == "over"
    assert await output(database, run_id) == {"n": 3}
    assert sorted(run.status for run in await runs_of(database, sub)) == ["cancelled", "cancelled", "done"]


async def test_a_called_run_that_fails_is_called_again_where_the_step_says_so(database: Database) -> None:
    sub_step = "sub: {call: test/child, with: {n: 1}, retry: {times: 1, delay: 10ms}}"
    body = f"steps:\n  {sub_step}\noutcome: {{over: sub.done}}\n"
    parent, sub, tries = made("again", body, "test/child"), made("child", CHILD), 0

    def act(call: StepCall) -> Done:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise StepError("sold out", kind="sold_out")
        return Done({"n": tries})

    async with running(database, [parent, sub], ScriptedTool({"shop.act": act}), others=[calls(database, sub)]):
        assert (await ended(database, await start(database, parent, {}))).outcome == "over"
    assert sorted(run.status for run in await runs_of(database, sub)) == ["done", "failed"]


async def test_called_and_retried_runs_take_their_share_of_their_callers_team(database: Database) -> None:
    body = "steps:\n  sub: {call: test/child, with: {n: 1}}\noutcome: {over: sub.done}\n"
    parent, sub, fails = made("shares", body, "test/child"), made("child", CHILD), True

    def act(call: StepCall) -> Done:
        if fails:
            raise StepError("sold out", kind="sold_out")
        teams.append(call.run.team)
        return Done({"n": 1})

    teams: list[str] = []
    async with running(database, [parent, sub], ScriptedTool({"shop.act": act}), others=[calls(database, sub)]):
        run_id = (await begin(database, parent, {}, team="red")).run_id
        await ended(database, run_id)
    await do(database, run_id, "retry")
    async with database.worker_connection() as connection:
        assert await connection.fetchval("SELECT team FROM run_queue WHERE run_id = $1", run_id) == "red"
    fails = False
    async with running(database, [parent, sub], ScriptedTool({"shop.act": act}), others=[calls(database, sub)]):
        await until(database, run_id, lambda run: run.status == "done")
    assert teams == ["red"]


TWICE = """
steps:
  one: {call: test/child, with: {n: 1}}
  two: {call: test/child, with: {n: 1}, after: one, on_error: continue}
  three: {call: test/child, with: {n: 1}, after: two, on_error: continue}
outcome: {over: {when: "three.result != 'blocked'", give: {two: "${two.result}", three: "${three.result}"}}}
"""


async def test_what_called_runs_cost_is_their_callers_and_bounded_by_its_limit(database: Database) -> None:
    parent = made("pays", TWICE, "test/child", head="limits: {cost: 0.8 USD}\n")
    sub = made("child", CHILD)
    limits: list[Cost | None] = []

    def act(call: StepCall) -> Done:
        limits.append(call.run.cost_limit)
        call.record("model.call", {"usage": HALF_A_DOLLAR.as_dict()})
        return Done({"n": 1})

    async with running(database, [parent, sub], ScriptedTool({"shop.act": act}), others=[calls(database, sub)]):
        run_id = await start(database, parent, {})
        run = await ended(database, run_id)
    assert limits == [Cost(800_000), Cost(300_000)]
    assert run.usage["cost_micro_usd"] == 1_000_000
    assert await output(database, run_id) == {"two": "done", "three": "failed"}
    error = (await folded(database, run_id)).steps["three"].error
    assert error is not None
    assert error["kind"] == "budget"
