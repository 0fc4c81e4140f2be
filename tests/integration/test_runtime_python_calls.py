"""Workflows in Python with others: calls both ways between Python and YAML, events, waits, and workers that die."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.crashing import crashing, folded
from tests.support.engine import (
    ACTOR,
    HEAD,
    OBJECT,
    Releases,
    ScriptedTool,
    ended,
    eventually,
    journal,
    running,
    start,
    until,
    waits_for,
)
from tests.support.python_workflows import python_workflow

from signoff.core.clock import SystemClock
from signoff.core.errors import StepError
from signoff.foundation.database import Database
from signoff.runtime.client.operations import Operation, operate
from signoff.runtime.handlers import Done, Effect, StepCall
from signoff.runtime.waits import EventLimits, IncomingEvent, post_event
from signoff.steps.call import CallStep
from signoff.steps.wait import WaitStep
from signoff.workflows import compile_workflow
from signoff.workflows.model import Contract, Contracts, Workflow
from signoff.workflows.python import Context, RunOutcome, StepFailed

Input = dict[str, Any]

CALLER = """
steps:
  sub: {call: test/double, with: {n: "${input.n}"}}
outcome: {over: {when: sub.done, give: {twice: "${sub.output.twice}"}}}
"""
CALLED = """
steps:
  act: {tool: shop.act, with: {n: "${input.n}"}}
outcome: {acted: {when: act.done, give: {n: "${act.n}"}}}
"""


async def double(ctx: Context, value: Input) -> RunOutcome:
    acted = await ctx.tool("shop.act", {"n": value["n"]})
    return ctx.outcome("ok", {"twice": acted["n"] * 2})


async def outer(ctx: Context, value: Input) -> RunOutcome:
    results = await ctx.gather(*(ctx.call("test/called", {"n": n}) for n in value["items"]), at_once=2, errors=True)
    done = [result["output"]["n"] for result in results if not isinstance(result, StepFailed)]
    failed = [result.kind for result in results if isinstance(result, StepFailed)]
    return ctx.outcome("ok", {"done": done, "failed": failed})


def document(name: str, body: str) -> Workflow:
    contracts = Contracts(
        tools={"shop.act": Contract(OBJECT, OBJECT)},
        workflows={"test/double": Contract(OBJECT, OBJECT, outcomes=("ok",))},
    )
    return compile_workflow(HEAD.format(name=name) + body, f"workflows/{name}.yaml", contracts)


def calls(database: Database, *workflows: Workflow) -> CallStep:
    async def permitted(call: StepCall, workflow: Workflow) -> None:
        pass

    return CallStep(database, Releases({workflow.name: workflow for workflow in workflows}), permit=permitted)


def act(call: StepCall) -> Done:
    n = call.arguments["with"]["n"]
    if n < 0:
        raise StepError("there is no such thing", kind="not_found")
    return Done({"n": n})


async def output(database: Database, run_id: Any) -> Any:
    return ((await folded(database, run_id)).end or {}).get("output")


async def test_a_document_calls_a_workflow_in_python_and_the_other_way(database: Database) -> None:
    parent, sub = document("caller", CALLER), python_workflow("double", double)
    coded, called = python_workflow("outer", outer), document("called", CALLED)
    workflows = [parent, sub, coded, called]
    async with running(database, workflows, ScriptedTool({"shop.act": act}), others=[calls(database, *workflows)]):
        first = await start(database, parent, {"n": 4})
        second = await start(database, coded, {"items": [3, -1, 5]})
        assert (await ended(database, first)).status == "done"
        assert (await ended(database, second)).status == "done"
    assert await output(database, first) == {"twice": 8}
    assert await output(database, second) == {"done": [3, 5], "failed": ["child_failed"]}


async def test_an_event_is_waited_for_and_a_pause_lasts(database: Database) -> None:
    async def paid(ctx: Context, value: Input) -> RunOutcome:
        event = await ctx.event("payment.received.v1", match={"order": value["order"]}, timeout="3d", name="paid")
        late = await ctx.event("payment.received.v1", match={"order": "no"}, timeout="0.2s", on_timeout="continue")
        before = ctx.now()
        await ctx.wait("0.3s")
        after = ctx.now()
        try:
            await ctx.event("payment.received.v1", match={"order": "never"}, timeout="0.1s")
        except StepFailed as failure:
            waited = (after - before).total_seconds() >= 0.3
            return ctx.outcome(
                "ok", {"cents": event["event"]["cents"], "waited": waited, "end": failure.kind, "late": late.result}
            )
        return ctx.outcome("ok")

    workflow = python_workflow("paid", paid)
    async with running(database, [workflow], ScriptedTool({}), others=[WaitStep(database)]):
        run_id = await start(database, workflow, {"order": "o-1"})
        await until(database, run_id, waits_for("event"))
        async with database.transaction(ACTOR.org_id) as connection:
            event = IncomingEvent(
                ACTOR.org_id, "e-1", "/bank", "payment.received.v1", {"order": "o-1", "cents": 5}, "user/ana", ("",)
            )
            await post_event(connection, event, now=SystemClock().now(), limits=EventLimits())
        await database.notify("signoff_wake", "")
        assert (await ended(database, run_id)).status == "done"
    assert await output(database, run_id) == {"cents": 5, "waited": True, "end": "timeout", "late": "timed_out"}


@pytest.mark.parametrize("fails", [False, True])
async def test_workers_that_die_leave_no_effect_out_and_none_doubled(database: Database, fails: bool) -> None:
    async def pay(ctx: Context, value: Input) -> RunOutcome:
        paid = await ctx.gather(
            *(
                ctx.tool(
                    "bank.pay", {"n": n, "chance": ctx.random()}, undo=("bank.back", lambda done: {"n": done["n"]})
                )
                for n in range(4)
            )
        )
        last = await ctx.tool("shop.act", {"n": -1 if value["fails"] else sum(one["n"] for one in paid)})
        return ctx.outcome("ok", {"sum": last["n"], "id": ctx.uuid()})

    happened: dict[str, int] = {}

    def once(call: StepCall) -> Done:
        assert call.idempotency_key is not None
        happened.setdefault(call.idempotency_key, call.arguments["with"]["n"])  # the other side knows its keys
        return Done({"n": happened[call.idempotency_key]})

    workflow = python_workflow("pay", pay)
    tool = ScriptedTool(
        {"bank.pay": once, "bank.back": once, "shop.act": act},
        effects={"bank.pay": Effect("resend"), "bank.back": Effect("resend")},
    )
    run_id = await start(database, workflow, {"fails": fails})
    for crash in range(4):

        async def further(most: int = crash * 4) -> bool:
            return len(await journal(database, run_id)) > most

        async with crashing(database, [workflow], tool):
            await eventually(further)
    async with running(database, [workflow], tool):
        run = await ended(database, run_id)
    undone = [key for key in happened if key.startswith("undo/")]
    assert (run.status, len(undone), len(happened)) == (("failed", 4, 8) if fails else ("done", 0, 4))
    begins = ("step.started", "effect.intended")  # of an effect that nothing held up both in one
    begun = [event.data for event in await journal(database, run_id) if event.kind in begins]
    assert len({data["step"] for data in begun if data["attempt"] == 1}) == (9 if fails else 5)


async def test_a_failed_run_begins_again_with_the_step_that_failed(database: Database) -> None:
    healed: list[bool] = []

    async def work(ctx: Context, value: Input) -> RunOutcome:
        first = await ctx.tool("shop.act", {"n": 1}, name="first")
        await ctx.tool("bank.pay", name="pay", undo=("bank.back", dict))
        second = await ctx.tool("shop.broken", {"n": first["n"] + 1}, name="second")
        return ctx.outcome("ok", {"n": second["n"]})

    def broken(call: StepCall) -> Done:
        if not healed:
            raise StepError("not today", kind="closed")
        return Done({"n": call.arguments["with"]["n"]})

    workflow = python_workflow("work", work)
    tool = ScriptedTool(
        {"shop.act": act, "shop.broken": broken, "bank.pay": lambda _: Done({}), "bank.back": lambda _: Done({})},
        effects={"bank.pay": Effect("resend"), "bank.back": Effect("resend")},
    )
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        run = await ended(database, run_id)
        assert run.error is not None
        assert (run.error["step"], run.error["kind"]) == ("second", "closed")
        healed.append(True)
        async with database.transaction(ACTOR.org_id) as connection:
            await operate(connection, ACTOR, run_id, Operation("retry"), now=SystemClock().now())
        await database.notify("signoff_wake", "")
        await until(database, run_id, lambda summary: summary.status == "done")
    assert [call.path for call in tool.calls] == ["first", "pay", "second", "pay/undo", "pay", "second"]
