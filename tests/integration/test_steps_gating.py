"""A threshold picks: go on, ask a second model, a stronger one, or a person; the calibration is journaled."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

from support.answer_runs import HEAD, INPUT, Stage, project, staged

from signoff.capabilities.validation.documents import GoldenCase, fit_document, read_document
from signoff.foundation.database import Database
from signoff.testing import ScriptedProvider

PROMPT = """---
name: {name}
version: 1.0.0
purpose: Sorts.
task: classify
input: {{type: object, properties: {{text: {{type: string}}}}, required: [text]}}
labels: {{refund: money back, other: the rest}}
confidence: {{rule: minimum, signals: [{signals}], calibration: calibrations/{name}.json{agreement}}}
---
# user
{{{{ text }}}}
"""
MODELS = """models: {small: {provider: scripted}, second: {provider: scripted}, strong: {provider: scripted}}
routes: [{prompt: careful, use: [strong]}, {task: classify, use: [small]}]
"""
STEPS = """steps:
  triage:
    ai: sort@^1
    with: {text: "${input.text}"}
  again:
    when: triage.confidence < 0.6
    ai: careful@^1
    with: {text: "${input.text}"}
  decision:
    review: What does this message want?
    needed: triage.confidence < 0.6 && again.?confidence.orValue(0.0) < 0.6
    by: role/lead
    propose: {label: "${again.?label.orValue(triage.label)}"}
    editable: [label]
    show: [input.text]
  sorted: {requires: decision, set: {label: "${decision.label}", by: "${decision.decided_by}"}}
outcome: {sorted: sorted.done}
"""


def calibration(prompt: str, signals: tuple[str, ...]) -> bytes:
    """Of a model that is right half as often as it says: 0.99 is 0.5, and agreement of two tells nothing more."""
    chance = random.Random(prompt)
    said = [chance.random() for _ in range(400)]
    cases = [GoldenCase(dict.fromkeys(signals, each), each > 0.5 or chance.random() < each / 2) for each in said]
    return fit_document(prompt, "minimum", signals, cases, prompt_version="1.0.0")[0].as_json()


SORT = calibration("sort", ("own", "agreement"))
CAREFUL = calibration("careful", ("own",))


def files() -> dict[str, Any]:
    made = project(STEPS, head=HEAD, given=INPUT)
    return {
        **made,
        "models.yaml": MODELS,
        "prompts/sort.md": PROMPT.format(
            name="sort", signals="own, agreement", agreement=", agreement: {model: second}"
        ),
        "prompts/careful.md": PROMPT.format(name="careful", signals="own", agreement=""),
        "calibrations/sort.json": SORT.decode(),
        "calibrations/careful.json": CAREFUL.decode(),
    }


def says(label: str, confidence: float) -> ScriptedProvider:
    return ScriptedProvider([{"label": label, "confidence": confidence}], repeat=True)


async def test_a_threshold_picks_to_go_on_a_second_model_a_stronger_one_or_a_person(database: Database) -> None:
    answers = {"small": says("refund", 0.9), "second": says("refund", 0.9), "strong": says("other", 0.9)}

    async def picked(stage: Stage, run_id: UUID) -> tuple[list[str], Any]:
        end = await stage.ended(run_id)
        assert end == ("done", "sorted"), [
            (one.data["step"], one.data["status"], one.data.get("error"))
            for one in await stage.events(run_id)
            if one.kind == "step.ended"
        ]
        asked = [fact["model"] for fact in await stage.facts(run_id, "model.call")]
        return asked, (await stage.step(run_id, "sorted"))["output"]

    models = dict(answers)
    async with staged(database, files(), models) as stage:
        sure = await stage.start({"text": "money back"})
        assert await picked(stage, sure) == (["small", "second"], {"label": "refund", "by": "policy"})
        [fact] = await stage.facts(sure, "answer.confidence")
        assert fact["signals"] == {"own": 0.9, "agreement": 1.0}
        assert (fact["calibration"], fact["calibration_version"]) == (
            "calibrations/sort.json",
            read_document(SORT).version,
        )
        assert fact["confidence"] == (await stage.step(sure, "triage"))["output"]["confidence"] >= 0.6

    models["second"] = says("other", 0.9)  # the second model disagrees, so the stronger one is asked
    async with staged(database, files(), models) as stage:
        unsure = await stage.start({"text": "money back"})
        assert await picked(stage, unsure) == (["small", "second", "strong"], {"label": "other", "by": "policy"})
        facts = await stage.facts(unsure, "answer.confidence")
        assert [fact["calibration_version"] for fact in facts] == [
            read_document(SORT).version,
            read_document(CAREFUL).version,
        ]
        assert facts[0]["signals"] == {"own": 0.9, "agreement": 0.0}

    models["strong"] = says("other", 0.2)  # nor is that one sure
    async with staged(database, files(), models) as stage:
        asked = await stage.start({"text": "money back"})
        await stage.decided(asked, {"label": "refund"})
        assert await picked(stage, asked) == (["small", "second", "strong"], {"label": "refund", "by": "user/ana"})
        decided = await stage.step(asked, "decision")
        assert decided["approval"]["decided_by"] == "user/ana"
