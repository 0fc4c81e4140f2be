"""What becomes of a step without room in a limit: it fails, asks a cheaper model, waits for room, or for a person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from support.answer_runs import Stage, project, staged
from support.engine import until
from support.limit_cases import MovedClock

from signoff.capabilities.gateway.asking import Asked, Caller, Estimate
from signoff.capabilities.gateway.limits import LimitLedger
from signoff.capabilities.gateway.records import CallFilter, CallRecorder, RecordSettings, list_calls
from signoff.catalog.model_limits import ModelLimit, Window
from signoff.catalog.models import ModelSpec
from signoff.core.clock import SystemClock
from signoff.core.money import Cost
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.runtime.client import send_message
from signoff.testing import ScriptedProvider

MODELS = """models:
  dear: {provider: openai_compatible, model: dear, base_url: "https://a.b", price: {input_usd: 1000, output_usd: 1000}}
  cheap: {provider: openai_compatible, model: cheap, base_url: "https://a.b", price: {input_usd: 1, output_usd: 1}}
routes:
  - {task: generate, use: [dear, cheap]}
"""
PROMPT = """---
name: say
version: 1.0.0
purpose: Says something.
task: generate
input: {type: object, properties: {text: {type: string}}, required: [text]}
output: {type: object, properties: {text: {type: string}}, required: [text]}
limits: {max_output_tokens: 10}
---
# user
{{ text }}
"""
STEPS = """steps:
  say: {ai: say@^1, with: {text: "${input.text}"}}
outcome: {said: say.done}
"""
FILES = project(STEPS, models_yaml=MODELS, prompts__say_md=PROMPT)
SAID = '{"text": "Yes."}'
END_OF_MAY = datetime(2026, 6, 1, tzinfo=UTC) - timedelta(seconds=1)
MONTH = Window(calendar="month")


def full(of: str = "workflow", at_limit: str = "refuse", **more: Any) -> ModelLimit:
    return ModelLimit(of, "micro_usd", 200_000, MONTH, at_limit, **more)  # type: ignore[arg-type]  # (any text)


async def spent(database: Database, limit: ModelLimit, clock: MovedClock) -> LimitLedger:
    """A ledger whose limit is used up for May."""

    async def limits_of(_: Caller) -> Sequence[ModelLimit]:
        return (limit,)

    book = LimitLedger(database, limits_of, clock=clock)
    who = Caller(DEFAULT_ORG_ID, "desk", "dev", "", "user/ana", team="desk", workflow="desk/reply")
    await book.admit(Asked(who), ModelSpec("dear", "", {}), Estimate(0, 0, Cost(200_000)))
    return book


def models() -> dict[str, ScriptedProvider]:
    return {
        name: ScriptedProvider([SAID], repeat=True, local=False, input_tokens=10, output_tokens=2)
        for name in ("dear", "cheap")
    }


async def waits(stage: Stage, run_id: UUID) -> None:
    await until(stage.database, run_id, lambda run: any(one["kind"] == "limit" for one in run.waiting_for), 60)


async def answer(stage: Stage, run_id: UUID, decision: str, kind: str = "limit.decision") -> None:
    async with stage.database.transaction(DEFAULT_ORG_ID) as connection:
        await send_message(
            connection,
            org_id=DEFAULT_ORG_ID,
            run_id=run_id,
            path="say",
            kind=kind,
            data={"decision": decision},
            sent_by="user/ana",
            now=SystemClock().now(),
        )


async def test_a_step_over_a_limit_that_refuses_fails_and_asks_no_other_model(database: Database):
    clock, scripts = MovedClock(END_OF_MAY), models()
    async with staged(database, FILES, scripts, limits=await spent(database, full(), clock)) as stage:
        run_id = await stage.start()
        assert await stage.ended(run_id) == ("failed", None)
        error = (await stage.step(run_id, "say"))["error"]
        assert error["kind"] == "budget"
        assert "0.2 USD every month of workflow/desk/reply" in error["detail"]
        assert not scripts["dear"].requests
        assert not scripts["cheap"].requests


async def test_a_cheaper_model_answers_where_the_limit_says_so(database: Database):
    clock, scripts = MovedClock(END_OF_MAY), models()
    book = await spent(database, full("model", "cheaper", name="dear"), clock)
    async with staged(database, FILES, scripts, limits=book) as stage:
        run_id = await stage.start()
        assert await stage.ended(run_id) == ("done", "said")
        assert not scripts["dear"].requests
        assert len(scripts["cheap"].requests) == 1


async def test_a_parked_step_goes_on_by_itself_when_there_is_room(database: Database):
    clock, scripts = MovedClock(END_OF_MAY), models()
    async with staged(database, FILES, scripts, limits=await spent(database, full("team", "park"), clock)) as stage:
        run_id = await stage.start()
        await waits(stage, run_id)
        assert not scripts["dear"].requests
        clock.move(1)  # it is June
        assert await stage.ended(run_id) == ("done", "said")
        assert len(scripts["dear"].requests) == 1


@pytest.mark.parametrize(("decision", "status"), [("allow", "done"), ("refuse", "failed")])
async def test_a_person_lets_a_step_beyond_its_limit_or_does_not(database: Database, decision: str, status: str):
    clock, scripts = MovedClock(END_OF_MAY), models()
    async with staged(database, FILES, scripts, limits=await spent(database, full("project", "ask"), clock)) as stage:
        run_id = await stage.start()
        await waits(stage, run_id)
        await answer(stage, run_id, "allow", kind="something.else")
        await answer(stage, run_id, decision)
        assert (await stage.ended(run_id))[0] == status
        assert len(scripts["dear"].requests) == (decision == "allow")
        if decision == "refuse":
            assert (await stage.step(run_id, "say"))["error"]["kind"] == "budget"


async def test_a_steps_calls_are_recorded_with_their_run_and_paid_at_what_they_came_to(database: Database):
    clock = MovedClock(END_OF_MAY)
    # One time for both: to the clock of today all leases of that May are over.
    recorder = CallRecorder(database, clock, RecordSettings(gather_s=0))
    book = await spent(database, full("team", "refuse"), clock)
    clock.move(1)
    async with staged(database, FILES, models(), limits=book, recorder=recorder) as stage:
        run_id = await stage.start()
        assert await stage.ended(run_id) == ("done", "said")
    await recorder.aclose()
    await book.aclose()
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        [call] = await list_calls(connection, DEFAULT_ORG_ID, CallFilter(run_id=run_id))
    assert (call.step, call.prompt, call.kind, call.model, call.team) == ("say", "say", "task", "dear", "desk")
    assert (call.cost_micro_usd, call.input_tokens, call.workflow) == (12_000, 10, "desk/reply")
    left = Estimate(0, 0, Cost(188_000))
    who = Caller(DEFAULT_ORG_ID, "desk", "dev", "", "user/ana", team="desk", workflow="desk/reply")
    await book.admit(Asked(who), ModelSpec("dear", "", {}), left)
