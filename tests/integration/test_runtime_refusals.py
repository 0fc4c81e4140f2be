"""Definite refusals that a worker heard and could not journal: the run's new owner takes them, and asks nobody."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from support.engine import ScriptedTool, compiled, ended, eventually, journal, running, send, start, until, waits_for

from signoff.core.errors import Problem, StepError
from signoff.foundation.database import Database
from signoff.runtime.handlers import Done, Effect, StepCall

PAY = "steps:\n  pay: {tool: pay, with: {}%s}\noutcome: {ok: pay.done}\n"
AGAIN = ", retry: {times: 1, delay: 10ms, backoff: 1}"


async def declared_dead(database: Database) -> None:
    async with database.worker_connection() as connection:
        await connection.execute("DELETE FROM worker_session")


def refusal(*, retryable: bool = False) -> StepError:
    problem = Problem("it is above the limit", pointer="/cents", code="limit")
    return StepError("the bank says no", kind="http_409", retryable=retryable, problems=[problem])


async def asked(database: Database, run_id: UUID) -> bool:
    """Whether a person was asked what became of the effect."""
    return any(event.kind == "step.waiting" for event in await journal(database, run_id))


async def test_a_refusal_whose_event_is_fenced_off_is_told_to_the_runs_new_owner(database: Database):
    flow = compiled("refused_late", PAY % "", pay=True)

    async def pay(call: StepCall) -> Done:
        await declared_dead(database)
        raise refusal()

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("ask")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        summary = await until(database, run_id, lambda run: run.status == "failed" or bool(run.waiting_for))
    assert summary.status == "failed"
    assert not await asked(database, run_id)
    assert len(tool.calls) == 1
    (end,) = [event.data for event in await journal(database, run_id) if event.kind == "step.ended"]
    assert end["error"] == {
        "kind": "http_409",
        "detail": "the bank says no",
        "problems": [{"code": "limit", "detail": "it is above the limit", "pointer": "/cents"}],
    }


@pytest.mark.parametrize("retryable", [False, True])
async def test_a_fenced_worker_that_hears_no_takes_the_question_back(database: Database, retryable: bool):
    """The run's new owner could only ask a person by then. It tries again where that may help."""
    flow, held = compiled(f"heard_{retryable}".lower(), PAY % AGAIN, pay=True), asyncio.Event()

    async def pay(call: StepCall) -> Done:
        if len(tool.calls) == 1:
            await held.wait()
            raise refusal(retryable=retryable)
        return Done({})

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("ask")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await eventually(lambda: bool(tool.calls))
        await declared_dead(database)
        await until(database, run_id, waits_for("outcome_unknown"))
        held.set()
        assert (await ended(database, run_id)).status == ("done" if retryable else "failed")
    assert len(tool.calls) == (2 if retryable else 1)


async def test_a_refusal_that_says_nothing_of_an_earlier_try_takes_no_question_back(database: Database):
    """The first try got no answer; that the second was refused does not tell what became of it."""
    flow, held = compiled("twice", PAY % AGAIN, pay=True), asyncio.Event()

    async def pay(call: StepCall) -> Done:
        if len(tool.calls) == 1:
            raise StepError("no answer", kind="timeout", retryable=True, outcome_unknown=True)
        await held.wait()
        raise refusal()

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("resend")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await eventually(lambda: len(tool.calls) == 2)
        await declared_dead(database)
        held.set()
        await until(database, run_id, waits_for("outcome_unknown"))
        await send(database, run_id, "pay", {"resolution": "happened", "output": {}}, "effect.resolution")
        assert (await ended(database, run_id)).outcome == "ok"
