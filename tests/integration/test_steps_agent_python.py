"""`ctx.agent` and `ctx.plan` on a worker: the handlers of documents, held at run time to what no check has proven."""

from __future__ import annotations

import json
from pathlib import Path

from support.agent_cases import VALUE, Talking, answers, calls, files, noted
from support.answer_runs import staged

from signoff.capabilities.gateway import ProviderRequest
from signoff.foundation.database import Database
from signoff.testing import ScriptedProvider

HEAD = """from signoff.workflows.python import Context, StepFailed, workflow

SCHEMA = None


@workflow("desk/NAME", version="1.0.0", input={
    "type": "object",
    "properties": {"text": {"type": "string"}, "order": {"type": "string", "x-signoff": {"trust": "trusted"}}},
    "required": ["text", "order"],
}, limits={"cost": "1 USD"}, outcomes=["settled"])
async def NAME(ctx: Context, input):
    TOOLS = ["shop.get_order", {"tool": "pay.refund", "with": {"order": input["order"]}}]
"""
AGENT = """    said = await ctx.agent("settle@^1", {"text": input["text"]}, tools=TOOLS, max_turns=4, name="settle")
    await ctx.emit("desk.settled.v1", {"said": said["summary"]}, requires=[said])
    return ctx.outcome("settled")
"""
OPEN = """    refund = "pay" + ".refund"
    await ctx.agent("settle@^1", {"text": input["text"]}, tools=[refund], name="settle")
    return ctx.outcome("settled")
"""
PLAN = """    done = await ctx.plan("settle@^1", {"text": input["text"]}, tools=TOOLS, by="role/lead", name="settle")
    return ctx.outcome("settled", {"made": [one["tool"] for one in done["results"]]})
"""


def code(name: str, body: str) -> dict[str, str]:
    return {f"workflows/{name}.py": HEAD.replace("NAME", name) + body}


async def test_an_agent_of_the_code_is_held_as_one_of_a_document(database: Database, tmp_path: Path) -> None:
    log = tmp_path / "log"
    model = Talking(
        {
            "broken": [
                calls(("shop_get_order", {"id": "o-1"})),
                calls(("pay_refund", {"cents": 400}), ("pay_refund", {"cents": 900}), ("pay_refund", {"cents": 9000})),
                answers(summary="Paid back."),
            ],
            "open": [answers(summary="It is never asked.")],
        }
    )
    made = files(log, **code("agent", AGENT), **code("open", OPEN))
    async with staged(database, made, {"clever": model}) as stage:
        paid = await stage.start({**VALUE, "text": "broken"}, "desk/agent")
        assert await stage.ended(paid) == ("done", "settled")
        assert [(name, given.get("order"), given.get("cents")) for name, given in noted(log)] == [
            ("get_order", None, None),
            ("refund", "o-7", 400),
        ]
        ended = [event.data for event in await stage.events(paid) if event.kind == "step.ended"]
        assert [(one["step"], one.get("error", {}).get("kind")) for one in ended] == [
            ("settle[0]/turn", None),
            ("settle[0]/calls[0]/call_shop_get_order", None),
            ("settle[1]/turn", None),
            ("settle[1]/calls[0]/call_pay_refund", None),
            ("settle[1]/calls[1]/call_pay_refund", "quota"),
            ("settle[2]/turn", None),
            ("emit_2", None),
        ], "the third call breaks its schema: it is refused, and told with the others"
        assert {one["labels"]["trust"] for one in ended} == {"untrusted"}
        [first, *_] = model.of("broken")
        assert {tool.name: set(tool.parameters["properties"]) for tool in first.tools} == {
            "shop_get_order": {"id", "note"},
            "pay_refund": {"cents"},
        }

        refused = await stage.start({**VALUE, "text": "open"}, "desk/open")
        assert await stage.ended(refused) == ("failed", None)
        error = (await stage.step(refused, "settle[0]/turn"))["error"]
        assert (error["kind"], "'order' of 'pay.refund'" in error["detail"]) == ("flow", True)
        assert model.of("open") == []


async def test_a_plan_of_the_code_waits_for_its_approval(database: Database, tmp_path: Path) -> None:
    log = tmp_path / "log"
    steps = [
        {"tool": "shop_get_order", "arguments": {"id": "o-1"}},
        {"tool": "pay_refund", "arguments": {"cents": {"result_of": 0, "field": "cents"}}},
    ]

    def plan(request: ProviderRequest) -> str:
        return json.dumps({"summary": "As planned.", "steps": steps})

    async with staged(database, files(log, **code("plan", PLAN)), {"clever": ScriptedProvider([plan])}) as stage:
        run_id = await stage.start({**VALUE, "text": "two calls"}, "desk/plan")
        await stage.decided(run_id)
        assert await stage.ended(run_id) == ("done", "settled")
        assert [(name, given.get("cents")) for name, given in noted(log)] == [("get_order", None), ("refund", 500)]
        assert (await stage.step(run_id, "settle[0]/approval"))["result"] == "approved"
