"""Endless loops go on in new runs; steps that kill their workers are not tried without end."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from support.operations import do
from tests.support.crashing import crashing, folded
from tests.support.engine import (
    ACTOR,
    FAST,
    ScriptedTool,
    compiled,
    ended,
    eventually,
    journal,
    running,
    send,
    start,
    until,
)

from signoff.core.clock import SystemClock
from signoff.core.errors import ConflictError
from signoff.foundation.database import Database
from signoff.runtime import store
from signoff.runtime.client import list_runs
from signoff.runtime.handlers import Done, StepCall, Waiting

ENDLESS = """
steps:
  base: {set: {n: 100}}
  cycle:
    repeat:
      turn: {tool: shop.act, with: {n: "${last.n}", index: "${index}", base: "${base.n}"}}
    until: turn.n >= 25
    max: 9000
    RENEW
    start: {n: 0}
    give: {n: "${turn.n}"}
  final: {set: {n: "${cycle.n + base.n}", turns: "${cycle.turns}"}}
outcome: {over: {when: final.done, give: {n: "${final.n}", turns: "${final.turns}"}}}
"""


def counts(call: StepCall) -> Done:
    given = call.arguments["with"]
    assert given["n"] == given["index"]
    assert given["base"] == 100
    return Done({"n": given["n"] + 1})


async def chain(database: Database, name: str) -> list[Any]:
    """The runs of a workflow, the first first."""
    async with database.transaction(ACTOR.org_id) as connection:
        return list(reversed(await list_runs(connection, ACTOR.org_id, workflow=f"test/{name}")))


async def output(database: Database, run_id: UUID) -> Any:
    return ((await folded(database, run_id)).end or {}).get("output")


async def test_a_loop_goes_on_in_new_runs_across_crashes(database: Database) -> None:
    workflow = compiled("endless", ENDLESS.replace("RENEW", "renew: 10"), shop__act=False)
    tool = ScriptedTool({"shop.act": counts})
    first = await start(database, workflow, {}, key="once")
    for turn in (4, 9, 14):
        async with crashing(database, [workflow], tool):

            def reached(most: int = turn) -> bool:
                return any(call.arguments["with"]["n"] >= most for call in tool.calls)

            await eventually(reached)

    async def over() -> bool:
        return [run.outcome for run in await chain(database, "endless")] == ["continued", "continued", "over"]

    async with running(database, [workflow], tool):
        await eventually(over)
    runs = await chain(database, "endless")
    assert runs[0].run_id == first
    assert await output(database, runs[2].run_id) == {"n": 125, "turns": 25}
    for earlier, later in pairwise(runs):
        assert (await output(database, earlier.run_id)) == {"run_id": str(later.run_id)}
        started = (await journal(database, later.run_id))[0].data
        assert started["continued_from"]["run_id"] == str(earlier.run_id)
        assert started["continued_from"]["chain_id"] == str(first)
    assert (await start(database, workflow, {}, key="once")) == first


async def test_a_loop_renews_itself_before_its_journal_is_full(database: Database) -> None:
    workflow = compiled("long", ENDLESS.replace("    RENEW\n", ""), shop__act=False)
    settings = FAST.model_copy(update={"history_events": 100, "renew_share": 0.4})
    async with running(database, [workflow], ScriptedTool({"shop.act": counts}), settings):
        await start(database, workflow, {})

        async def over() -> bool:
            return [run.outcome for run in await chain(database, "long")][-1] == "over"

        await eventually(over)
    runs = await chain(database, "long")
    assert len(runs) == 2
    assert await output(database, runs[-1].run_id) == {"n": 125, "turns": 25}


async def test_messages_follow_the_loop_and_senders_learn_where_it_is(database: Database) -> None:
    body = """
steps:
  cycle:
    repeat: {ask: {tool: ask.person}}
    until: ask.answer == 'stop'
    max: 9
    renew: 1
    give: {said: "${ask.answer}"}
outcome: {over: {when: cycle.done, give: {turns: "${cycle.turns}"}}}
"""
    workflow = compiled("talks", body, ask__person=False)
    tool = ScriptedTool({"ask.person": lambda _: Waiting("person")})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        for answer in ("go", "go", "stop"):
            await until(database, run_id, lambda run: run.status == "waiting")
            await send(database, run_id, "cycle[0]/ask", {"answer": answer})
            run = await ended(database, run_id)
            if run.outcome == "continued":
                try:
                    await send(database, run_id, "cycle[0]/ask", {"answer": "late"})
                    raise AssertionError("it has ended")
                except ConflictError:
                    before, run_id = run_id, UUID((await output(database, run_id))["run_id"])
                    with pytest.raises(ConflictError, match=f"goes on as run {run_id}: name that one"):
                        await do(database, before, "pause")
    assert await output(database, run_id) == {"turns": 3}


POISON = """
steps: {act: {tool: shop.act}}
outcome: {over: act.done}
"""


async def test_a_run_that_workers_die_with_waits_for_a_person(database: Database) -> None:
    workflow = compiled("poison", POISON, shop__act=False)
    settings = FAST.model_copy(update={"crash_limit": 3})
    run_id = await start(database, workflow, {})
    hangs = ScriptedTool({"shop.act": lambda _: Waiting("never")})
    dies = ScriptedTool({"shop.act": _never})
    for _ in range(3):
        calls = len(dies.calls)
        async with crashing(database, [workflow], dies, settings):

            def called(most: int = calls) -> bool:
                return len(dies.calls) > most

            await eventually(called)
            await eventually(lambda: _begun(database, run_id))
            await _died(database, run_id)
    async with running(database, [workflow], hangs, settings):
        run = await until(database, run_id, lambda run: run.status == "stuck")
        assert run.error is not None
        assert run.error["code"] == "crash-limit"
        assert "act, try 1" in run.error["detail"]
        assert hangs.calls == []
        with pytest.raises(ConflictError, match="looked at again at once"):
            await do(database, run_id, "retry", step="act")
        await do(database, run_id, "retry")
        await eventually(lambda: len(hangs.calls) == 1)


async def _never(call: StepCall) -> Done:
    await SystemClock().sleep(3600)
    return Done({})


async def _begun(database: Database, run_id: UUID) -> bool:
    return any(event.kind == "step.started" for event in await journal(database, run_id))


async def _died(database: Database, run_id: UUID) -> None:
    """What whoever declares the worker dead does; it is cut off right after."""
    async with database.worker_connection() as connection:
        owner = await connection.fetchval("SELECT owner FROM run_queue WHERE run_id = $1", run_id)
        await connection.execute(store.COUNT_CRASHES, [owner])
