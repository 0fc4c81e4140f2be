"""A run's limit of cost holds over all that it calls, exactly, however many are under way at once."""

from __future__ import annotations

import pytest
from support.answer_runs import HEAD, Stage, project, staged

from signoff.capabilities.gateway.asking import Caller
from signoff.capabilities.gateway.limits import LimitLedger
from signoff.catalog.model_limits import ModelLimit
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.runtime.client import list_runs
from signoff.testing import ScriptedProvider

CENT = 10_000
MODELS = """models:
  priced: {provider: openai_compatible, model: m, base_url: "https://a.b", price: {input_usd: 0, output_usd: 1000}}
routes:
  - {task: generate, use: [priced]}
"""
PROMPT = """---
name: say
version: 1.0.0
purpose: Says something.
task: generate
input: {type: object, properties: {text: {type: string}}, required: [text]}
output: {type: object, properties: {text: {type: string}}, required: [text]}
limits: {max_output_tokens: 10}
---
# user
{{ text }}
"""
GIVEN = """input:
  type: object
  properties: {text: {type: string, x-signoff: {trust: trusted}}}
  required: [text]
"""
CHILD = (
    HEAD.replace("desk/reply", "desk/child")
    + GIVEN
    + """steps:
  say: {ai: say@^1, with: {text: "${input.text}"}}
outcome: {said: say.done}
"""
)
BETWEEN = (
    HEAD.replace("desk/reply", "desk/between")
    + GIVEN
    + """%ssteps:
  down: {call: desk/child, with: {text: "${input.text}"}}
  say: {ai: say@^1, with: {text: "${input.text}"}, on_error: continue}
outcome: {said: down.done}
"""
)
CALLS = """steps:
  each:
    for: "${['a', 'b', 'c', 'd', 'e']}"
    at_once: 5
    on_error: continue
    steps:
      one: {call: %s, with: {text: "${item}"}, on_error: continue}
    give: {result: "${one.result}"}
  say: {ai: say@^1, with: {text: "${input.text}"}, on_error: continue}
outcome: {ok: each.done}
"""


async def no_limits(_: Caller) -> tuple[ModelLimit, ...]:
    return ()


def files(called: str, *, between: str = "") -> dict[str, str]:
    return project(
        CALLS % called,
        given=GIVEN + "limits: {cost: 0.03 USD}\n",
        models_yaml=MODELS,
        prompts__say_md=PROMPT,
        workflows__child_yaml=CHILD,
        workflows__between_yaml=BETWEEN % between,
    )


async def family_cost(stage: Stage) -> int:
    """What the run cost that nobody called."""
    async with stage.database.transaction(DEFAULT_ORG_ID) as connection:
        [root] = await list_runs(connection, DEFAULT_ORG_ID, workflow="desk/reply")
    return root.usage["cost_micro_usd"]


@pytest.mark.parametrize(
    ("called", "between"),
    [("desk/child", ""), ("desk/between", ""), ("desk/between", "limits: {cost: 0.01 USD}\n")],
    ids=["child", "grandchild", "a limit of its own between"],
)
async def test_runs_called_at_once_spend_no_more_than_their_caller_may(database: Database, called: str, between: str):
    """Each had its caller's whole rest before: six calls at a cent each under a limit of three."""
    script = ScriptedProvider(['{"text": "Yes."}'], repeat=True, local=False, input_tokens=10, output_tokens=10)
    ledger = LimitLedger(database, no_limits)
    async with staged(database, files(called, between=between), {"priced": script}, limits=ledger) as stage:
        run_id = await stage.start()
        assert await stage.ended(run_id) == ("done", "ok")
        assert len(script.requests) == 3
        assert await family_cost(stage) == 3 * CENT
        results = (await stage.step(run_id, "each"))["output"]["items"]
    assert 2 <= sum(item["result"] == "done" for item in results) <= 3 or called == "desk/between"
    await ledger.aclose()


async def test_a_called_run_that_costs_nothing_needs_no_room(database: Database):
    script = ScriptedProvider(['{"text": "Yes."}'], repeat=True, output_tokens=0, input_tokens=0)
    ledger = LimitLedger(database, no_limits)
    async with staged(database, files("desk/child"), {"priced": script}, limits=ledger) as stage:
        run_id = await stage.start()
        assert await stage.ended(run_id) == ("done", "ok")
        async with database.worker_connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM model_limit_use") == 0
    assert len(script.requests) == 6
    await ledger.aclose()
