"""From a model's answer to a step's output: confidence and filters, journaled; what is blocked goes nowhere."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from signoff.capabilities.gateway import ModelResult, ModelTask
from signoff.capabilities.validation.documents import GoldenCase, fit_document, read_document
from signoff.catalog.model import Project
from signoff.catalog.models import ModelsConfig
from signoff.catalog.projects import load_project_files
from signoff.core.errors import DefinitionError, InvalidError, StepError
from signoff.core.money import NO_USAGE
from signoff.runtime.handlers import StepCall
from signoff.steps.answers import finished

MODELS = b"models: {a: {provider: scripted}, b: {provider: scripted}}\nroutes: [{task: classify, use: [a]}]\n"
PROMPT = """---
name: sort
version: 1.0.0
purpose: Sorts.
task: classify
input: {type: object, properties: {text: {type: string}}, required: [text]}
labels: {refund: money back, other: the rest}
EXTRA
---
# user
{{ text }}
"""
CONFIDENCE = (
    "confidence: {rule: mean, signals: [own, agreement], calibration: calibrations/sort.json, agreement: {model: b}}"
)
WORKFLOW = b"""workflow: w
version: 1.0.0
about: Sorts.
owner: team/x
risk: low
input: {type: object}
limits: {cost: 1 USD}
steps:
  sorted:
    ai: sort@^1
    with: {text: "hello"}
outcome:
  done: sorted.done
"""


def calibration(signals: tuple[str, ...] = ("own", "agreement")) -> bytes:
    chance = random.Random(1)
    cases = [GoldenCase(dict.fromkeys(signals, said), chance.random() < said / 2) for said in _spread(chance)]
    return fit_document("sort", "mean", signals, cases, prompt_version="1.0.0")[0].as_json()


def _spread(chance: random.Random) -> list[float]:
    return [chance.random() for _ in range(200)]


def loaded(extra: str, **files: bytes) -> Project:
    made = {"signoff.yaml": b"project: p\n", "models.yaml": MODELS, "prompts/sort.md": PROMPT.replace("EXTRA", extra)}
    encoded = {name: text.encode() if isinstance(text, str) else text for name, text in made.items()}
    return load_project_files({**encoded, **{name.replace("__", "/") + ".json": one for name, one in files.items()}})


def result(label: str, model: str = "a") -> ModelResult:
    return ModelResult({"label": label, "confidence": 0.9}, model, "scripted", NO_USAGE, (), "stop", 0.1)


async def output_of(project: Project, others: list[str]) -> tuple[dict[str, Any], list[tuple[str, Any]], list[str]]:
    facts: list[tuple[str, Any]] = []
    asked: list[str] = []

    def record(kind: str, fact: Any) -> None:
        facts.append((kind, fact))

    call = cast("StepCall", SimpleNamespace(record=record))

    async def ask(task: ModelTask, config: ModelsConfig) -> ModelResult:
        asked.append(config.route("classify", "sort")[0].name)
        return result(others[len(asked) - 1], "b")

    prompt = project.prompts.find("sort")
    task = ModelTask("classify", "sort", (), variables={"text": "x"})
    output = await finished(call, project, prompt, task=task, first=result("refund"), ask=ask)
    return dict(output), facts, asked


async def test_confidence_is_calibrated_and_its_version_journaled() -> None:
    document = calibration()
    project = loaded(CONFIDENCE, calibrations__sort=document)
    same, facts, asked = await output_of(project, ["refund"])
    differs, _, _ = await output_of(project, ["other"])
    assert asked == ["b"], "the model that is compared with, not the route's"
    assert same["confidence"] > differs["confidence"]
    assert same["confidence"] < 0.9, "half of what was said was right"
    assert [kind for kind, _ in facts] == ["answer.confidence"]
    assert facts[0][1]["calibration_version"] == read_document(document).version
    assert facts[0][1]["signals"] == {"own": 0.9, "agreement": 1.0}


def test_a_calibration_that_was_edited_or_made_for_another_rule_is_refused() -> None:
    with pytest.raises(InvalidError, match="edited"):
        read_document(calibration().replace(b'"cases": 200,\n    "scores"', b'"cases": 201,\n    "scores"'))
    with pytest.raises(DefinitionError, match="was made for prompt 'sort', mean of own;"):
        loaded(CONFIDENCE, calibrations__sort=calibration(("own",)))


async def test_a_blocked_answer_fails_the_step_and_its_journal_says_why_without_it() -> None:
    project = loaded("filters: [{filter: promises, verdict: block, words: [refund]}]")
    with pytest.raises(StepError) as caught:
        await output_of(project, [])
    assert caught.value.kind == "filtered"


async def test_a_filter_that_asks_for_a_person_says_so_in_the_output() -> None:
    project = loaded("filters: [{filter: promises, words: [refund]}]")
    output, facts, _ = await output_of(project, [])
    assert output["filtered"]["review"] is True
    assert facts[0][0] == "answer.filter"


def test_a_workflow_that_does_not_listen_to_its_filters_is_refused() -> None:
    prompt = PROMPT.replace("EXTRA", "filters: [{filter: promises, words: [refund]}]").encode()
    files = {"signoff.yaml": b"project: p\n", "models.yaml": MODELS, "prompts/sort.md": prompt}
    with pytest.raises(DefinitionError) as caught:
        load_project_files({**files, "workflows/w.yaml": WORKFLOW})
    assert [problem.code for problem in caught.value.problems] == ["unheard-filter"]
    heard = WORKFLOW.replace(b"outcome:", b'  told:\n    set: {review: "${sorted.filtered.review}"}\noutcome:')
    load_project_files({**files, "workflows/w.yaml": heard})
