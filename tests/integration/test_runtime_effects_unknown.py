"""Effects whose answer never came: looked up, asked about, seen by a fenced worker, and never sent anew unasked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.engine import (
    ScriptedTool,
    cancel,
    compiled,
    ended,
    eventually,
    journal,
    lost,
    running,
    send,
    start,
    until,
    unwinding,
    waits_for,
)

from signoff.core.clock import SystemClock
from signoff.core.errors import StepError
from signoff.foundation.database import Database
from signoff.runtime.handlers import Done, Effect, StepCall

PAY = "steps:\n  pay: {tool: pay, with: {}%s}\noutcome: {ok: pay.done}\n"
QUICK = ", retry: {times: %d, delay: 10ms, backoff: 1}"


async def test_a_look_up_that_finds_the_effect_ends_the_step_without_a_second_call(database: Database):
    flow = compiled("found", PAY % QUICK % 3, pay=True)
    tool = ScriptedTool({"pay": lost}, {"pay": Effect("lookup")}, {"pay": lambda call: Done({"id": "p1"})})
    async with running(database, [flow], tool):
        summary = await ended(database, await start(database, flow, {}))
    assert summary.outcome == "ok"
    assert len(tool.calls) == 1


async def test_a_look_up_waits_until_the_call_has_settled(database: Database):
    flow = compiled("settles", PAY % QUICK % 3, pay=True)
    clock = SystemClock()
    sent_s: list[float] = []
    looked_s: list[float] = []

    def send_it(call: StepCall) -> Done:
        sent_s.append(clock.monotonic_s())
        return lost(call)

    def look(call: StepCall) -> Done:
        looked_s.append(clock.monotonic_s())
        return Done({})

    tool = ScriptedTool({"pay": send_it}, {"pay": Effect("lookup", settle_s=0.6)}, {"pay": look})
    async with running(database, [flow], tool):
        await ended(database, await start(database, flow, {}))
    assert looked_s[0] - sent_s[0] >= 0.59


async def test_look_ups_that_keep_failing_end_with_a_person(database: Database):
    flow = compiled("blind", PAY % ", retry: {times: 0, delay: 10ms, backoff: 1}", pay=True)
    looked = 0

    def look(call: StepCall) -> Done:
        nonlocal looked
        looked += 1
        raise StepError("the look-up's answer breaks its contract", kind="contract")

    tool = ScriptedTool({"pay": lost}, {"pay": Effect("lookup")}, {"pay": look})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await until(database, run_id, waits_for("outcome_unknown"))
        assert looked == 3
        await send(database, run_id, "pay", {"resolution": "happened", "output": {"id": 7}}, "effect.resolution")
        summary = await ended(database, run_id)
    assert summary.outcome == "ok"
    last = next(event for event in await journal(database, run_id) if event.kind == "step.ended")
    assert last.data["output"] == {"id": 7}
    assert last.data["labels"]["trust"] == "untrusted"  # a signal's word is nobody's contract
    assert len(tool.calls) == 1


@pytest.mark.parametrize("broken", ["look_up", "look_up_hangs", "permit", "later_refusal"])
async def test_trouble_on_the_way_back_to_an_unknown_outcome_does_not_pass_for_an_answer(
    database: Database, broken: str
):
    """Nothing but an answer about the earlier try may end a step whose effect may have happened."""
    flow = compiled("doubt", PAY % ", timeout: 50ms, retry: {times: 2, delay: 10ms, backoff: 1}", pay=True)

    def permit(call: StepCall) -> None:
        if broken == "permit" and call.attempt > 1:
            raise StepError("a kill switch", kind="forbidden")

    def pay(call: StepCall) -> Done:
        if broken == "later_refusal" and call.attempt > 1:
            raise StepError("busy", kind="http_429", retryable=True)
        return lost(call)

    def look(call: StepCall) -> Done:
        if broken == "look_up_hangs":
            raise TimeoutError
        raise KeyError("no such thing")

    recovery = "lookup" if broken.startswith("look_up") else "resend"
    tool = ScriptedTool({"pay": pay}, {"pay": Effect(recovery)}, {"pay": look}, permits={"pay": permit})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await until(database, run_id, waits_for("outcome_unknown"))
        await send(database, run_id, "pay", {"resolution": "failed"}, "effect.resolution")
        assert (await ended(database, run_id)).status == "failed"


async def test_a_person_is_asked_at_once_where_the_contract_says_so_and_may_let_it_be_sent_again(database: Database):
    flow = compiled("asks", PAY % "", pay=True)

    def second_time(call: StepCall) -> Done:
        return lost(call) if len(tool.calls) == 1 else Done({"id": "p2"})

    tool = ScriptedTool({"pay": second_time}, {"pay": Effect("ask")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await until(database, run_id, waits_for("outcome_unknown"))
        # Neither a stray signal nor somebody who poses as a worker is a person's word.
        await send(database, run_id, "pay", {"anything": 1})
        await send(database, run_id, "pay", {"resolution": "maybe"}, "effect.resolution")
        await send(database, run_id, "pay", {"output": {}, "labels": {}}, "effect.observed")
        await send(database, run_id, "pay", {"resolution": "happened", "output": [1]}, "effect.resolution")
        await until(database, run_id, waits_for("outcome_unknown"))
        assert len(tool.calls) == 1
        await send(database, run_id, "pay", {"resolution": "retry"}, "effect.resolution")
        summary = await ended(database, run_id)
    assert summary.outcome == "ok"
    assert tool.calls[0].idempotency_key == tool.calls[1].idempotency_key


async def test_what_a_fenced_worker_saw_reaches_the_runs_new_owner(database: Database):
    flow = compiled("fenced", PAY % "", pay=True)
    release = asyncio.Event()

    async def pay(call: StepCall) -> Done:
        await release.wait()
        return Done({"id": "seen"})

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("ask")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await eventually(lambda: bool(tool.calls))
        async with database.worker_connection() as connection:
            await connection.execute("DELETE FROM worker_session")
        await until(database, run_id, waits_for("outcome_unknown"))
        release.set()
        summary = await ended(database, run_id)
    assert summary.outcome == "ok"
    assert len(tool.calls) == 1
    last = next(event for event in await journal(database, run_id) if event.kind == "step.ended")
    assert last.data["output"] == {"id": "seen"}
    assert last.data["by"].startswith("system/worker-")


class LeapingClock(SystemClock):
    """A clock that a stalled process sees: time has gone by without it."""

    leap_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.leap_s


async def test_a_lease_that_ran_out_unnoticed_is_renewed_before_the_call(database: Database):
    """Nothing is sent meanwhile, and nobody is asked about a call that was never made."""
    flow = compiled("stalled", PAY % "", pay=True)
    clock = LeapingClock()

    def stall(call: StepCall) -> None:
        clock.leap_s = 1000.0

    tool = ScriptedTool({"pay": lambda call: Done({})}, {"pay": Effect("ask")}, permits={"pay": stall})
    async with running(database, [flow], tool, clock=clock):
        assert (await ended(database, await start(database, flow, {}))).outcome == "ok"
    assert len(tool.calls) == 1


@pytest.mark.parametrize("recovery", ["lookup", "resend"])
async def test_what_unwinds_sends_nothing_new_to_find_out_an_outcome(database: Database, recovery: Any):
    """A look-up that finds nothing ends the step; where one can only send again, a person looks (rule 8)."""
    flow = compiled("unwound", PAY % ", retry: {times: 5, delay: 10ms, backoff: 1}", pay=True)
    gate = asyncio.Event()

    async def pay(call: StepCall) -> Done:
        await gate.wait()
        return lost(call)

    tool = ScriptedTool({"pay": pay}, {"pay": Effect(recovery)}, {"pay": lambda call: None})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await eventually(lambda: bool(tool.calls))
        await cancel(database, run_id)
        await unwinding(database, run_id)
        gate.set()
        if recovery == "resend":
            await until(database, run_id, waits_for("outcome_unknown"))
            await send(database, run_id, "pay", {"resolution": "failed"}, "effect.resolution")
        assert (await ended(database, run_id)).status == "cancelled"
    assert len(tool.calls) == 1
