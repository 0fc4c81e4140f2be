"""A plan that a model writes: validated before anything acts, approved where somebody must, executed call by call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from support.agent_cases import VALUE, files, noted
from support.answer_runs import Stage, staged

from signoff.capabilities.gateway import ProviderRequest
from signoff.foundation.database import Database
from signoff.testing import ScriptedProvider

PLAN = """steps:
  settle:
    plan: settle@^1
    with: {text: "${input.text}"}
    tools:
      - shop.get_order
      - tool: pay.refund
        with: {order: "${input.order}"}
    max_steps: 3
EXTRA
  after: {set: {said: "${settle.summary}", made: "${settle.results.map(one, one.tool)}"}}
outcome: {settled: after.done}
"""
APPROVED = PLAN.replace("EXTRA\n", "    by: role/lead\n    expire: 1h\n")
MENDED = PLAN.replace("EXTRA\n", '    on_error: {value: {summary: "failed", results: []}}\n')
LOOK = {"tool": "shop_get_order", "arguments": {"id": "o-1"}}
PAY = {"tool": "pay_refund", "arguments": {"cents": {"result_of": 0, "field": "cents"}}}


def written(*steps: Any, summary: str = "As planned.") -> str:
    return json.dumps({"summary": summary, "steps": steps})


class Planner(ScriptedProvider):
    """Answers by the text of the request: one of its script after the other."""

    def __init__(self, scripts: dict[str, list[str]]) -> None:
        super().__init__([self._said], repeat=True)
        self._scripts = scripts
        self.asked: dict[str, list[ProviderRequest]] = {}

    def _said(self, request: ProviderRequest) -> str:
        text = next(name for name in self._scripts if any(name in one.content for one in request.messages))
        self.asked.setdefault(text, []).append(request)
        return self._scripts[text][len(self.asked[text]) - 1]


async def run(stage: Stage, text: str, workflow: str = "desk/reply", *, approve: bool = False) -> tuple[UUID, str]:
    run_id = await stage.start({**VALUE, "text": text, "order": f"o-{text}"}, workflow)
    if approve:
        await stage.decided(run_id)
    status, outcome = await stage.ended(run_id)
    for event in await stage.events(run_id):
        print(event.seq, event.kind, dict(event.data))  # pytest shows it where a test fails
    return run_id, outcome or status


async def test_a_plan_is_validated_and_then_executed(database: Database, tmp_path: Path) -> None:
    log = tmp_path / "log"
    missing = {"tool": "shop_get_order", "arguments": {"id": "none"}}
    model = Planner(
        {
            "two calls": [written(LOOK, PAY)],
            "learner": [written({"tool": "mail_send", "arguments": {}}), written(LOOK)],
            "forwards": [written(PAY, LOOK), written({"tool": "pay_refund", "arguments": {"cents": 5000}})],
            "misled": [written({"tool": "pay_refund", "arguments": {"cents": 5, "order": "o-999"}}), written(LOOK)],
            "unlucky": [written(LOOK, missing, PAY)],
            "endless": [written(LOOK, LOOK, LOOK, LOOK), written(LOOK)],
            "mended": [written(missing)],
            "approved": [written(LOOK, PAY)],
        }
    )
    more = {
        "workflows/approved.yaml": files(log, agent=APPROVED)["workflows/reply.yaml"].replace(
            "desk/reply", "desk/asks"
        ),
        "workflows/mended.yaml": files(log, agent=MENDED)["workflows/reply.yaml"].replace("desk/reply", "desk/mends"),
    }
    made = files(log, agent=PLAN.replace("EXTRA\n", ""), **more)
    async with staged(database, made, {"clever": model}) as stage:
        planned, ended = await run(stage, "two calls")
        assert ended == "settled"
        assert [(name, given.get("id"), given.get("cents")) for name, given in noted(log)] == [
            ("get_order", "o-1", None),
            ("refund", None, 500),
        ]
        assert noted(log)[1][1]["order"] == "o-two calls"
        step = await stage.step(planned, "settle")
        assert step["labels"]["trust"] == "untrusted"
        assert step["output"]["summary"] == "As planned."
        assert [one["tool"] for one in step["output"]["results"]] == ["shop_get_order", "pay_refund"]

        log.unlink()
        _, ended = await run(stage, "learner")
        assert (ended, len(model.asked["learner"]), len(noted(log))) == ("settled", 2, 1)

        log.unlink()
        failed, ended = await run(stage, "forwards")
        assert (ended, noted(log)) == ("failed", []), "nothing acts before the whole plan is sound"
        assert (await stage.step(failed, "settle"))["error"]["kind"] == "model_contract"
        broken = [fact.get("broken") for fact in await stage.facts(failed, "model.call")]
        assert broken[0] == ["plan-order"]

        _, ended = await run(stage, "misled")
        assert (ended, [name for name, _ in noted(log)]) == ("settled", ["get_order"])

        log.unlink()
        _, ended = await run(stage, "unlucky")
        assert (ended, [name for name, _ in noted(log)]) == ("failed", ["get_order", "get_order"])

        log.unlink()
        _, ended = await run(stage, "endless")
        assert (ended, len(noted(log))) == ("settled", 1)

        _, ended = await run(stage, "mended", "desk/mends")
        assert ended == "settled"

        log.unlink()
        asked, ended = await run(stage, "approved", "desk/asks", approve=True)
        assert (ended, [name for name, _ in noted(log)]) == ("settled", ["get_order", "refund"])
        review = await stage.step(asked, "settle[0]/approval")
        assert review["result"] == "approved"
