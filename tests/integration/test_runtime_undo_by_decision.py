"""A person's decision takes back what the run did: a rejection that a step asserts against unwinds the run."""

from __future__ import annotations

import pytest
from support.engine import ScriptedTool, compiled, ended, journal, running, send, start, until, waits_for

from signoff.foundation.database import Database
from signoff.runtime.handlers import Done, Effect, StepCall, Waiting

DECIDED = """
steps:
  first: {tool: pay, with: {n: 1}, undo: {tool: reverse, with: {n: 1}}}
  second: {after: first, tool: pay, with: {n: 2}, undo: {tool: reverse, with: {n: 2}}}
  keep: {after: second, review: Keep it?, by: role/lead}
  kept: {assert: keep.result == 'approved', set: {ok: true}}
outcome: {kept: kept.done}
"""


def echo(call: StepCall) -> Done:
    return Done(call.arguments["with"])


@pytest.mark.parametrize(("result", "undone"), [("rejected", [2, 1]), ("expired", [2, 1]), ("approved", [])])
async def test_a_reviewers_decision_takes_back_what_was_done_in_reverse(
    database: Database, result: str, undone: list[int]
):
    flow = compiled("decided", DECIDED, pay=True, reverse=True)
    tool = ScriptedTool({"pay": echo, "reverse": echo}, {"pay": Effect("resend"), "reverse": Effect("resend")})
    review = ScriptedTool({"Keep it?": lambda call: Waiting("review", about="Keep it?")}, verb="review")
    async with running(database, [flow], tool, others=[review]):
        run_id = await start(database, flow, {})
        await until(database, run_id, waits_for("review"))
        await send(database, run_id, "keep", {"result": result}, "review.decided")
        run = await ended(database, run_id)
    calls = [call.arguments["with"]["n"] for call in tool.calls if call.step.target == "reverse"]
    assert calls == undone
    assert (run.status, run.outcome) == (("done", "kept") if not undone else ("failed", None))
    if undone:
        assert run.error is not None
        assert (run.error["step"], run.error["kind"]) == ("kept", "assertion")
    kinds = [event.kind for event in await journal(database, run_id)]
    assert kinds.count("run.unwinding") == (1 if undone else 0)
