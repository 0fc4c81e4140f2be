"""Workflows that call workflows: started once, waited for, cancelled with their caller."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from tests.support.crashing import crashing, folded
from tests.support.engine import (
    ACTOR,
    HEAD,
    RELEASE,
    Releases,
    ScriptedTool,
    ended,
    eventually,
    running,
    send,
    start,
    until,
    waits_for,
)

from signoff.core.errors import StepError
from signoff.foundation.database import Database
from signoff.runtime.calls import find_child
from signoff.runtime.client import RunSummary, list_runs
from signoff.runtime.handlers import Done, Effect, StepCall, Waiting
from signoff.steps.call import CallStep
from signoff.workflows import compile_workflow
from signoff.workflows.model import Contract, Contracts, Workflow

OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}

CHILD = """
steps:
  act: {tool: shop.act, with: {n: "${input.n}"}}
outcome:
  acted: {when: act.done, give: {twice: "${act.n * 2}"}}
"""
CHILD_INPUT = "input: {type: object, properties: {n: {type: integer}}, required: [n], additionalProperties: false}\n"


def child(name: str = "child") -> Workflow:
    head = HEAD.format(name=name).replace(HEAD.format(name=name).splitlines()[-1] + "\n", CHILD_INPUT)
    return compile_workflow(
        head + CHILD, f"workflows/{name}.yaml", Contracts(tools={"shop.act": Contract(OBJECT, OBJECT)})
    )


def caller(body: str, name: str = "caller", target: str = "test/child") -> Workflow:
    contracts = Contracts(
        tools={"shop.act": Contract(OBJECT, OBJECT, True), "shop.back": Contract(OBJECT, OBJECT, True)},
        workflows={target: Contract(OBJECT, OBJECT, outcomes=("acted",))},
    )
    return compile_workflow(HEAD.format(name=name) + body, f"workflows/{name}.yaml", contracts)


def calls(database: Database, *workflows: Workflow) -> CallStep:
    async def permitted(call: StepCall, workflow: Workflow) -> None:
        if call.arguments.get("with", {}).get("n") == 13:
            raise StepError("policy says no", kind="forbidden")

    return CallStep(database, Releases({workflow.name: workflow for workflow in workflows}), permit=permitted)


async def runs_of(database: Database, workflow: Workflow) -> list[RunSummary]:
    async with database.transaction(ACTOR.org_id) as connection:
        return await list_runs(connection, ACTOR.org_id, workflow=workflow.name)


async def output(database: Database, run_id: UUID) -> Any:
    return ((await folded(database, run_id)).end or {}).get("output")


ALL = """
steps:
  all:
    for: ${input.items}
    as: one
    steps: {sub: {call: test/child, with: {n: "${one}"}}}
    give: {twice: "${sub.output.twice}", outcome: "${sub.outcome}"}
outcome: {over: {when: all.done, give: {all: "${all.items}"}}}
"""


@pytest.mark.parametrize("crashes", [0, 3])
async def test_called_runs_are_started_once_each_and_their_output_comes_back(database: Database, crashes: int) -> None:
    parent, sub = caller(ALL), child()
    tool = ScriptedTool({"shop.act": lambda call: Done({"n": call.arguments["with"]["n"]})})
    others = [calls(database, sub)]
    run_id = await start(database, parent, {"items": [1, 2, 3, 4]})
    for crash in range(crashes):

        async def begun(most: int = crash) -> bool:
            return len(await runs_of(database, sub)) > most

        async with crashing(database, [parent, sub], tool, others=others):
            await eventually(begun)
    async with running(database, [parent, sub], tool, others=others):
        await ended(database, run_id)
    expected = [{"twice": 2 * n, "outcome": "acted"} for n in (1, 2, 3, 4)]
    assert await output(database, run_id) == {"all": expected}
    children = await runs_of(database, sub)
    assert [run.status for run in children] == ["done"] * 4


async def test_a_child_that_fails_fails_its_caller_with_its_reason(database: Database) -> None:
    parent, sub = caller(ALL), child()

    def act(call: StepCall) -> Done:
        raise StepError("sold out", kind="sold_out")

    async with running(database, [parent, sub], ScriptedTool({"shop.act": act}), others=[calls(database, sub)]):
        run_id = await start(database, parent, {"items": [1]})
        run = await ended(database, run_id)
        forbidden = await ended(database, await start(database, parent, {"items": [13]}))
        unfit = await ended(database, await start(database, parent, {"items": ["one"]}))
    assert run.error is not None
    assert run.error["kind"] == "child_failed"
    assert "sold out" in run.error["detail"]
    assert [(error or {})["kind"] for error in (forbidden.error, unfit.error)] == ["forbidden", "arguments"]


WAITS = """
steps:
  paid: {tool: shop.act, with: {n: 0}, undo: {tool: shop.back, with: {n: "${result.n}"}}}
  sub: {after: paid, call: test/child, with: {n: 1}, on_cancel: MODE, detach: DETACH}
outcome: {over: sub.done}
"""


@pytest.mark.parametrize(("mode", "left"), [("cancel", "cancelled"), ("leave", "waiting")])
async def test_cancelling_a_caller_cancels_its_child_and_waits_for_it(database: Database, mode: str, left: str) -> None:
    parent, sub = caller(WAITS.replace("MODE", mode).replace("DETACH", "false")), child()

    def act(call: StepCall) -> Done | Waiting:
        return Waiting("person") if call.run.workflow == sub.name else Done({"n": 0})

    effects = {"shop.back": Effect("resend")}
    tool = ScriptedTool({"shop.act": act, "shop.back": lambda _: Done({})}, effects)
    others = [calls(database, sub)]
    async with running(database, [parent, sub], tool, others=others):
        run_id = await start(database, parent, {})
        await until(database, run_id, waits_for("child"))

        async def waits() -> bool:
            return [run.status for run in await runs_of(database, sub)] == ["waiting"]

        await eventually(waits)
    await send(database, run_id, "", {"reason": "enough"}, kind="run.cancel")
    async with crashing(database, [parent, sub], tool, others=others):
        await eventually(lambda: True)
    async with running(database, [parent, sub], tool, others=others):
        assert (await ended(database, run_id)).status == "cancelled"
        assert [run.status for run in await runs_of(database, sub)] == [left]
    order = [call.path for call in tool.calls]
    assert order.count("paid/undo") == 1
    state = await folded(database, run_id)
    assert state.steps["sub"].state is not None
    assert state.steps["sub"].state.status == "cancelled"
    if mode == "cancel":
        assert state.steps["sub"].ended_seq < state.steps["paid/undo"].ended_seq


async def test_a_detached_child_is_not_waited_for(database: Database) -> None:
    parent, sub = caller(WAITS.replace("on_cancel: MODE, ", "").replace("DETACH", "true")), child()

    def act(call: StepCall) -> Done | Waiting:
        return Waiting("person") if call.run.workflow == sub.name else Done({"n": 0})

    async with running(database, [parent, sub], ScriptedTool({"shop.act": act}), others=[calls(database, sub)]):
        run_id = await start(database, parent, {})
        assert (await ended(database, run_id)).outcome == "over"
        (begun,) = await runs_of(database, sub)
        state = await folded(database, run_id)
        assert state.ended["sub"].output == {"run_id": str(begun.run_id)}
        await send(database, begun.run_id, "act", {"answer": 1})
        assert (await ended(database, begun.run_id)).status in {"done", "failed"}


async def test_calls_go_ten_deep_and_no_deeper(database: Database) -> None:
    body = """
steps: {sub: {call: test/endless, with: {n: 1}}}
outcome: {over: sub.done}
"""
    endless = caller(body, "endless", "test/endless")
    async with running(database, [endless], ScriptedTool({}), others=[calls(database, endless)]):
        run_id = await start(database, endless, {"n": 1})
        run = await ended(database, run_id)
    assert run.status == "failed"
    assert len(await runs_of(database, endless)) == 11
    assert run.error is not None
    assert "10 runs have called one another" in run.error["detail"]


async def test_what_a_child_is_given_keeps_its_labels(database: Database) -> None:
    body = """
steps:
  read: {tool: shop.act, with: {n: 1}}
  sub: {call: test/child, with: {n: "${read.n}"}}
outcome: {over: sub.done}
"""
    parent, sub = caller(body), child()
    seen: list[StepCall] = []

    def act(call: StepCall) -> Done:
        seen.append(call)
        return Done({"n": 1})

    async with running(database, [parent, sub], ScriptedTool({"shop.act": act}), others=[calls(database, sub)]):
        await ended(database, await start(database, parent, {"n": 1}))
    assert {call.run.workflow for call in seen} == {parent.name, sub.name}
    assert seen[-1].run.release == RELEASE


async def test_a_caller_that_finds_the_end_of_its_run_gets_a_large_value_whole(database: Database) -> None:
    body = CHILD.replace('{twice: "${act.n * 2}"}', '{text: "${act.text}"}')
    head = HEAD.format(name="child").replace(HEAD.format(name="child").splitlines()[-1] + "\n", CHILD_INPUT)
    contracts = Contracts(tools={"shop.act": Contract(OBJECT, OBJECT)})
    called = compile_workflow(head + body, "workflows/child.yaml", contracts)
    parent = caller("steps:\n  sub: {call: test/child, with: {n: 1}}\noutcome: {ok: sub.done}\n")
    text = "large " * 20_000
    run_id = await start(database, parent, {})
    tool = ScriptedTool({"shop.act": lambda _: Done({"text": text})})
    async with running(database, [parent, called], tool, others=[calls(database, parent, called)]):
        assert (await ended(database, run_id)).status == "done"
    async with database.transaction(ACTOR.org_id) as connection:
        found = await find_child(connection, run_id, "sub", 1)
    assert found is not None
    assert found.end is not None
    assert found.end["output"] == {"text": text}
