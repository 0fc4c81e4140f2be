"""Runs from start to end through a real worker on a real database."""

from __future__ import annotations

import asyncio

from support.engine import ACTOR, ScriptedTool, compiled, ended, journal, running, send, start, until

from signoff.core.clock import SystemClock
from signoff.core.errors import StepError
from signoff.foundation.database import Database
from signoff.runtime import cancel_run
from signoff.runtime.handlers import Done, Effect, StepCall, Waiting


async def test_pure_steps_end_in_their_outcome(database: Database):
    chain = compiled(
        "chain",
        """
steps:
  a: {set: {n: "${input.n + 1}"}}
  b: {set: {n: "${a.n * 2}"}}
  c: {when: b.n > 100, set: {n: 0}}
outcome:
  big: c.done
  small: b.n <= 100
""",
    )
    async with running(database, [chain], ScriptedTool({})):
        summary = await ended(database, await start(database, chain, {"n": 4}))
    assert (summary.status, summary.outcome) == ("done", "small")
    events = await journal(database, summary.run_id)
    assert [event.kind for event in events] == ["run.started", *["step.ended"] * 3, "run.ended"]
    assert events[2].data["output"] == {"n": 10}
    assert events[3].data["status"] == "not_needed"


async def test_steps_without_references_run_side_by_side(database: Database):
    both = compiled(
        "both",
        "steps:\n  a: {tool: meet, with: {}}\n  b: {tool: meet, with: {}}\noutcome: {ok: a.done && b.done}\n",
        meet=False,
    )
    barrier = asyncio.Barrier(2)

    async def meet(call: StepCall) -> Done:
        await asyncio.wait_for(barrier.wait(), 10)
        return Done({"at": call.path})

    async with running(database, [both], ScriptedTool({"meet": meet})):
        summary = await ended(database, await start(database, both, {}))
    assert summary.outcome == "ok"


async def test_a_retryable_failure_is_tried_again_and_another_is_not(database: Database):
    flaky = compiled(
        "flaky",
        "steps:\n  a: {tool: flaky, with: {}, retry: {times: 2, delay: 10ms, backoff: 1}}\noutcome: {ok: a.done}\n",
        flaky=False,
    )
    fatal = False

    def fail_twice(call: StepCall) -> Done:
        if fatal:
            raise StepError("no", kind="refused")
        if call.attempt <= 2:
            raise StepError("busy", kind="http_503", retryable=True)
        return Done({"attempt": call.attempt})

    tool = ScriptedTool({"flaky": fail_twice})
    async with running(database, [flaky], tool):
        summary = await ended(database, await start(database, flaky, {}))
        assert summary.outcome == "ok"
        assert [call.attempt for call in tool.calls] == [1, 2, 3]
        fatal = True
        summary = await ended(database, await start(database, flaky, {}))
    assert summary.status == "failed"
    assert summary.error == {"step": "a", "kind": "refused", "detail": "no"}
    assert len(tool.calls) == 4


async def test_effects_are_undone_in_reverse_when_a_later_step_fails(database: Database):
    saga = compiled(
        "saga",
        """
steps:
  first: {tool: pay, with: {what: first}, undo: {tool: reverse, with: {what: "${result.what}"}}}
  second: {after: [first], tool: pay, with: {what: second}, undo: {tool: reverse, with: {what: "${result.what}"}}}
  third: {requires: [second], tool: break, with: {}}
  never: {requires: [third], tool: pay, with: {what: never}}
outcome: {ok: third.done}
""",
        pay=True,
        reverse=True,
        **{"break": False},
    )

    def fail(call: StepCall) -> Done:
        raise StepError("broken", kind="broken")

    def echo(call: StepCall) -> Done:
        return Done(call.arguments["with"])

    tool = ScriptedTool(
        {"pay": echo, "reverse": echo, "break": fail}, {"pay": Effect("resend"), "reverse": Effect("resend")}
    )
    async with running(database, [saga], tool):
        summary = await ended(database, await start(database, saga, {}))
    assert summary.status == "failed"
    assert [(call.step.target, call.path) for call in tool.calls] == [
        ("pay", "first"),
        ("pay", "second"),
        ("break", "third"),
        ("reverse", "second/undo"),
        ("reverse", "first/undo"),
    ]
    kinds = [event.kind for event in await journal(database, summary.run_id)]
    assert kinds.count("effect.intended") == 4
    assert kinds[-1] == "run.ended"


async def test_a_waiting_run_leaves_memory_and_a_message_brings_it_back(database: Database):
    asking = compiled("asking", "steps:\n  ask: {tool: ask, with: {}}\noutcome: {ok: ask.done}\n", ask=False)
    tool = ScriptedTool({"ask": lambda call: Waiting("answer", about="an answer")})
    async with running(database, [asking], tool) as worker:
        run_id = await start(database, asking, {})
        summary = await until(database, run_id, lambda run: run.status == "waiting")
        assert summary.waiting_for[0]["kind"] == "answer"
        assert worker.statistics["resident_runs"] == 0
        await send(database, run_id, "ask", {"answer": 42})
        summary = await ended(database, run_id)
    assert summary.outcome == "ok"
    events = await journal(database, run_id)
    assert events[-2].data["output"] == {"answer": 42}


async def test_a_message_before_its_wait_is_kept(database: Database):
    asking = compiled(
        "early",
        "steps:\n  a: {tool: hold, with: {}}\n  ask: {after: [a], tool: ask, with: {}}\noutcome: {ok: ask.done}\n",
        hold=False,
        ask=False,
    )
    gate = asyncio.Event()

    async def hold(call: StepCall) -> Done:
        await gate.wait()
        return Done({})

    tool = ScriptedTool({"hold": hold, "ask": lambda call: Waiting("answer")})
    async with running(database, [asking], tool):
        run_id = await start(database, asking, {})
        await send(database, run_id, "ask", {"answer": 1})
        gate.set()
        summary = await ended(database, run_id)
    assert summary.outcome == "ok"


async def test_cancelling_withdraws_what_waits(database: Database):

    asking = compiled("cancelled", "steps:\n  ask: {tool: ask, with: {}}\noutcome: {ok: ask.done}\n", ask=False)
    tool = ScriptedTool({"ask": lambda call: Waiting("answer")})
    async with running(database, [asking], tool):
        run_id = await start(database, asking, {})
        await until(database, run_id, lambda run: run.status == "waiting")
        async with database.transaction(ACTOR.org_id) as connection:
            await cancel_run(connection, actor=ACTOR, run_id=run_id, reason="changed my mind", now=SystemClock().now())
        summary = await ended(database, run_id)
    assert summary.status == "cancelled"
    assert tool.withdrawn == ["ask"]
