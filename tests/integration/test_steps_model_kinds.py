"""Steps that forecast, optimise, find anomalies and read pictures: real models, real worker, policy and limits."""

from __future__ import annotations

from support.answer_runs import INPUT, POLICY, project, staged
from support.kind_cases import picture

from signoff.capabilities.gateway.providers import default_factories
from signoff.core.labels import Trust
from signoff.foundation.database import Database

MODELS = """models:
  ocr: {provider: rapidocr}
  forecast: {provider: statsforecast}
  forest: {provider: isolation_forest}
  highs: {provider: highs, max_variables: 6}
routes:
  - {task: ocr, use: [ocr]}
  - {task: forecast, use: [forecast]}
  - {task: detect, use: [forest]}
  - {task: optimise, use: [highs]}
"""
STEPS = """steps:
  next: {model: forecast, with: {values: [1, 2, 3, 4, 5, 6, 7, 8, 9], horizon: 2}}
  plan:
    model: optimise
    with: {assignment: {sense: minimise, weights: [["${next.points[0].mean}", 1], [2, 5]]}}
  odd: {model: detect, with: {rows: [[1], [2], [1], [2], [1], [2], [1], [2], [1], [90]], share: 0.1}}
outcome:
  swapped: plan.status == 'optimal' && plan.pairs[0].column == 1 && odd.anomalies[0].index == 9
  other: "true"
"""
READ = """steps:
  read:
    model: ocr
    with: {content: "${input.text}"}
    on_error: {steps: {why: {set: {kind: "${error.kind}"}}}, give: {text: "${why.kind}", pages: []}}
outcome:
  read: read.text == 'Total 54.20'
  unavailable: read.text == 'model_unavailable'
  forbidden: read.text == 'forbidden'
  other: "true"
"""
TOO_LARGE = """steps:
  plan:
    model: optimise
    with: {assignment: {sense: minimise, weights: [[1, 2, 3, 4], [4, 3, 2, 1]]}}
outcome: {done: "true"}
"""
REDACTS = POLICY + '@id("redacts") @redact("iban_code") permit (principal, action == Action::"model.call", resource);'


async def test_a_run_asks_models_of_several_kinds(database: Database) -> None:
    files = {**project(STEPS), "models.yaml": MODELS}
    async with staged(database, files, factories=default_factories()) as stage:
        run = await stage.start()
        assert await stage.ended(run) == ("done", "swapped")
        calls = await stage.facts(run, "model.call")
        ended = await stage.step(run, "plan")
    assert sorted((call["task"], call["model"], call["outcome"]) for call in calls) == [
        ("detect", "forest", "ok"),
        ("forecast", "forecast", "ok"),
        ("optimise", "highs", "ok"),
    ]
    assert all(call["usage"]["cost_micro_usd"] == 0 for call in calls)
    assert ended["output"]["objective"] == 3.0
    assert Trust.UNTRUSTED.name.lower() in str(ended["labels"]).lower()


async def test_a_picture_is_read_and_kept_out_of_the_journal(database: Database) -> None:
    content = picture("Total 54.20", kind="BMP", side=240)
    files = {
        **project(READ, given=INPUT.replace("{type: string,", "{type: string, maxLength: 16000000,")),
        "models.yaml": MODELS,
    }
    async with staged(database, files, factories=default_factories()) as stage:
        run = await stage.start({"text": content})
        assert await stage.ended(run) == ("done", "read")
        events = await stage.events(run)
    journaled = str([event.data for event in events])
    assert content not in journaled


async def test_what_is_larger_than_the_model_allows_fails_the_step(database: Database) -> None:
    async with staged(database, {**project(TOO_LARGE), "models.yaml": MODELS}, factories=default_factories()) as stage:
        run = await stage.start()
        assert await stage.ended(run) == ("failed", None)
        failed = await stage.step(run, "plan")
    assert failed["error"]["kind"] == "model_unavailable"
    assert "'max_variables' allows 6" in failed["error"]["detail"]


async def test_what_policy_wants_redacted_is_not_read_from_pictures(database: Database) -> None:
    files = {**project(READ), "models.yaml": MODELS, "policies/all.cedar": REDACTS}
    async with staged(database, files, factories=default_factories()) as stage:
        run = await stage.start({"text": picture("Total 54.20")})
        assert await stage.ended(run) == ("done", "forbidden")
        [call] = await stage.facts(run, "model.call") or [{"outcome": "never made"}]
    assert call["outcome"] == "never made"
