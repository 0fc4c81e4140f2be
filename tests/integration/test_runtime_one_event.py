"""What a step with an effect begins with, who permitted it, and its intent: one event where nothing comes between."""

from __future__ import annotations

from contextvars import ContextVar

from support.engine import ScriptedTool, compiled, ended, journal, running, start

from signoff.foundation.database import Database
from signoff.runtime.client import JournalEvent
from signoff.runtime.handlers import DECISION, Done, Effect, Spending, StepCall

CHAIN = """
steps:
  first: {tool: act, with: {n: "${input.n}"}}
  second: {tool: act, with: {n: "${first.n + 1}"}}
outcome: {done: second.done}
"""
BESIDE = """
steps:
  a: {tool: act, with: {n: 1}}
  b: {tool: act, with: {n: 2}}
  c: {tool: act, with: {n: 3}}
outcome: {done: "a.done && b.done && c.done"}
"""


def act(call: StepCall) -> Done:
    return Done({"n": call.arguments["with"]["n"]})


def decide(call: StepCall) -> None:
    call.record(DECISION, {"permit": True, "about": call.path})


def told(events: list[JournalEvent], path: str) -> list[str]:
    return [event.kind for event in events if event.data.get("step") == path]


async def test_it_is_one_event_with_all_of_the_three(database: Database) -> None:
    chain = compiled("chain", CHAIN, act=True)
    tool = ScriptedTool({"act": act}, effects={"act": Effect("resend", settle_s=2.0)}, permits={"act": decide})
    async with running(database, [chain], tool):
        run_id = await start(database, chain, {"n": 1})
        assert (await ended(database, run_id)).status == "done"
    events = await journal(database, run_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    for path, number in (("first", 1), ("second", 2)):
        assert told(events, path) == ["effect.intended", "step.ended"]
        (intent,) = [event for event in events if event.kind == "effect.intended" and event.data["step"] == path]
        assert intent.data["arguments"] == {"with": {"n": number}}
        assert intent.data["decision"] == {"permit": True, "about": path}
        assert (intent.data["attempt"], intent.data["recovery"], intent.data["settle_s"]) == (1, "resend", 2.0)
        assert intent.data["key"] == f"{run_id}/{path}"
        assert intent.data["intent"].startswith(f"{intent.seq}/")
        assert {"labels", "argument_labels", "needed", "digest"} <= intent.data.keys()


async def test_each_of_several_has_its_own_decision(database: Database) -> None:
    beside = compiled("beside", BESIDE, act=True)
    tool = ScriptedTool({"act": act}, effects={"act": Effect("resend")}, permits={"act": decide})
    async with running(database, [beside], tool):
        run_id = await start(database, beside, {"n": 1})
        assert (await ended(database, run_id)).status == "done"
    events = await journal(database, run_id)
    for path in "abc":
        (decision,) = [
            event.data.get("decision") or event.data["data"]
            for event in events
            if event.data.get("step") == path and ("decision" in event.data or event.kind == "step.noted")
        ]
        assert decision["about"] == path


async def test_what_may_be_refused_is_told_apart(database: Database) -> None:
    chain = compiled("bounded", CHAIN, act=True)
    spending = Spending("act", "one", 1, 1, 60.0)
    tool = ScriptedTool({"act": act}, effects={"act": Effect("resend", spending=spending)}, permits={"act": decide})
    async with running(database, [chain], tool):
        run_id = await start(database, chain, {"n": 1})
        run = await ended(database, run_id)
    assert run.error is not None
    assert (run.error["step"], run.error["kind"]) == ("second", "quota")
    events = await journal(database, run_id)
    assert told(events, "first") == ["step.started", "step.noted", "effect.intended", "step.ended"]
    (intent,) = [event for event in events if event.kind == "effect.intended"]
    assert intent.data["intent"].startswith(f"{intent.seq}/")
    assert told(events, "second") == ["step.started", "step.noted", "step.started", "step.ended"]


async def test_a_tool_without_effect_has_its_decision_as_a_fact(database: Database) -> None:
    chain = compiled("reads", CHAIN, act=False)
    tool = ScriptedTool({"act": act}, permits={"act": decide})
    async with running(database, [chain], tool):
        run_id = await start(database, chain, {"n": 1})
        assert (await ended(database, run_id)).status == "done"
    events = await journal(database, run_id)
    assert told(events, "second") == ["step.started", "step.noted", "step.ended"]


async def test_what_a_step_sets_in_its_context_is_gone_for_the_next(database: Database) -> None:
    """Steps one after another share a task, and a tool's code may leave anything there."""
    secret: ContextVar[str] = ContextVar("secret", default="")
    seen: list[str] = []

    async def leave(call: StepCall) -> Done:
        seen.append(secret.get())
        secret.set(call.path)
        return act(call)

    chain = compiled("leaving", CHAIN, act=True)
    async with running(database, [chain], ScriptedTool({"act": leave}, effects={"act": Effect("resend")})):
        run_id = await start(database, chain, {"n": 1})
        assert (await ended(database, run_id)).status == "done"
    assert seen == ["", ""]
