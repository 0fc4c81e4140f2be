"""Effects: intents, approvals, and taking effects back."""

from __future__ import annotations

import asyncio
from uuid import UUID

from support.engine import (
    ACTOR,
    FAST,
    ScriptedTool,
    cancel,
    compiled,
    ended,
    eventually,
    journal,
    running,
    send,
    start,
    until,
    unwinding,
    waits_for,
)

from signoff.core.errors import StepError
from signoff.core.ids import uuid7
from signoff.foundation.database import Database
from signoff.runtime import store
from signoff.runtime.events import Event
from signoff.runtime.handlers import Approval, Done, Effect, Message, StepCall, Waiting
from signoff.runtime.state import RunState, fold

REVIEW = "0198c5a0-0000-7000-8000-000000000001"


async def state_of(database: Database, run_id: UUID) -> RunState:
    return fold(Event(e.seq, e.kind, e.recorded_at, e.data) for e in await journal(database, run_id))


class Reviewer(ScriptedTool):
    """The verb `review`: approved at once, under the id that the test names."""

    def __init__(self, review_id: str) -> None:
        super().__init__({}, verb="review")
        self._review_id = review_id

    async def execute(self, call: StepCall) -> Done | Waiting:
        self.calls.append(call)
        approval = Approval(call.path, self._review_id, "d" * 64, "user/ana", "approved")
        return Done({"n": 1}, result="approved", approval=approval)

    def effect(self, call: StepCall) -> Effect | None:
        return None

    async def permit(self, call: StepCall) -> None:
        """Nothing is forbidden."""


APPROVED = """
steps:
  ok: {review: Pay?, by: role/lead, propose: {n: 1}}
  pay: {requires: ok, tool: pay, with: {}, retry: {times: 1, delay: 10ms, backoff: 1}}
outcome: {paid: pay.done}
"""


async def test_an_approval_and_the_intent_that_consumes_it_are_written_together(database: Database):
    flow = compiled("approved", APPROVED, pay=True)
    seen: list[list[str]] = []

    async def pay(call: StepCall) -> Done:
        seen.append([event.kind for event in await journal(database, call.run.run_id)])
        return Done({})

    async with running(
        database, [flow], ScriptedTool({"pay": pay}, {"pay": Effect("resend")}), others=[Reviewer(REVIEW)]
    ):
        summary = await ended(database, await start(database, flow, {}))
    assert summary.outcome == "paid"
    assert seen[0][-1] == "effect.intended"  # on the disk before the call
    events = await journal(database, summary.run_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    async with database.worker_connection() as connection:
        used = await connection.fetchrow(
            "SELECT run_id, path, seq, effect_digest FROM approval_use WHERE review_id = $1", REVIEW
        )
    intended = next(event for event in events if event.kind == "effect.intended")
    assert used is not None
    assert tuple(used) == (summary.run_id, "pay", intended.seq, intended.data["digest"])


async def test_an_approval_permits_one_effect_only(database: Database):
    flow = compiled("approved", APPROVED, pay=True)
    tool = ScriptedTool({"pay": lambda call: Done({})}, {"pay": Effect("resend")})
    async with running(database, [flow], tool, others=[Reviewer(REVIEW)]):
        runs = [await start(database, flow, {}) for _ in range(2)]
        summaries = [await ended(database, run_id) for run_id in runs]
    assert sorted(summary.status for summary in summaries) == ["done", "failed"]
    failed = next(summary for summary in summaries if summary.status == "failed")
    assert failed.error is not None
    assert failed.error["kind"] == "approval_used"
    assert len(tool.calls) == 1


async def test_an_approval_serves_every_try_of_its_effect(database: Database):
    flow = compiled("approved", APPROVED, pay=True)

    def second_time(call: StepCall) -> Done:
        if call.attempt == 1:
            raise StepError("busy", kind="http_503", retryable=True)
        return Done({})

    tool = ScriptedTool({"pay": second_time}, {"pay": Effect("resend")})
    async with running(database, [flow], tool, others=[Reviewer(REVIEW)]):
        assert (await ended(database, await start(database, flow, {}))).outcome == "paid"


async def test_an_approval_serves_no_other_call_of_its_own_step(database: Database):
    use = (REVIEW, ACTOR.org_id, uuid7(), "pay", 7, "d" * 64)
    async with database.worker_transaction() as connection:
        assert await store.use_approvals(connection, [(*use, "a" * 64)])
        assert await store.use_approvals(connection, [(*use, "a" * 64)])  # the same call, after a crash
        assert not await store.use_approvals(connection, [(*use, "b" * 64)])


UNDOABLE = """
steps:
  pay: {tool: pay, with: {n: "${input.n}"}, once: "pay/${input.n}", undo: {tool: reverse, with: {}}}
  next: {requires: [pay], tool: next, with: {}}
outcome: {ok: next.done}
"""


async def test_after_an_undo_the_same_business_key_acts_again(database: Database):
    flow = compiled("undoable", UNDOABLE, pay=True, reverse=True, next=False)
    broken = True

    def following(call: StepCall) -> Done:
        if broken:
            raise StepError("broken", kind="broken")
        return Done({})

    effects = {"pay": Effect("resend"), "reverse": Effect("resend")}
    tool = ScriptedTool({"pay": lambda call: Done({}), "reverse": lambda call: Done({}), "next": following}, effects)
    async with running(database, [flow], tool):
        first = [await start(database, flow, {"n": 1}) for _ in range(2)]  # they share one effect by its key
        for run_id in first:
            assert (await ended(database, run_id)).status == "failed"
        broken = False
        assert (await ended(database, await start(database, flow, {"n": 1}))).outcome == "ok"
    keys = [call.idempotency_key for call in tool.calls if call.step.target == "pay"]
    assert keys[-1] not in keys[:-1]
    undone = [call.idempotency_key for call in tool.calls if call.step.target == "reverse"]
    assert undone == [f"undo/{key}" for key in undone_order(tool)]


def undone_order(tool: ScriptedTool) -> list[str | None]:
    """The keys of the effects that were undone, in the order of their compensations."""
    paid = {call.run.run_id: call.idempotency_key for call in tool.calls if call.step.target == "pay"}
    return [paid[call.run.run_id] for call in tool.calls if call.step.target == "reverse"]


async def test_a_compensation_that_fails_waits_for_a_person(database: Database):
    flow = compiled("stubborn", UNDOABLE, pay=True, reverse=True, next=False)

    def fail(call: StepCall) -> Done:
        raise StepError("no", kind="refused")

    effects = {"pay": Effect("resend"), "reverse": Effect("resend")}
    tool = ScriptedTool({"pay": lambda call: Done({}), "reverse": fail, "next": fail}, effects)
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {"n": 1})
        await until(database, run_id, waits_for("undo_failed"))
        await send(database, run_id, "pay/undo", {"resolution": "failed"}, "effect.resolution")
        summary = await ended(database, run_id)
    assert summary.status == "failed"
    assert (await state_of(database, run_id)).steps["pay/undo"].state.status == "bypassed"  # type: ignore[union-attr]  # it has ended


async def test_a_message_to_a_compensation_that_has_not_begun_does_not_stand_for_it(database: Database):
    flow = compiled("early_undo", UNDOABLE, pay=True, reverse=True, next=False)
    gate = asyncio.Event()

    async def following(call: StepCall) -> Done:
        await gate.wait()
        raise StepError("broken", kind="broken")

    async def all_received() -> bool:
        return sum(event.kind == "message.received" for event in await journal(database, run_id)) == 3

    effects = {"pay": Effect("resend"), "reverse": Effect("resend")}
    tool = ScriptedTool({"pay": lambda call: Done({}), "reverse": lambda call: Done({}), "next": following}, effects)
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {"n": 1})
        for path in ("pay/undo", "pay/whatever", "nobody"):
            await send(database, run_id, path, {"resolution": "failed"}, "effect.resolution")
        await eventually(lambda: any(call.path == "next" for call in tool.calls))
        await eventually(all_received)
        gate.set()
        assert (await ended(database, run_id)).status == "failed"
    assert [call.path for call in tool.calls][-1] == "pay/undo"
    received = [event.data["disposition"] for event in await journal(database, run_id) if event.kind.startswith("mes")]
    assert received == ["unknown"] * 3


async def test_cancelling_lets_an_effect_under_way_end_and_takes_it_back(database: Database):
    flow = compiled("midway", UNDOABLE, pay=True, reverse=True, next=False)
    gate = asyncio.Event()

    async def pay(call: StepCall) -> Done:
        await gate.wait()
        return Done({})

    effects = {"pay": Effect("resend"), "reverse": Effect("resend")}
    tool = ScriptedTool({"pay": pay, "reverse": lambda call: Done({}), "next": lambda call: Done({})}, effects)
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {"n": 1})
        await eventually(lambda: bool(tool.calls))
        await cancel(database, run_id)
        await unwinding(database, run_id)
        gate.set()
        assert (await ended(database, run_id)).status == "cancelled"
    assert [call.path for call in tool.calls] == ["pay", "pay/undo"]


async def test_a_wait_whose_resumption_is_cut_off_by_cancelling_is_withdrawn_all_the_same(database: Database):
    flow = compiled("cut", "steps:\n  ask: {tool: ask, with: {}}\noutcome: {ok: ask.done}\n", ask=False)
    resuming = asyncio.Event()

    class Slow(ScriptedTool):
        async def resume(self, call: StepCall, waiting: Waiting, message: Message | None) -> Done | Waiting:
            resuming.set()
            await asyncio.Event().wait()
            raise AssertionError

    tool = Slow({"ask": lambda call: Waiting("answer")})
    async with running(database, [flow], tool):
        run_id = await start(database, flow, {})
        await until(database, run_id, waits_for("answer"))
        await send(database, run_id, "ask", {"answer": 1})
        await asyncio.wait_for(resuming.wait(), 10)
        await cancel(database, run_id)
        assert (await ended(database, run_id)).status == "cancelled"
    assert tool.withdrawn == ["ask"]


async def test_a_fallback_gives_the_output_of_what_failed(database: Database):
    flow = compiled(
        "fallback",
        "steps:\n  a: {tool: fail, with: {}, on_error: {n: 7}}\n  b: {set: {n: '${a.n + 1}'}}\noutcome: {ok: b.done}\n",
        fail=False,
    )

    def fail(call: StepCall) -> Done:
        raise StepError("no", kind="refused")

    async with running(database, [flow], ScriptedTool({"fail": fail}), FAST):
        summary = await ended(database, await start(database, flow, {}))
    assert summary.outcome == "ok"
    state = await state_of(database, summary.run_id)
    assert state.steps["a"].via == "fallback"
    assert state.ended["b"].output == {"n": 8}
