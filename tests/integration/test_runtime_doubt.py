"""An effect in doubt: what may end the doubt, and which word of a person is on it."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from support.engine import (
    ScriptedTool,
    compiled,
    ended,
    eventually,
    journal,
    lost,
    running,
    send,
    somebody_waits,
    start,
    until,
    waits_for,
)

from signoff.core.errors import StepError
from signoff.foundation.database import Database
from signoff.runtime.handlers import Done, Effect, StepCall

PAY = "steps:\n  pay: {tool: pay, with: {}%s}\noutcome: {ok: pay.done}\n"
QUICK = ", retry: {times: %d, delay: 10ms, backoff: 1}"
RETRY = {"resolution": "retry"}


async def test_a_persons_retry_that_arrives_twice_permits_one_call(database: Database):
    """Its second copy, another message, is not the answer to the next unknown outcome."""
    flow = compiled("twice", PAY % "", pay=True)
    gate = asyncio.Event()

    async def pay(call: StepCall) -> Done:
        if len(tool.calls) > 1:
            await gate.wait()
        return lost(call)

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("ask")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await until(database, run_id, waits_for("outcome_unknown"))
        await send(database, run_id, "pay", RETRY, "effect.resolution")
        await eventually(lambda: len(tool.calls) == 2)
        await send(database, run_id, "pay", RETRY, "effect.resolution")
        await eventually(lambda: received(database, run_id, 2))
        gate.set()
        await eventually(lambda: counted(database, run_id, "step.waiting", 2))
        await until(database, run_id, waits_for("outcome_unknown"))
        assert len(tool.calls) == 2
        await send(database, run_id, "pay", {"resolution": "happened", "output": {}}, "effect.resolution")
        assert (await ended(database, run_id)).outcome == "ok"
    assert len(tool.calls) == 2


@pytest.mark.parametrize("resolution", ["retry", "happened", "failed"])
async def test_a_persons_word_before_anybody_asked_answers_nothing(database: Database, resolution: str):
    flow = compiled("early", PAY % "", pay=True)
    gate = asyncio.Event()

    async def pay(call: StepCall) -> Done:
        await gate.wait()
        return lost(call)

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("ask")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await eventually(lambda: bool(tool.calls))
        await send(database, run_id, "pay", {"resolution": resolution}, "effect.resolution")
        await eventually(lambda: received(database, run_id, 1))
        gate.set()
        await until(database, run_id, waits_for("outcome_unknown"))
        assert len(tool.calls) == 1
        await send(database, run_id, "pay", {"resolution": "happened", "output": {}}, "effect.resolution")
        assert (await ended(database, run_id)).outcome == "ok"


async def test_a_word_behind_one_that_says_nothing_still_counts(database: Database):
    """Passing over a stray message is no new wait: what came behind it answers the same question."""
    flow = compiled("behind", PAY % "", pay=True)
    tool = ScriptedTool({"pay": lost}, {"pay": Effect("ask")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await until(database, run_id, waits_for("outcome_unknown"))
    await send(database, run_id, "pay", {"resolution": "maybe"}, "effect.resolution")
    await send(database, run_id, "pay", {"resolution": "happened", "output": {}}, "effect.resolution")
    async with running(database, [flow], tool):
        assert (await ended(database, run_id)).outcome == "ok"


REFUSALS = {
    "misconfigured": StepError("a secret is missing", kind="misconfigured"),
    "arguments": StepError("the release has another schema", kind="arguments"),
    "unauthorized": StepError("HTTP status 401", kind="unauthorized"),
    "conflict": StepError("HTTP status 409", kind="conflict"),
}


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("times", [1, 3])
async def test_a_refusal_that_says_nothing_of_an_earlier_try_leaves_it_to_a_person(
    database: Database, kind: str, times: int
):
    """The first call may have acted; the second was refused for reasons of its own."""
    flow = compiled("refused", PAY % QUICK % times, pay=True)

    def pay(call: StepCall) -> Done:
        if call.attempt == 1:
            return lost(call)
        raise REFUSALS[kind]

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("resend")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await until(database, run_id, waits_for("outcome_unknown"))
        assert len(tool.calls) == 2  # sending once more would be refused once more
        await send(database, run_id, "pay", {"resolution": "happened", "output": {}}, "effect.resolution")
        assert (await ended(database, run_id)).outcome == "ok"


async def test_a_refusal_that_the_contract_declares_settles_the_earlier_try(database: Database):
    flow = compiled("declared", PAY % QUICK % 3, pay=True)

    def pay(call: StepCall) -> Done:
        if call.attempt == 1:
            return lost(call)
        raise StepError("the order is closed", kind="closed", declared=True)

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("resend")})
    async with running(database, [flow], tool):
        summary = await ended(database, await start(database, flow, {}))
    assert summary.error is not None
    assert summary.error["kind"] == "closed"
    assert len(tool.calls) == 2


async def test_without_doubt_any_refusal_ends_the_step(database: Database):
    flow = compiled("certain", PAY % QUICK % 3, pay=True)

    def pay(call: StepCall) -> Done:
        raise REFUSALS["conflict"]

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("resend")})
    async with running(database, [flow], tool):
        assert (await ended(database, await start(database, flow, {}))).status == "failed"
    assert len(tool.calls) == 1


REVIEWED = """
steps:
  think: {tool: think, with: {}}
  ok: {review: Pay?, by: role/lead, propose: {n: "${think.n}"}}
  look: {tool: look, with: {n: "${think.n}"}}
outcome: {ok: ok.done}
"""


@pytest.mark.parametrize("visible", [True, False])
async def test_what_others_see_waits_for_the_journal_behind_it(database: Database, visible: bool):
    """A crash would redo the step before it, which may then say something else."""
    flow = compiled("shown", REVIEWED, think=False, look=False)
    gate = asyncio.Event()

    async def think(call: StepCall) -> Done:
        await gate.wait()
        return Done({"n": 1})

    def opened(call: StepCall) -> Done:
        return Done({"n": 1}, result="approved")

    review = ScriptedTool({"Pay?": opened}, verb="review", visible=visible)
    tool = ScriptedTool({"think": think, "look": lambda call: Done({})})
    async with running(database, [flow], tool, others=[review]):
        run_id = await start(database, flow, {})
        await eventually(lambda: counted(database, run_id, "step.started", 1))
        async with database.worker_connection() as connection, connection.transaction():
            await connection.execute("SELECT FROM worker_session FOR UPDATE")
            gate.set()
            await eventually(lambda: any(call.path == "look" for call in tool.calls))  # it began after the review
            await somebody_waits(database)
            assert len(review.calls) == (0 if visible else 1)
        assert (await ended(database, run_id)).outcome == "ok"


async def counted(database: Database, run_id: UUID, kind: str, least: int) -> bool:
    return sum(event.kind == kind for event in await journal(database, run_id)) >= least


async def received(database: Database, run_id: UUID, least: int) -> bool:
    return await counted(database, run_id, "message.received", least)
