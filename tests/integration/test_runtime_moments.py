"""Time in a run: limits, time-outs, delays of retries, and clocks that somebody sets while a run waits."""

from __future__ import annotations

import asyncio
import itertools
from datetime import datetime, timedelta

import pytest
from support.engine import ACTOR, ScriptedTool, compiled, ended, journal, running, start, until

from signoff.core.clock import SystemClock
from signoff.core.errors import StepError
from signoff.foundation.database import Database
from signoff.runtime import client
from signoff.runtime.handlers import Done, Effect, Message, StepCall, Waiting

ONE = "steps:\n  a: {tool: act, with: {}}\noutcome: {ok: a.done}\n"


class ShiftedClock(SystemClock):
    """A clock that somebody sets while it runs."""

    def __init__(self) -> None:
        self.shift = timedelta()

    def now(self) -> datetime:
        return super().now() + self.shift


async def test_time_runs_out_for_a_run_that_waits(database: Database):
    flow = compiled("late", "limits: {time: 400ms}\n" + ONE, act=False)
    tool = ScriptedTool({"act": lambda call: Waiting("answer")})
    async with running(database, [flow], tool):
        summary = await ended(database, await start(database, flow, {}))
    assert summary.status == "failed"
    assert summary.error is not None
    assert summary.error["kind"] == "time_limit"
    assert tool.withdrawn == ["a"]


async def test_a_step_that_never_answers_is_cut_off_after_its_time(database: Database):
    flow = compiled("hangs", "steps:\n  a: {tool: act, with: {}, timeout: 100ms}\noutcome: {ok: a.done}\n", act=False)
    told: list[float] = []

    async def hang(call: StepCall) -> Done:
        told.append(call.timeout_s)
        await asyncio.Event().wait()
        raise AssertionError

    async with running(database, [flow], ScriptedTool({"act": hang})):
        summary = await ended(database, await start(database, flow, {}))
    assert told == [0.1]
    assert summary.error is not None
    assert summary.error["kind"] == "timeout"


async def test_a_handlers_own_timeout_comes_before_the_engines(database: Database):
    """It knows more: whether anything was sent, for one. So the engine gives it a little longer than it says."""
    flow = compiled("own", "steps:\n  a: {tool: act, with: {}, timeout: 100ms}\noutcome: {ok: a.done}\n", act=False)

    async def own(call: StepCall) -> Done:
        await asyncio.sleep(call.timeout_s)
        raise StepError("nothing was sent", kind="own_timeout")

    async with running(database, [flow], ScriptedTool({"act": own})):
        summary = await ended(database, await start(database, flow, {}))
    assert summary.error is not None
    assert summary.error["kind"] == "own_timeout"


async def test_retries_wait_longer_each_time(database: Database):
    flow = compiled(
        "patient",
        "steps:\n  a: {tool: act, with: {}, retry: {times: 3, delay: 100ms, backoff: 2}}\noutcome: {ok: a.done}\n",
        act=False,
    )
    times: list[float] = []

    def act(call: StepCall) -> Done:
        times.append(call.clock.monotonic_s())
        if call.attempt <= 3:
            raise StepError("busy", kind="busy", retryable=True)
        return Done({})

    async with running(database, [flow], ScriptedTool({"act": act})):
        assert (await ended(database, await start(database, flow, {}))).outcome == "ok"
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert all(gap >= least for gap, least in zip(gaps, (0.1, 0.2, 0.4), strict=True))


async def test_a_wait_ends_by_its_moment(database: Database):
    flow = compiled("expires", ONE, act=False)

    def wait(call: StepCall) -> Waiting:
        return Waiting("answer", until=call.clock.now() + timedelta(milliseconds=500))

    async with running(database, [flow], ScriptedTool({"act": wait})):
        run_id = await start(database, flow, {})
        await ended(database, run_id)
    end = next(event for event in await journal(database, run_id) if event.kind == "step.ended")
    assert end.data["result"] == "expired"


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_clock_that_is_set_while_a_run_waits_loses_nothing(database: Database, hours: int):
    flow = compiled("clock", ONE, act=False)
    clock = ShiftedClock()

    def wait(call: StepCall) -> Waiting:
        return Waiting("answer", until=call.clock.now() + timedelta(hours=1))

    def resume(call: StepCall, message: Message | None) -> Done | Waiting:
        return Done({"by": "moment" if message is None else "message"})

    tool = ScriptedTool({"act": wait}, resumes={"act": resume})
    async with running(database, [flow], tool, clock=clock):
        run_id = await start(database, flow, {})
        await until(database, run_id, lambda run: run.status == "waiting")
        clock.shift = timedelta(hours=hours)
        if hours < 0:
            async with database.transaction(ACTOR.org_id) as connection:
                # Sent by a process whose clock is right; the worker's is behind and must take it all the same.
                now = clock.now()
                await client.send_message(
                    connection,
                    org_id=ACTOR.org_id,
                    run_id=run_id,
                    path="a",
                    kind="signal",
                    data={},
                    sent_by="x",
                    now=now,
                )
        await ended(database, run_id)
    output = next(e.data["output"] for e in await journal(database, run_id) if e.kind == "step.ended")
    assert output == {"by": "message" if hours < 0 else "moment"}


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_clock_that_is_set_neither_hurries_nor_delays_a_look_up(database: Database, hours: int):
    flow = compiled("settling", "steps:\n  a: {tool: act, with: {}, timeout: 30s, retry: {times: 3, delay: 10ms}}\n"
                    "outcome: {ok: a.done}\n", act=True)  # fmt: skip
    clock = ShiftedClock()
    moments: list[float] = []

    def act(call: StepCall) -> Done:
        moments.append(clock.monotonic_s())
        clock.shift = timedelta(hours=hours)
        raise StepError("no answer", kind="timeout", retryable=True, outcome_unknown=True)

    def look(call: StepCall) -> Done:
        moments.append(clock.monotonic_s())
        return Done({})

    tool = ScriptedTool({"act": act}, {"act": Effect("lookup", settle_s=0.5)}, {"act": look})
    async with running(database, [flow], tool, clock=clock):
        run_id = await start(database, flow, {})
        assert (await ended(database, run_id)).outcome == "ok"
    assert moments[1] - moments[0] >= 0.49
