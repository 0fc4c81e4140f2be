"""A model that chooses tools inside its bounds: what it is told, what is done, and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from support.agent_cases import VALUE, Talking, answers, calls, files, noted
from support.answer_runs import POLICY, Stage, staged

from signoff.capabilities.gateway.chat import ChatRequest, ToolResultPart
from signoff.foundation.database import Database

DONE = answers(summary="Done.")
LOOK = calls(("shop_get_order", {"id": "o-1"}))
BOUNDS = "    max_turns: 4\n    max_calls: 3\n    max_errors: 1\n"
RESTRICTED = POLICY + (
    '@id("no-large") forbid (principal, action == Action::"tool.call", resource == Tool::"pay.refund")'
    " when { context.arguments.cents > 800 };\n"
)


def results(request: ChatRequest) -> list[tuple[str, Any, bool]]:
    """What a request tells the model of its calls."""
    parts = [part for message in request.messages for part in message.parts if isinstance(part, ToolResultPart)]
    return [(part.name, json.loads(part.content), part.is_error) for part in parts]


def refused(request: ChatRequest) -> list[str]:
    """The kinds of the errors that a request tells."""
    return [content["error"] for _, content, is_error in results(request) if is_error]


async def run(stage: Stage, text: str, order: str = "o-7") -> tuple[UUID, tuple[str, str | None]]:
    run_id = await stage.start({**VALUE, "text": text, "order": order})
    ended = await stage.ended(run_id)
    for event in await stage.events(run_id):
        print(event.seq, event.kind, dict(event.data))  # pytest shows it where a test fails
    return run_id, ended


async def test_an_agent_calls_tools_and_ends_with_an_answer(database: Database, tmp_path: Path) -> None:
    log = tmp_path / "log"
    model = Talking(
        {
            "broken": [
                calls(("shop_get_order", {"id": "o-1"}), text="Let me look."),
                calls(("pay_refund", {"cents": 400}), ("shop_get_order", {"id": "o-2", "note": "again"})),
                answers(summary="Paid back.", refunded=400),
            ],
            "chooser": [
                calls(("pay_refund", {"cents": 5, "order": "o-999"}), ("pay_refund", {"cents": 5})),
                DONE,
            ],
            "spender": [calls(("pay_refund", {"cents": 700}), ("pay_refund", {"cents": 700})), DONE],
            "forbidden": [calls(("pay_refund", {"cents": 850})), DONE],
        }
    )
    async with staged(database, files(log, policy=RESTRICTED), {"clever": model}) as stage:
        paid, ended = await run(stage, "broken")
        assert ended == ("done", "settled")
        step = await stage.step(paid, "settle")
        assert step["output"] == {"summary": "Paid back.", "refunded": 400}
        assert step["labels"]["trust"] == "untrusted"
        assert [fact["outcome"] for fact in await stage.facts(paid, "model.call")] == ["ok"] * 3
        assert [(name, given.get("order"), given.get("id"), given.get("note")) for name, given in noted(log)] == [
            ("get_order", None, "o-1", None),
            ("refund", "o-7", None, None),
            ("get_order", None, "o-2", "again"),
        ]
        first, second, third = model.of("broken")
        assert {tool.name: set(tool.parameters["properties"]) for tool in first.tools} == {
            "shop_get_order": {"id", "note"},
            "pay_refund": {"cents"},
        }, "what the author wrote is not the model's to see or to choose"
        assert results(second) == [("shop_get_order", {"id": "o-1", "cents": 500}, False)]
        assert [name for name, _, _ in results(third)] == ["shop_get_order", "pay_refund", "shop_get_order"]

        log.unlink()
        _, ended = await run(stage, "chooser", "o-8")
        assert ended == ("done", "settled")
        assert [(name, given["order"]) for name, given in noted(log)] == [("refund", "o-8")]
        assert refused(model.of("chooser")[-1]) == ["arguments"]

        log.unlink()
        _, ended = await run(stage, "spender", "o-9")
        assert ended == ("done", "settled")
        assert [given["cents"] for _, given in noted(log)] == [700]
        assert refused(model.of("spender")[-1]) == ["quota"]

        log.unlink()
        _, ended = await run(stage, "forbidden", "o-10")
        assert ended == ("done", "settled")
        assert noted(log) == []
        assert refused(model.of("forbidden")[-1]) == ["forbidden"]


async def test_an_agent_stays_within_its_bounds(database: Database, tmp_path: Path) -> None:
    log = tmp_path / "log"
    missing = calls(("shop_get_order", {"id": "none"}))
    model = Talking(
        {
            "learner": [missing, LOOK, DONE],
            "stubborn": [missing, calls(("shop_get_order", "{no json")), DONE],
            "eager": [calls(*[("shop_get_order", {"id": f"o-{place}"}) for place in range(4)]), DONE],
            "endless": [LOOK, LOOK, calls(("pay_refund", {"cents": 1})), DONE],
            "talker": ["I think so.", DONE],
            "babbler": ["I think so.", "Yes.", "Well."],
        }
    )
    async with staged(database, files(log, BOUNDS), {"clever": model}) as stage:
        _, ended = await run(stage, "learner")
        assert ended == ("done", "settled")
        assert refused(model.of("learner")[1]) == ["not_found"]

        failed, ended = await run(stage, "stubborn")
        assert ended == ("failed", None)
        assert (await stage.step(failed, "settle"))["error"]["kind"] == "agent_errors"
        assert len(model.of("stubborn")) == 2

        log.unlink()
        _, ended = await run(stage, "eager")
        assert ended == ("done", "settled")
        assert len(noted(log)) == 3
        last = model.of("eager")[-1]
        assert refused(last) == ["max_calls"]
        assert (last.tool_choice, [tool.name for tool in last.tools]) == ("none", ["shop_get_order", "pay_refund"])

        endless, ended = await run(stage, "endless")
        assert ended == ("done", "settled")
        chats = model.of("endless")
        assert [chat.tool_choice for chat in chats] == ["auto", "auto", "auto", "none"]
        assert len(await stage.facts(endless, "model.call")) == 4

        talker, ended = await run(stage, "talker")
        assert ended == ("done", "settled")
        assert [fact.get("repair", 0) for fact in await stage.facts(talker, "model.call")] == [0, 1]

        babbler, ended = await run(stage, "babbler")
        assert ended == ("failed", None)
        assert (await stage.step(babbler, "settle"))["error"]["kind"] == "model_contract"


async def test_a_turn_is_begun_only_where_the_run_can_pay_for_it(database: Database, tmp_path: Path) -> None:
    model = Talking({"costly": [LOOK, DONE]})
    model.local = False
    vendor = (
        'provider: openai_compatible, base_url: "http://127.0.0.1:1", model: m, price: {input_usd: 0, output_usd: 800}'
    )
    made = files(tmp_path / "log")
    made["models.yaml"] = made["models.yaml"].replace("provider: scripted", vendor)
    made["prompts/settle.md"] = made["prompts/settle.md"].replace(
        "repair:", "limits: {max_output_tokens: 1248}\nrepair:"
    )
    async with staged(database, made, {"clever": model}) as stage:
        failed, ended = await run(stage, "costly")
        assert ended == ("failed", None)
        assert (await stage.step(failed, "settle"))["error"]["kind"] == "budget"
        [spent] = [fact["usage"]["cost_micro_usd"] for fact in await stage.facts(failed, "model.call")]
    assert spent == 4000, (
        "the longest answer of the first turn fits into 1 USD, and that of the second does not any more"
    )
