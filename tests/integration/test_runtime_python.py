"""Workflows in Python on a real database: steps, failures, undo, crashes, changed code, and calls between languages."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.engine import ScriptedTool, ended, journal, running, send, start, until, waits_for
from tests.support.python_workflows import python_workflow

from signoff.core.errors import StepError
from signoff.foundation.database import Database
from signoff.runtime.handlers import Done, Effect, StepCall, Waiting
from signoff.workflows.python import Context, RunOutcome, StepBlocked, StepFailed

Input = dict[str, Any]


def given(call: StepCall) -> Done:
    return Done({"got": call.arguments["with"]})


def waits(call: StepCall) -> Waiting:
    return Waiting("signal")


async def test_steps_run_in_order_and_the_outcome_is_what_the_code_returns(database: Database) -> None:
    async def refund(ctx: Context, value: Input) -> RunOutcome:
        order = await ctx.tool("shop.order", {"id": value["order"]}, name="order")
        first, second = await ctx.gather(ctx.tool("shop.a", {"n": 1}), ctx.tool("shop.b", {"n": 2}))
        return ctx.outcome("ok", {"order": order["got"]["id"], "sum": first["got"]["n"] + second["got"]["n"]})

    workflow = python_workflow("refund", refund)
    tool = ScriptedTool({"shop.order": given, "shop.a": given, "shop.b": given})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {"order": "o-1"})
        run = await ended(database, run_id)
    assert (run.status, run.outcome) == ("done", "ok")
    events = await journal(database, run_id)
    assert events[-1].data["output"] == {"order": "o-1", "sum": 3}
    begun = [event.data["step"] for event in events if event.kind == "step.started"]
    assert begun == ["order", "gather_2[0]/tool_1", "gather_2[1]/tool_1"]
    assert events[1].data["command"]["verb"] == "tool"
    assert "test_runtime_python.py:" in events[1].data["command"]["at"]


async def test_a_failure_is_raised_where_the_step_is_awaited_and_may_be_caught(database: Database) -> None:
    async def careful(ctx: Context, value: Input) -> RunOutcome:
        try:
            await ctx.tool("shop.broken", name="broken")
        except StepFailed as failure:
            return ctx.outcome("caught", {"kind": failure.kind, "path": failure.path})
        return ctx.outcome("ok")

    def broken(call: StepCall) -> Done:
        raise StepError("no such order", kind="not_found")

    workflow = python_workflow("careful", careful, "ok", "caught")
    async with running(database, [workflow], ScriptedTool({"shop.broken": broken})):
        run = await ended(database, await start(database, workflow, {}))
    assert (run.status, run.outcome) == ("done", "caught")


async def test_what_nothing_catches_fails_the_run_and_undoes_what_was_done(database: Database) -> None:
    async def pay(ctx: Context, value: Input) -> RunOutcome:
        await ctx.tool(
            "bank.pay", {"n": 1}, name="pay", once="pay/1", undo=("bank.back", lambda paid: {"of": paid["got"]["n"]})
        )
        raise ValueError("the ledger disagrees")

    workflow = python_workflow("pay", pay)
    tool = ScriptedTool(
        {"bank.pay": given, "bank.back": given}, effects={"bank.pay": Effect("resend"), "bank.back": Effect("resend")}
    )
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        run = await ended(database, run_id)
    assert run.status == "failed"
    assert run.error is not None
    assert run.error["kind"] == "workflow_error"
    assert "ValueError: the ledger disagrees" in run.error["detail"]
    assert [(call.path, call.arguments["with"]) for call in tool.calls] == [("pay", {"n": 1}), ("pay/undo", {"of": 1})]


async def test_a_cancelled_run_is_unwound_by_the_engine(database: Database) -> None:
    async def slow(ctx: Context, value: Input) -> RunOutcome:
        await ctx.tool("bank.pay", name="pay", undo=("bank.back", dict))
        await ctx.tool("shop.wait", name="wait")
        return ctx.outcome("ok")

    workflow = python_workflow("slow", slow)
    effects = {"bank.pay": Effect("resend"), "bank.back": Effect("resend")}
    tool = ScriptedTool({"bank.pay": given, "bank.back": given, "shop.wait": waits}, effects)
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        await until(database, run_id, waits_for("signal"))
        await send(database, run_id, "", {}, "run.cancel")
        run = await ended(database, run_id)
    assert run.status == "cancelled"
    assert [call.path for call in tool.calls] == ["pay", "wait", "pay/undo"]
    assert tool.withdrawn == ["wait"]


async def test_a_run_that_left_memory_goes_on_where_it_was(database: Database) -> None:
    seen: list[tuple[Any, ...]] = []

    async def long(ctx: Context, value: Input) -> RunOutcome:
        before = (ctx.now(), ctx.random(), ctx.uuid())
        first = await ctx.tool("shop.a", {"n": 1})
        answer = await ctx.tool("shop.wait", name="wait")
        seen.append((before, ctx.now(), first["got"]["n"]))
        await ctx.tool("shop.b", {"answer": answer["answer"], "chance": before[1]})
        return ctx.outcome("ok", {"id": before[2]})

    workflow = python_workflow("long", long)
    tool = ScriptedTool({"shop.a": given, "shop.b": given, "shop.wait": waits})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        await until(database, run_id, waits_for("signal"))
    async with running(database, [workflow], tool):
        await send(database, run_id, "wait", {"answer": 7})
        run = await ended(database, run_id)
    assert run.status == "done"
    assert [call.path for call in tool.calls] == ["tool_1", "wait", "tool_3"]
    (before, after, first), *more = seen
    assert not more
    assert before[0] < after
    assert first == 1


async def test_code_that_changed_parks_its_run_and_the_old_code_takes_it_up_again(database: Database) -> None:
    async def before(ctx: Context, value: Input) -> RunOutcome:
        await ctx.tool("shop.a", {"n": 1})
        await ctx.tool("shop.wait", name="wait")
        return ctx.outcome("ok")

    async def after(ctx: Context, value: Input) -> RunOutcome:
        await ctx.tool("shop.b", {"n": 1})
        await ctx.tool("shop.wait", name="wait")
        return ctx.outcome("ok")

    old, new = python_workflow("changed", before), python_workflow("changed", after)
    tool = ScriptedTool({"shop.a": given, "shop.b": given, "shop.wait": waits})
    async with running(database, [old], tool):
        run_id = await start(database, old, {})
        await until(database, run_id, waits_for("signal"))
    async with running(database, [new], tool):
        await send(database, run_id, "wait", {"answer": 7})
        run = await until(database, run_id, lambda summary: summary.status == "stuck")
    assert run.error is not None
    assert run.error["code"] == "command-mismatch"
    assert run.error["recorded"]["target"] == "shop.a"
    assert run.error["now"]["target"] == "shop.b"
    assert run.error["recorded"]["at"] != run.error["now"]["at"]
    assert "ctx.patched" not in run.error["detail"]  # what to do is said once, by its explanation
    async with running(database, [old], tool):
        await send(database, run_id, "wait", {"answer": 7})  # looked at again at once rather than in a minute
        run = await ended(database, run_id)
    assert run.status == "done"
    assert [call.step.target for call in tool.calls] == ["shop.a", "shop.wait"]


async def test_a_run_that_awaits_what_no_journal_has_is_stuck_with_its_line(database: Database) -> None:
    async def astray(ctx: Context, value: Input) -> RunOutcome:
        await ctx.tool("shop.a", {"n": 1})
        await asyncio.sleep(0)
        return ctx.outcome("ok")

    workflow = python_workflow("astray", astray)
    tool = ScriptedTool({"shop.a": given})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        run = await until(database, run_id, lambda summary: summary.status == "stuck")
    assert run.error is not None
    assert run.error["code"] == "foreign-await"
    assert len(tool.calls) == 1
    assert [event.kind for event in await journal(database, run_id)].count("step.ended") == 1


async def test_what_a_step_requires_must_have_been_approved(database: Database) -> None:
    async def gated(ctx: Context, value: Input) -> RunOutcome:
        decision = await ctx.tool("shop.wait", name="wait")
        try:
            await ctx.tool("bank.pay", requires=[decision], name="pay")
        except StepBlocked as blocked:
            return ctx.outcome("blocked", {"why": blocked.detail})
        return ctx.outcome("ok")

    workflow = python_workflow("gated", gated, "ok", "blocked")
    tool = ScriptedTool({"shop.wait": waits, "bank.pay": given})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        await until(database, run_id, waits_for("signal"))
        await send(database, run_id, "", {"step": "wait", "reason": "not needed today"}, "run.skip")
        run = await ended(database, run_id)
    assert run.outcome == "blocked"
    (pay,) = [event for event in await journal(database, run_id) if event.data.get("step") == "pay"]
    assert pay.data["status"] == "blocked"


async def test_a_worker_without_the_packages_gives_the_run_back_and_says_so(database: Database) -> None:
    async def plain(ctx: Context, value: Input) -> RunOutcome:
        return ctx.outcome("ok")

    workflow = python_workflow("plain", plain, requires=("no-such-package>=2",))
    async with running(database, [workflow], ScriptedTool({})):
        run_id = await start(database, workflow, {})
        run = await until(database, run_id, lambda summary: summary.status == "stuck")
    assert run.error is not None
    assert run.error["code"] == "environment-missing"
    assert "no-such-package>=2" in run.error["detail"]
