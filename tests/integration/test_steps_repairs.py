"""What still breaks its contract after repairs goes where the step says, never on; each attempt is journaled."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from support.answer_runs import HEAD, INPUT, Stage, project, staged

from signoff.core.ids import digest as sha256
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.runtime.client.history import each_event, timeline
from signoff.testing import ScriptedProvider

PROMPT = """---
name: {name}
version: 1.0.0
purpose: Adds up.
task: generate
input: {{type: object, properties: {{text: {{type: string}}}}, required: [text]}}
output:
  type: object
  properties: {{net: {{type: integer}}, total: {{type: integer}}}}
  required: [net, total]
  additionalProperties: false
rules: [{{id: sum, that: total >= net, message: The total has the net.}}]
limits: {{max_output_tokens: 10}}
{repair}
---
# user
{{{{ text }}}}
"""
MODELS = """models:
  bad: {provider: openai_compatible, base_url: "http://127.0.0.1:1", model: m, price: {input_usd: 0, output_usd: 1000}}
  good: {provider: scripted}
  learns: {provider: scripted}
routes:
  - {prompt: two, use: [bad, good]}
  - {prompt: strong, use: [good]}
  - {prompt: learns, use: [learns]}
  - {task: generate, use: [bad]}
"""
BROKEN: dict[str, Any] = {"net": 5, "total": 4}
GOOD: dict[str, Any] = {"net": 5, "total": 6}
CALL = 'ai: {prompt}@^1, with: {{text: "${{input.text}}"}}'


def workflow(prompt: str, rest: str = "", *, after: str = 'set: {net: "${sums.net}"}', limit: str = "1 USD") -> str:
    """A step `sums` of that prompt, and one that goes on from it."""
    given = INPUT.replace("1 USD", limit)
    steps = f"""steps:
  sums:
    ai: {prompt}@^1
    with: {{text: "${{input.text}}"}}
{rest}  next: {{{after}}}
outcome:
  answered: next.done
  unanswered: sums.result == 'failed'
"""
    return HEAD.replace("desk/reply", f"desk/{sha256((prompt + rest + limit).encode())[:8]}") + given + steps


def on_error(steps: str, give: str) -> str:
    return f"    on_error:\n      steps: {{{steps}}}\n      give: {give}\n"


FAILS = workflow("alone")
NEXT_MODEL = workflow("two")
CONTINUES = workflow("alone", "    on_error: continue\n")
STRONGER = workflow(
    "alone",
    on_error(f"again: {{{CALL.format(prompt='strong')}}}", '{net: "${again.net}", total: "${again.total}"}'),
)
PERSON = workflow(
    "alone",
    on_error(
        "look: {review: What is it?, by: role/lead, propose: {net: 0, total: 0}, editable: [net, total],"
        " show: [input.text, error.detail]}",
        '{net: "${look.net}", total: "${look.total}"}',
    ),
)
LEARNS = workflow("learns")
BOUNDED = workflow("bounded")
POOR = workflow("alone", limit="0.018 USD")
ALL = (FAILS, NEXT_MODEL, CONTINUES, STRONGER, PERSON, LEARNS, BOUNDED, POOR)


def files() -> dict[str, str]:
    made = project("steps: {x: {set: {a: 1}}}\noutcome: {x: x.done}\n")
    prompts = {
        f"prompts/{name}.md": PROMPT.format(name=name, repair=repair)
        for name, repair in (
            ("alone", ""),
            ("two", "repair: {attempts: 1}"),
            ("strong", ""),
            ("learns", ""),
            ("bounded", "repair: {attempts: 5, cost: 0.012 USD}"),
        )
    }
    workflows = {f"workflows/{place}.yaml": text for place, text in enumerate(ALL)}
    return {**made, **prompts, **workflows, "models.yaml": MODELS}


async def run(stage: Stage, text: str, *, decide: dict[str, int] | None = None) -> tuple[UUID, str, str | None]:
    name = text.split("\n", maxsplit=1)[0].removeprefix("workflow: ")
    run_id = await stage.start({"text": "5 and 1"}, name)
    if decide is not None:
        await stage.decided(run_id, values=decide)
    status, outcome = await stage.ended(run_id)
    return run_id, status, outcome


async def calls(stage: Stage, run_id: UUID) -> list[tuple[str, int, str, tuple[str, ...]]]:
    """Each attempt as journaled: the model, which repair it was, what came of it, what it broke."""
    return [
        (fact["model"], fact.get("repair", 0), fact["outcome"], tuple(fact.get("broken", ())))
        for fact in await stage.facts(run_id, "model.call")
    ]


def broken(model: str, *repairs: int) -> list[tuple[str, int, str, tuple[str, ...]]]:
    return [(model, repair, "contract", ("rule:sum",)) for repair in repairs]


@pytest.fixture
def models() -> dict[str, ScriptedProvider]:
    return {
        "bad": ScriptedProvider([BROKEN], repeat=True, name="openai_compatible", local=False, input_tokens=0),
        "good": ScriptedProvider([GOOD], repeat=True),
        "learns": ScriptedProvider([BROKEN, BROKEN, GOOD]),
    }


async def test_what_fails_after_repairs_goes_where_the_step_says(
    database: Database, models: dict[str, ScriptedProvider]
) -> None:
    async with staged(database, files(), models) as stage:
        fails, *ended = await run(stage, FAILS)
        assert ended == ["failed", None]
        assert (await stage.step(fails, "sums"))["error"]["kind"] == "model_contract"
        assert await calls(stage, fails) == broken("bad", 0, 1, 2)
        assert (await stage.step(fails, "next"))["status"] == "cancelled", "a wrong answer never goes on"

        following, *ended = await run(stage, NEXT_MODEL)
        assert ended == ["done", "answered"]
        assert await calls(stage, following) == [*broken("bad", 0, 1), ("good", 0, "ok", ())]
        assert (await stage.step(following, "next"))["output"] == {"net": 5}

        continues, *ended = await run(stage, CONTINUES)
        assert ended == ["done", "unanswered"]
        assert (await stage.step(continues, "next"))["status"] == "blocked"

        stronger, *ended = await run(stage, STRONGER)
        assert ended == ["done", "answered"]
        assert (await stage.step(stronger, "sums"))["via"] == "fallback"
        assert await calls(stage, stronger) == [*broken("bad", 0, 1, 2), ("good", 0, "ok", ())]

        person, *ended = await run(stage, PERSON, decide={"net": 7, "total": 8})
        assert ended == ["done", "answered"]
        assert (await stage.step(person, "next"))["output"] == {"net": 7}
        assert await calls(stage, person) == broken("bad", 0, 1, 2)

        learns, *ended = await run(stage, LEARNS)
        assert ended == ["done", "answered"]
        assert await calls(stage, learns) == [*broken("learns", 0, 1), ("learns", 2, "ok", ())]
        told = "\n".join(message.content for message in models["learns"].requests[-1].messages)
        assert told.count("The total has the net.") == 1, "a model is told what its latest answer broke"


async def test_repairs_stay_within_their_own_money_and_the_runs(
    database: Database, models: dict[str, ScriptedProvider]
) -> None:
    """A call may cost 0.010 USD and costs 0.005: what may cost more than is left is not begun."""
    async with staged(database, files(), models) as stage:
        bounded, *ended = await run(stage, BOUNDED)
        assert ended == ["failed", None]
        error = (await stage.step(bounded, "sums"))["error"]
        assert (error["kind"], "0.007000 USD is left for repairs" in error["detail"]) == ("model_contract", True)
        assert await calls(stage, bounded) == broken("bad", 0, 1)

        poor, *ended = await run(stage, POOR)
        assert ended == ["failed", None]
        assert (await stage.step(poor, "sums"))["error"]["kind"] == "budget"
        assert await calls(stage, poor) == broken("bad", 0, 1)
        spent = [fact["usage"]["cost_micro_usd"] for fact in await stage.facts(poor, "model.call")]
        assert spent == [5_000, 5_000]


async def test_each_attempt_stands_in_the_runs_timeline(
    database: Database, models: dict[str, ScriptedProvider]
) -> None:
    async with staged(database, files(), models) as stage:
        run_id, *_ = await run(stage, NEXT_MODEL)
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            events = [event async for event in each_event(connection, DEFAULT_ORG_ID, run_id)]
        causes = [event.cause for event in timeline(events).events if "model.call" in event.cause]
        assert causes == [
            "sums: model.call (bad, contract)",
            "sums: model.call (repair 1, bad, contract)",
            "sums: model.call (good, ok)",
        ]
