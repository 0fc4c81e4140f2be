"""Another release for a run that waits or is stuck; and what a comparison by replay finds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from support.engine import (
    ACTOR,
    ScriptedTool,
    compiled,
    ended,
    eventually,
    journal,
    running,
    send,
    start,
    until,
    waits_for,
)
from support.operations import ask, do, done, told

from signoff.core.clock import SystemClock
from signoff.core.errors import ConflictError, StepError
from signoff.foundation.database import Database
from signoff.runtime.client.comparing import compare
from signoff.runtime.client.history import state_of
from signoff.runtime.client.migrating import Move, migrate
from signoff.runtime.handlers import Approval, Done, Effect, StepCall, Waiting
from signoff.workflows.model import Workflow

OLD = """
steps:
  ask: {tool: job.ask, with: {n: "${input.n}"}}
  pay: {tool: job.pay, with: {n: 1}, after: ask}
outcome: {finished: pay.done}
"""
NEW = OLD.replace("with: {n: 1}, after: ask", "with: {n: 2}, after: ask")
OTHER_PAST = OLD.replace('{n: "${input.n}"}', '{m: "${input.n}"}')
NEW_RELEASE = "n" * 64


def made(body: str) -> Workflow:
    return compiled("moved", body, job__ask=False, job__pay=False)


async def move(database: Database, run_id: UUID, workflow: Workflow, old: Workflow | None) -> None:
    asked = Move(NEW_RELEASE, workflow, old, reason="better")
    async with database.transaction(ACTOR.org_id) as connection:
        await migrate(connection, ACTOR, run_id, asked, now=SystemClock().now())


async def test_a_waiting_run_goes_on_under_the_release_it_was_moved_to(database: Database) -> None:
    old, new = made(OLD), made(NEW)
    tool = ScriptedTool({"job.ask": ask, "job.pay": done})
    async with running(database, [old], tool):
        run_id = await start(database, old, {"n": 1})
        await until(database, run_id, waits_for("review"))
    async with running(database, [new], tool):  # stuck here, were it not moved
        await move(database, run_id, new, old)
        await until(database, run_id, lambda run: run.release == NEW_RELEASE and run.status == "waiting")
        await send(database, run_id, "ask", {"answer": 1})
        assert (await ended(database, run_id)).outcome == "finished"
    assert tool.calls[-1].arguments == {"with": {"n": 2}}
    (event,) = await told(database, run_id, "run.migrated")
    assert (event["by"], event["reason"], [item["step"] for item in event["differs"]]) == (
        "user/ana",
        "better",
        ["pay"],
    )


async def test_a_stuck_run_is_moved_to_a_release_that_fits(database: Database) -> None:
    old, new = made(OLD), made(NEW)
    tool = ScriptedTool({"job.ask": ask, "job.pay": done})
    async with running(database, [old], tool):
        run_id = await start(database, old, {"n": 1})
        await until(database, run_id, waits_for("review"))
    async with running(database, [new], tool):
        await send(database, run_id, "ask", {"answer": 1})
        await until(database, run_id, lambda run: run.status == "stuck")
        await move(database, run_id, new, None)
        assert (await ended(database, run_id)).outcome == "finished"


async def test_a_run_that_moved_on_since_it_was_compared_is_not_moved(database: Database) -> None:
    old, new = made(OLD), made(NEW)
    tool = ScriptedTool({"job.ask": ask, "job.pay": done})
    async with running(database, [old, replace(new, name="elsewhere")], tool):
        run_id = await start(database, old, {"n": 1})
        await until(database, run_id, waits_for("review"))
        before = (await journal(database, run_id))[-1].seq
        await do(database, run_id, "priority", priority=2)
        await eventually(lambda: _late(database, run_id))
        await _send_stale(database, run_id, new, compared_at=before)
        await eventually(lambda: _refused(database, run_id))
        assert await told(database, run_id, "run.migrated") == []


class Reviewer(ScriptedTool):
    """The verb `review`: approved at once, each time under another id."""

    def __init__(self) -> None:
        super().__init__({}, verb="review")

    async def execute(self, call: StepCall) -> Done | Waiting:
        self.calls.append(call)
        review_id = f"0198c5a0-0000-7000-8000-{len(self.calls):012d}"
        return Done(
            {"n": 1}, result="approved", approval=Approval(call.path, review_id, "d" * 64, "user/ana", "approved")
        )


APPROVED = """
steps:
  ok: {review: Pay?, by: role/lead, propose: {n: 1}}
  pay: {requires: ok, tool: pay, with: {}, retry: {times: 5, delay: 4m}}
outcome: {paid: pay.done}
"""


async def test_an_approval_that_was_used_before_a_move_is_given_anew(database: Database) -> None:
    flow, reviewer, busy = compiled("approved", APPROVED, pay=True), Reviewer(), True

    def pay(call: StepCall) -> Done:
        if busy:
            raise StepError("busy", kind="http_503", retryable=True)
        return Done({})

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("resend")})
    async with running(database, [flow], tool, others=[reviewer]):
        run_id = await start(database, flow, {})
        await until(database, run_id, waits_for("retry"))
        busy = False
        await move(database, run_id, flow, flow)
        await until(database, run_id, lambda run: run.release == NEW_RELEASE and run.status == "waiting")
        await do(database, run_id, "retry")
        failed = await ended(database, run_id)
        assert (failed.error or {})["kind"] == "approval_outdated"
        assert len(tool.calls) == 1
        await do(database, run_id, "retry")
        assert (await until(database, run_id, lambda run: run.status == "done")).outcome == "paid"
    assert len(reviewer.calls) == 2
    assert len(tool.calls) == 2


async def _late(database: Database, run_id: UUID) -> bool:
    return bool(await told(database, run_id, "message.received"))


async def _refused(database: Database, run_id: UUID) -> bool:
    found = await told(database, run_id, "message.received")
    return any(data["disposition"] == "refused" and "moved on" in data["reason"] for data in found)


async def _send_stale(database: Database, run_id: UUID, workflow: Workflow, *, compared_at: int) -> None:
    data: dict[str, Any] = {
        "release": NEW_RELEASE,
        "version": workflow.version,
        "workflow_digest": workflow.digest,
        "compared_at": compared_at,
        "differs": [],
    }
    await send(database, run_id, "", data, "run.migrate")


async def test_a_past_that_would_be_another_one_is_refused(database: Database) -> None:
    old, other = made(OLD), made(OTHER_PAST)
    tool = ScriptedTool({"job.ask": ask, "job.pay": done})
    async with running(database, [old], tool):
        run_id = await start(database, old, {"n": 1})
        await until(database, run_id, waits_for("review"))
        with pytest.raises(ConflictError) as raised:
            await move(database, run_id, other, old)
        assert [problem.detail.partition(":")[0] for problem in raised.value.problems] == ["ask"]
        state = state_of(await journal(database, run_id))
        assert [item.begun for item in compare(state, None, other)] == [True]  # by the journal alone
        assert compare(state, None, made(OLD)) == []
