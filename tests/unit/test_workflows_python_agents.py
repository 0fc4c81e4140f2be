"""`ctx.agent` and `ctx.plan`: the steps that documents make of them, asked for again exactly as they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from signoff.catalog.projects import load_project_files
from signoff.core.errors import DefinitionError, StepError
from signoff.core.labels import BOTTOM
from signoff.workflows.python import Context, RunOutcome, StepFailed
from signoff.workflows.python.driver import Driver
from signoff.workflows.semantics import StepState

START = datetime(2026, 3, 1, tzinfo=UTC)


def key(given: Mapping[str, Any]) -> str:
    return f"{given['order']}/{given['cents']}"


TOOLS: list[Any] = [
    "shop.get_order",
    {"tool": "pay.refund", "with": {"order": "o-7"}, "once": key},
    {"retrieve": "refund-policy", "top": 3},
]
End = Mapping[str, Any] | str
"""What a step gives; a text is the kind of its failure."""


def calls(*chosen: tuple[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    made = [{"id": f"c{at}", "tool": tool, "arguments": arguments} for at, (tool, arguments) in enumerate(chosen)]
    return {"said": [], "calls": made, "refused": [], "output": None, "over": False}


def answer(**output: Any) -> Mapping[str, Any]:
    return {"said": [], "calls": [], "refused": [], "output": output, "over": True}


TURNS: Mapping[str, End] = {
    "settle[0]/turn": calls(("shop_get_order", {"id": "o-1"}), ("pay_refund", {"cents": 5})),
    "settle[0]/calls[0]/call_shop_get_order": {"id": "o-1", "cents": 500},
    "settle[0]/calls[1]/call_pay_refund": "quota",
    "settle[1]/turn": calls(("refund-policy", {"query": "late"})),
    "settle[1]/calls[0]/call_refund_policy": {"hits": []},
    "settle[2]/turn": answer(summary="Done."),
    "close": {},
}


async def settles(ctx: Context, value: dict[str, Any]) -> RunOutcome:
    said = await ctx.agent("settle@^1", {"text": value["text"]}, tools=TOOLS, max_turns=3, name="settle")
    await ctx.tool("shop.close", {"said": said["summary"]}, name="close", requires=[said])
    return ctx.outcome("ok", dict(said))


async def plans(ctx: Context, value: dict[str, Any]) -> RunOutcome:
    done = await ctx.plan(
        "settle@^1", {"text": value["text"]}, tools=TOOLS, by="role/lead", expire="2d", timeout="1h", name="settle"
    )
    return ctx.outcome("ok", dict(done))


PLAN: Mapping[str, End] = {
    "settle[0]/write": {
        "because": "late",
        "steps": [
            {"tool": "shop_get_order", "arguments": {"id": "o-1"}},
            {"tool": "pay_refund", "arguments": {"cents": {"result_of": 0, "field": "cents"}}},
        ],
    },
    "settle[0]/approval": {"decided_by": "user/ana"},
    "settle[0]/steps[0]/call_shop_get_order": {"id": "o-1", "cents": 500},
    "settle[0]/steps[1]/call_pay_refund": {"id": "r-1"},
}


def driver(function: Any) -> Driver:
    made = Driver(
        function,
        run_id=UUID(int=7),
        input_value={"text": "It is broken."},
        started_at=START,
        labels=BOTTOM,
        outcomes=frozenset({"ok"}),
    )
    made.start()
    return made


def deliver(made: Driver, path: str, end: End, *, minutes: int = 0, result: str = "done") -> None:
    review = path.endswith("/approval")
    if isinstance(end, str):
        state, error = StepState("failed", "failed"), {"kind": end, "detail": "it broke"}
    else:
        named = "approved" if review and result == "done" else result
        readable = named in ("done", "approved")
        state, error = StepState("done", named, end, readable=readable, is_review=review), None
    made.deliver(path, state, error, at=START + timedelta(minutes=minutes))


def played(function: Any, ends: Mapping[str, End]) -> tuple[Driver, list[str]]:
    """A run to its end, and its paths in the order in which they were asked for."""
    made = driver(function)
    while made.finished is None:
        [path] = [path for path in made.issued if made.waits_for(path)]
        deliver(made, path, ends[path])
    return made, list(made.issued)


def told(made: Driver) -> Sequence[Any]:
    return [(one.path, one.step.verb, one.step.target, one.arguments) for one in made.issued.values()]


def test_an_agent_asks_for_the_steps_that_a_document_makes_of_it() -> None:
    made, paths = played(settles, TURNS)
    assert paths == list(TURNS)
    assert str(made.finished) == str(RunOutcome("ok", {"summary": "Done."}))
    first, third = made.issued["settle[0]/turn"], made.issued["settle[2]/turn"]
    assert (first.step.name, first.step.verb, first.step.target) == ("turn", "ai", "settle@^1")
    assert first.arguments == {"with": {"text": "It is broken."}, "last": {}}
    assert first.step.settings["tools"] == {
        "shop_get_order": {"tool": "shop.get_order", "fixed": []},
        "pay_refund": {"tool": "pay.refund", "fixed": ["order"]},
        "refund-policy": {"retrieve": "refund-policy", "fixed": []},
    }
    assert {key: first.step.settings[key] for key in ("max_turns", "max_calls", "max_errors")} == {
        "max_turns": 3,
        "max_calls": 20,
        "max_errors": 3,
    }
    second = made.issued["settle[1]/turn"].arguments["last"]
    assert second["results"] == [{"tool": "shop_get_order", "output": {"id": "o-1", "cents": 500}}, None]
    assert second["failed"] == [{"index": 1, "error": {"kind": "quota", "detail": "it broke"}}]
    paid = made.issued["settle[0]/calls[1]/call_pay_refund"]
    assert paid.arguments == {"with": {"cents": 5, "order": "o-7"}}, "what the author fixed is not the model's"
    assert paid.step.once is not None
    assert paid.step.once.source == "o-7/5"
    looked = made.issued["settle[1]/calls[0]/call_refund_policy"]
    assert (looked.step.verb, looked.arguments, looked.step.settings) == ("retrieve", {"query": "late"}, {"top": 3})
    assert third.place.file.endswith("test_workflows_python_agents.py")
    assert made.issued["close"].step.requires == ("settle[2]/turn",)


def test_a_plan_is_approved_and_made_call_by_call() -> None:
    made, paths = played(plans, PLAN)
    assert paths == list(PLAN)
    results = [
        {"tool": "shop_get_order", "output": {"id": "o-1", "cents": 500}},
        {"tool": "pay_refund", "output": {"id": "r-1"}},
    ]
    assert made.finished == RunOutcome("ok", {"because": "late", "results": results})
    assert made.issued["settle[0]/steps[1]/call_pay_refund"].arguments == {"with": {"cents": 500, "order": "o-7"}}
    approval = made.issued["settle[0]/approval"]
    assert approval.arguments["show"] == {"write.steps": PLAN["settle[0]/write"]["steps"]}  # pyright: ignore[reportArgumentType, reportIndexIssue]  (not a text)
    assert approval.step.settings == {"by": "role/lead", "editable": (), "expire": 172_800.0}


@pytest.mark.parametrize(("function", "ends"), [(settles, TURNS), (plans, PLAN)])
def test_a_run_comes_back_to_where_it_was(function: Any, ends: Mapping[str, End]) -> None:
    live = driver(function)
    for length, path in enumerate(ends):
        again = driver(function)
        for earlier in list(ends)[:length]:
            deliver(again, earlier, ends[earlier])
        assert told(again) == told(live)
        assert again.waits_for(path)
        deliver(live, path, ends[path])


def test_what_is_not_approved_blocks_and_nothing_of_it_is_done() -> None:
    made = driver(plans)
    deliver(made, "settle[0]/write", PLAN["settle[0]/write"])
    deliver(made, "settle[0]/approval", {}, result="rejected")
    assert isinstance(made.finished, StepError)
    assert made.finished.kind == "blocked"
    assert list(made.issued) == ["settle[0]/write", "settle[0]/approval"]


def test_a_call_of_a_plan_that_fails_ends_it() -> None:
    made, _ = played(plans, {**PLAN, "settle[0]/steps[0]/call_shop_get_order": "not_found"})
    assert isinstance(made.finished, StepError)
    assert made.finished.kind == "not_found"


def test_the_time_of_a_plan_is_looked_at_before_each_call() -> None:
    made = driver(plans)
    deliver(made, "settle[0]/write", PLAN["settle[0]/write"])
    deliver(made, "settle[0]/approval", PLAN["settle[0]/approval"], minutes=61)
    assert isinstance(made.finished, StepError)
    assert made.finished.kind == "timeout"


def test_an_agent_that_never_answers_fails_and_can_be_caught() -> None:
    async def tries(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        try:
            await ctx.agent("settle@^1", {}, tools=["t"], max_turns=2, name="a")
        except StepFailed as failure:
            return ctx.outcome("ok", {"kind": failure.kind})
        return ctx.outcome("ok", {})

    made, paths = played(tries, {"a[0]/turn": calls(), "a[1]/turn": calls()})
    assert (made.finished, paths) == (RunOutcome("ok", {"kind": "max_reached"}), ["a[0]/turn", "a[1]/turn"])


def test_agents_stand_beside_each_other_each_in_a_scope_of_its_own() -> None:
    async def both(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        one, two = await ctx.gather(ctx.agent("p", tools=["t"], name="a"), ctx.agent("p", tools=["t"]))
        again = await ctx.agent("p", tools=["t"], name="a")
        return ctx.outcome("ok", {"all": [one["n"], two["n"], again["n"]]})

    made = driver(both)
    paths = ["gather_1[0]/a[0]/turn", "gather_1[1]/agent_1[0]/turn"]
    assert list(made.issued) == paths
    for number, path in reversed(list(enumerate(paths))):
        deliver(made, path, answer(n=number))
    deliver(made, "a[0]/turn", answer(n=2))
    assert made.finished == RunOutcome("ok", {"all": [0, 1, 2]})


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"tools": []}, "tools is a list"),
    ({"tools": "shop.x"}, "tools is a list"),
    ({"tools": ["a.b", "a_b"]}, "listed twice"),
    ({"tools": [{"tool": "a", "when": True}]}, "has no 'when'"),
    ({"tools": [{"with": {}}]}, "names one"),
    ({"tools": [{"tool": "a", "once": "same"}]}, "each call has its own"),
    ({"tools": [{"retrieve": "a", "top": 0}]}, "top is a whole number"),
    ({"tools": [f"t{number}" for number in range(65)]}, "at most 64"),
    ({"tools": ["a"], "max_turns": 0}, "max_turns is a whole number from 1 to 100"),
]


@pytest.mark.parametrize(("given", "says"), REFUSED)
def test_what_cannot_be_offered_is_refused_where_it_stands(given: dict[str, Any], says: str) -> None:
    async def asks(ctx: Context, value: dict[str, Any]) -> RunOutcome:
        await ctx.agent("p", {}, **given)
        return ctx.outcome("ok")

    made = driver(asks)
    assert isinstance(made.finished, StepError)
    assert says in made.finished.detail


CODE = """from signoff.workflows.python import Context, workflow

@workflow("test/a", version="1.0.0", input={"type": "object"}, outcomes=["ok"])
async def a(ctx: Context, input):
    LINE
    return ctx.outcome("ok")
"""
FILES = {
    "signoff.yaml": "project: test\nroles: [lead]\n",
    "models.yaml": "models:\n  m: {provider: scripted}\nroutes:\n  - {task: generate, use: [m]}\n",
    "prompts/settle.md": "---\nname: settle\nversion: 1.0.0\npurpose: x\ntask: generate\n"
    "input: {type: object, properties: {}}\noutput: {type: object, properties: {a: {type: string}}}\n"
    "---\n# user\nGo.\n",
    "tools/pay.yaml": "tool: pay\nabout: Pays.\neffect: none\nhttp: {method: GET, url: 'https://example.com'}\n"
    "input:\n  type: object\n  properties:\n    to: {type: string, x-signoff: {sink: trusted}}\n"
    "    n: {type: integer}\noutput: {type: object}\n",
}


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("await ctx.agent('setle@^1', tools=[{'tool': 'pay', 'with': {'to': 'x'}}])", "unknown-name", "no prompt"),
        ("await ctx.agent('settle@^1')", "missing-key", "'tools' is missing"),
        ("await ctx.agent('settle@^1', tools=['pai'])", "unknown-name", "There is no tool named 'pai'."),
        ("await ctx.plan('settle@^1', tools=[{'retrieve': 'docs'}])", "unknown-name", "no index named 'docs'"),
        ("await ctx.agent('settle@^1', tools=['pay'])", "flow-argument", "A model chooses 'to' of 'pay'"),
        (
            "await ctx.agent('settle@^1', tools=[{'tool': 'pay', 'with': {'to': 'x'}, 'unless': 1}])",
            "unknown-key",
            "no 'unless'",
        ),
        (
            "await ctx.plan('settle@^1', tools=[{'tool': 'pay', 'with': {'to': 'x'}}], max_steps=0)",
            "value",
            "max_steps is a whole number from 1 to 100",
        ),
        ("await ctx.plan('settle@^1', tools=[{'tool': 'pay', 'with': {'to': 'x'}}], by='lead')", "value", "role/"),
    ],
)
def test_what_is_offered_must_be_there_before_anything_runs(line: str, code: str, says: str) -> None:
    with pytest.raises(DefinitionError) as raised:
        load_project_files({name: text.encode() for name, text in files(line).items()})
    [problem] = raised.value.problems
    assert (problem.code, problem.line, problem.file) == (code, 5, "workflows/a.py")
    assert says in problem.detail


def files(line: str) -> Mapping[str, str]:
    return {**FILES, "workflows/a.py": CODE.replace("LINE", line)}


def test_what_is_fixed_is_the_authors() -> None:
    line = "await ctx.agent('settle@^1', tools=[{'tool': 'pay', 'with': {'to': input['to']}}])"
    load_project_files({name: text.encode() for name, text in files(line).items()})
