"""What a document foresees of failures: retries of some kinds, another value, other steps, or going on without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from tests.support.crashing import crashing, folded, kinds
from tests.support.engine import (
    FAST,
    Behaviour,
    Releases,
    ScriptedTool,
    SetHandler,
    compiled,
    ended,
    eventually,
    journal,
    running,
    start,
    until,
)

from signoff.core.clock import SystemClock
from signoff.core.errors import StepError
from signoff.core.labels import Trust
from signoff.foundation.database import Database
from signoff.runtime import Worker
from signoff.runtime.handlers import Done, Effect, StepCall, Waiting


def fails(call: StepCall) -> Done:
    raise StepError("broken", kind="http_503", retryable=True)


async def output(database: Database, run_id: UUID) -> Any:
    return ((await folded(database, run_id)).end or {}).get("output")


CONTINUE = """
steps:
  act: {tool: shop.break, on_error: continue}
  reader: {set: {n: "${act.n}"}}
  after: {after: act, set: {ok: "${act.result}"}}
outcome: {over: {when: "reader.result == 'blocked'", give: {ok: "${after.ok}"}}}
"""


TOLD = """
steps:
  act:
    tool: shop.break
    on_error:
      steps:
        again:
          tool: shop.break
          on_error: {steps: {noted: {set: {all: "${error.kind}"}}}, give: {all: "${noted.all}"}}
        told: {set: {why: "${error.kind}: ${error.detail}", inner: "${again.all}"}}
      give: {why: "${told.why}", inner: "${told.inner}"}
outcome: {over: {when: act.done, give: {why: "${act.why}", inner: "${act.inner}"}}}
"""


async def test_the_steps_instead_read_the_failure_as_something_from_outside(database: Database) -> None:
    workflow = compiled("told", TOLD, shop__break=False)
    async with running(database, [workflow], ScriptedTool({"shop.break": fails})):
        run_id = await start(database, workflow, {})
        assert (await ended(database, run_id)).outcome == "over"
    assert await output(database, run_id) == {"why": "http_503: broken", "inner": "http_503"}
    state = (await folded(database, run_id)).steps["act"].state
    assert state is not None
    assert state.labels.trust is Trust.UNTRUSTED
    assert "error:act" in state.labels.sources


async def test_a_step_of_that_name_is_read_as_before(database: Database) -> None:
    body = """
steps:
  error: {set: {kind: mine}}
  act:
    after: error
    tool: shop.break
    on_error: {steps: {told: {set: {why: "${error.kind}"}}}, give: {why: "${told.why}"}}
outcome: {over: {when: act.done, give: {why: "${act.why}"}}}
"""
    workflow = compiled("named", body, shop__break=False)
    async with running(database, [workflow], ScriptedTool({"shop.break": fails})):
        run_id = await start(database, workflow, {})
        await ended(database, run_id)
    assert await output(database, run_id) == {"why": "mine"}


async def test_a_caught_failure_lets_the_run_go_on(database: Database) -> None:
    workflow = compiled("continues", CONTINUE, shop__break=False)
    async with running(database, [workflow], ScriptedTool({"shop.break": fails})):
        run_id = await start(database, workflow, {})
        assert (await ended(database, run_id)).outcome == "over"
    assert await output(database, run_id) == {"ok": "failed"}
    assert (await folded(database, run_id)).steps["act"].caught


STEPS = """
steps:
  act:
    tool: shop.break
    with: {id: a}
    on_error:
      steps:
        ask: {tool: shop.ask, with: {why: please}}
        twice: {set: {n: "${ask.n * 2}"}}
      give: {n: "${twice.n}"}
  reader: {set: {n: "${act.n}"}}
outcome: {over: {when: reader.done, give: {n: "${reader.n}"}}}
"""


async def test_other_steps_run_instead_across_a_crash(database: Database) -> None:
    workflow = compiled("instead", STEPS, shop__break=False, shop__ask=False)
    tool = ScriptedTool({"shop.break": fails, "shop.ask": lambda _: Done({"n": 4})})
    run_id = await start(database, workflow, {})
    async with crashing(database, [workflow], tool):
        await eventually(lambda: any(call.path == "act!/ask" for call in tool.calls))
    async with running(database, [workflow], tool):
        await ended(database, run_id)
    assert await output(database, run_id) == {"n": 8}
    state = await folded(database, run_id)
    assert state.steps["act"].via == "fallback"
    assert not state.open
    assert (await kinds(database, run_id, "act"))[-1] == "step.ended"


async def test_where_the_other_steps_fail_the_first_failure_is_told(database: Database) -> None:
    def asks(call: StepCall) -> Done:
        raise StepError("nobody there", kind="nobody")

    workflow = compiled("twice", STEPS, shop__break=False, shop__ask=False)
    async with running(database, [workflow], ScriptedTool({"shop.break": fails, "shop.ask": asks})):
        run_id = await start(database, workflow, {})
        run = await ended(database, run_id)
    assert run.status == "failed"
    state = await folded(database, run_id)
    assert not state.open
    assert state.steps["act"].state is not None
    assert state.steps["act"].state.status == "failed"


GROUP = """
steps:
  both:
    do:
      act: {tool: shop.act, undo: {tool: shop.back}}
      wait: {tool: shop.wait}
      break: {after: act, tool: shop.break}
    give: {n: "${act.n}"}
    on_error: {value: {n: 0}}
  reader: {set: {n: "${both.n}"}}
outcome: {over: {when: reader.done, give: {n: "${reader.n}"}}}
""".replace("      break:", "      fall:").replace("      wait:", "      hold:")


async def test_a_caught_group_ends_what_is_under_way_and_undoes_nothing(database: Database) -> None:
    workflow = compiled("caught", GROUP, shop__act=True, shop__back=True, shop__wait=False, shop__break=False)
    behaviours: dict[str, Behaviour] = {
        "shop.act": lambda _: Done({"n": 1}),
        "shop.break": fails,
        "shop.wait": lambda _: Waiting("person"),
        "shop.back": lambda _: Done({}),
    }
    tool = ScriptedTool(behaviours, {"shop.act": Effect("resend"), "shop.back": Effect("resend")})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        assert (await ended(database, run_id)).outcome == "over"
    assert await output(database, run_id) == {"n": 0}
    assert tool.withdrawn == ["both[0]/hold"]
    assert not any(call.path.endswith("/undo") for call in tool.calls)
    state = await folded(database, run_id)
    assert not state.open
    assert not state.busy


RETRY = """
steps:
  act: {tool: shop.break, retry: {times: 3, delay: 20ms, backoff: 1, jitter: 0.5, RULE}}
outcome: {over: act.done}
"""


@pytest.mark.parametrize(
    ("rule", "tries"),
    [("never: [timeout]", 4), ("never: [http_5xx]", 1), ("on: [timeout]", 1), ("on: [http_5xx, timeout]", 4)],
)
async def test_retries_are_of_the_kinds_that_the_document_names(database: Database, rule: str, tries: int) -> None:
    workflow = compiled("retries", RETRY.replace("RULE", rule), shop__break=False)
    tool = ScriptedTool({"shop.break": fails})
    async with running(database, [workflow], tool):
        run_id = await start(database, workflow, {})
        assert (await ended(database, run_id)).status == "failed"
    assert len(tool.calls) == tries


async def test_jitter_comes_from_the_worker_and_is_journaled(database: Database) -> None:
    workflow = compiled("jitters", RETRY.replace("delay: 20ms", "delay: 1h").replace(", RULE", ""), shop__break=False)
    worker = Worker(
        database,
        handlers=[ScriptedTool({"shop.break": fails})],
        pure=[SetHandler()],
        releases=Releases({workflow.name: workflow}),
        clock=SystemClock(),
        settings=FAST,
        chance=lambda: 1.0,
    )
    run_id = await start(database, workflow, {})
    async with _working(worker):
        await until(database, run_id, lambda run: run.status == "waiting")
    record = (await folded(database, run_id)).steps["act"]
    (event,) = [event for event in await journal(database, run_id) if event.kind == "step.retrying"]
    assert record.retry_at is not None
    assert abs((record.retry_at - event.recorded_at).total_seconds() - 450) < 1


@asynccontextmanager
async def _working(worker: Worker) -> AsyncGenerator[None]:
    task = asyncio.create_task(worker.run())
    yield
    worker.stop()
    await task


FULL = """
steps:
  first: {tool: shop.act, undo: {tool: shop.back}}
  cycle:
    after: first
    repeat: {turn: {set: {n: "${index}"}}}
    until: index < 0
    max: 9000
    give: {n: "${turn.n}"}
outcome: {over: cycle.done}
"""


async def test_a_full_journal_still_has_room_to_unwind(database: Database) -> None:
    workflow = compiled("full", FULL, shop__act=True, shop__back=True)
    tool = ScriptedTool(
        {"shop.act": lambda _: Done({}), "shop.back": lambda _: Done({})},
        {"shop.act": Effect("resend"), "shop.back": Effect("resend")},
    )
    settings = FAST.model_copy(update={"history_events": 200})
    async with running(database, [workflow], tool, settings):
        run_id = await start(database, workflow, {})
        run = await ended(database, run_id)
    assert (run.status, (run.error or {})["kind"]) == ("failed", "history_limit")
    assert [call.path for call in tool.calls] == ["first", "first/undo"]


async def test_a_workflow_may_limit_its_own_events(database: Database) -> None:
    workflow = compiled("few", "limits: {events: 100}\n" + FULL, shop__act=True, shop__back=True)
    tool = ScriptedTool(
        {"shop.act": lambda _: Done({}), "shop.back": fails},
        {"shop.act": Effect("resend"), "shop.back": Effect("resend")},
    )
    settings = FAST.model_copy(update={"unwinding_events": 10})
    async with running(database, [workflow], tool, settings):
        run_id = await start(database, workflow, {})
        await until(database, run_id, lambda run: run.status == "waiting")
    assert len(await journal(database, run_id)) < 250
