"""Retry: a run that ended goes on with what broke; what stands is not done again, what was undone gets a new key."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.engine import ScriptedTool, compiled, ended, eventually, lost, running, send, start, until, waits_for
from support.operations import ask, do, done, has, told

from signoff.core.errors import ConflictError, StepError
from signoff.foundation.database import Database
from signoff.runtime.handlers import Done, Effect, StepCall

PAID = """
steps:
  read: {tool: shop.get}
  pay: {tool: bank.pay, with: {n: "${read.n}"}, undo: {tool: bank.back, with: {n: 1}}}
  book: {tool: shop.book, with: {n: "${pay.n}"}}
  sum: {set: {n: "${book.n + 1}"}}
outcome: {finished: sum.done}
"""
EFFECTS = {"bank.pay": Effect("resend"), "bank.back": Effect("resend"), "shop.book": Effect("resend")}


def failing_until(fixed: list[bool]) -> Callable[[StepCall], Done]:
    """A tool that refuses until somebody has fixed it."""

    def call_tool(call: StepCall) -> Done:
        if not fixed:
            raise StepError("no", kind="refused", declared=True)
        return Done({"n": 1})

    return call_tool


async def test_what_broke_and_what_was_undone_runs_again_under_a_new_key(database: Database) -> None:
    fixed: list[bool] = []
    workflow = compiled("reopened", PAID, shop__get=False, bank__pay=True, bank__back=True, shop__book=True)
    behaviours = {"shop.get": done, "bank.pay": done, "bank.back": done, "shop.book": failing_until(fixed)}
    tool = ScriptedTool(behaviours, effects=EFFECTS)
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        assert (await ended(database, run_id)).status == "failed"
        assert await told(database, run_id, "run.reopened") == []
        fixed.append(True)
        asked = await do(database, run_id, "retry", reason="the shop is back", key="once")
        await eventually(lambda: has(database, run_id, "run.reopened"))
        assert (await ended(database, run_id)).outcome == "finished"
        assert (await do(database, run_id, "retry", key="once")).message_id == asked.message_id
        with pytest.raises(ConflictError, match="done"):
            await do(database, run_id, "retry")
    called = [call.step.target for call in tool.calls]
    assert called == ["shop.get", "bank.pay", "shop.book", "bank.back", "bank.pay", "shop.book"]
    keys = [data["key"] for data in await told(database, run_id, "effect.intended")]
    assert keys == [
        *(f"{run_id}/pay", f"{run_id}/book", f"undo/{run_id}/pay"),
        *(f"{run_id}/pay#1", f"{run_id}/book#1"),
    ]
    (event,) = await told(database, run_id, "run.reopened")
    assert event["void"] == {"pay": 1, "book": 1, "sum": 1, "pay/undo": 0}
    assert (event["by"], event["reason"]) == ("user/ana", "the shop is back")


LEAVING = "INSERT INTO run_queue (run_id, org_id, due_at) SELECT run_id, org_id, now() FROM run_view"


async def test_a_run_that_has_ended_and_not_left_yet_is_retried_too(database: Database) -> None:
    """Its worker found a message as it wrote the end. The retry was a 500 (engine simulation, seed 510101)."""
    fixed: list[bool] = []
    workflow = compiled(
        "leaving", "steps:\n  book: {tool: shop.book}\noutcome: {finished: book.done}\n", shop__book=False
    )
    tool = ScriptedTool({"shop.book": failing_until(fixed)})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        assert (await ended(database, run_id)).status == "failed"
    async with database.worker_connection() as connection:
        await connection.execute(LEAVING)
    fixed.append(True)
    for _ in range(2):  # the second finds it queued
        await do(database, run_id, "retry")
    async with running(database, [workflow], tool):
        await eventually(lambda: has(database, run_id, "run.reopened"))
        assert (await ended(database, run_id)).outcome == "finished"


STANDING = """
steps:
  pay: {tool: bank.pay, with: {n: 1}}
  tell: {tool: shop.tell, with: {n: "${pay.n}"}}
  more: {tool: shop.more, with: {n: "${tell.n}"}}
outcome: {finished: more.done}
"""


async def test_an_effect_that_stands_is_not_done_again(database: Database) -> None:
    fixed: list[bool] = []
    workflow = compiled("standing", STANDING, bank__pay=True, shop__tell=False, shop__more=False)
    behaviours = {"bank.pay": done, "shop.tell": failing_until(fixed), "shop.more": done}
    tool = ScriptedTool(behaviours, effects={"bank.pay": Effect("resend")})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        assert (await ended(database, run_id)).status == "failed"
        await do(database, run_id, "retry", step="pay")  # it took effect: refused, and the run is as it was
        await eventually(lambda: refused(database, run_id))
        assert (await ended(database, run_id)).status == "failed"
        fixed.append(True)
        await do(database, run_id, "retry")
        assert (await ended(database, run_id)).outcome == "finished"
    assert [call.step.target for call in tool.calls].count("bank.pay") == 1


async def refused(database: Database, run_id: object) -> bool:
    told_of = await told(database, run_id, "message.received")  # pyright: ignore[reportArgumentType]
    return any(data["disposition"] == "refused" for data in told_of)


async def test_a_cancelled_run_goes_on_and_asks_its_people_again(database: Database) -> None:
    workflow = compiled("cancelled", "steps: {ask: {tool: job.ask}}\noutcome: {finished: ask.done}", job__ask=False)
    tool = ScriptedTool({"job.ask": ask})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        await until(database, run_id, waits_for("review"))
        await do(database, run_id, "cancel")
        assert (await ended(database, run_id)).status == "cancelled"
        await do(database, run_id, "retry", pause=True)
        await until(database, run_id, lambda run: run.status == "paused")
        await do(database, run_id, "resume")
        await until(database, run_id, waits_for("review"))
        assert [call.generation for call in tool.calls] == [0, 1]
        await send(database, run_id, "ask", {"answer": 1})
        assert (await ended(database, run_id)).outcome == "finished"


async def test_a_terminated_run_goes_on_with_its_effect_in_doubt(database: Database) -> None:
    body = "steps: {pay: {tool: bank.pay, with: {n: 1}}}\noutcome: {finished: pay.done}"
    workflow = compiled("terminated-doubt", body, bank__pay=True)
    tool = ScriptedTool({"bank.pay": lost}, effects={"bank.pay": Effect("ask")})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        await until(database, run_id, waits_for("outcome_unknown"))
        await do(database, run_id, "terminate")
        await until(database, run_id, lambda run: run.status == "terminated")
        await do(database, run_id, "retry")
        await until(database, run_id, waits_for("outcome_unknown"))
        said = {"resolution": "happened", "output": {"n": 1}}
        await send(database, run_id, "pay", said, "effect.resolution")
        assert (await ended(database, run_id)).outcome == "finished"
    assert len(tool.calls) == 1


async def test_a_run_in_backoff_is_tried_now(database: Database) -> None:
    fixed: list[bool] = []

    def busy(call: StepCall) -> Done:
        if not fixed:
            raise StepError("busy", kind="busy", retryable=True)
        return Done({"n": 1})

    body = "steps: {get: {tool: shop.get, retry: {times: 3, delay: 1h}}}\noutcome: {finished: get.done}"
    workflow = compiled("backoff", body, shop__get=False)
    tool = ScriptedTool({"shop.get": busy})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        await until(database, run_id, waits_for("retry"))
        fixed.append(True)
        await do(database, run_id, "retry")
        assert (await ended(database, run_id)).outcome == "finished"


GROUP = """
steps:
  lines:
    for: ${[1, 2, 3]}
    as: line
    at_once: 1
    steps: {pay: {tool: bank.pay, with: {n: "${line}"}}}
    give: {n: "${pay.n}"}
outcome: {finished: lines.done}
"""


async def test_a_group_goes_on_with_the_items_that_failed(database: Database) -> None:
    fixed: list[bool] = []

    def pay(call: StepCall) -> Done:
        if call.arguments["with"]["n"] == 2 and not fixed:
            raise StepError("no", kind="refused", declared=True)
        return Done({"n": call.arguments["with"]["n"]})

    workflow = compiled("group", GROUP, bank__pay=True)
    tool = ScriptedTool({"bank.pay": pay}, effects={"bank.pay": Effect("resend")})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        assert (await ended(database, run_id)).status == "failed"
        fixed.append(True)
        await do(database, run_id, "retry")
        assert (await ended(database, run_id)).outcome == "finished"
    assert [call.arguments["with"]["n"] for call in tool.calls] == [1, 2, 2, 3]
    (end,) = [data for data in await told(database, run_id, "step.ended") if data.get("output", {}).get("items")]
    assert [item["n"] for item in end["output"]["items"]] == [1, 2, 3]
