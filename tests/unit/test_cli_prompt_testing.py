"""A prompt's own cases are held to everything that a step's answer is held to: rules, quotes, filters, confidence."""

from __future__ import annotations

import pytest

from signoff.catalog import load_project_files
from signoff.catalog.registry.cases import CaseResult
from signoff.cli.prompt_testing import run_cases

PROMPT = """---
name: reply
version: 1.0.0
purpose: Answers.
task: generate
input:
  type: object
  properties: {docs: {type: array}}
  required: [docs]
output:
  type: object
  properties:
    body: {type: string, maxLength: 900}
    quotes: {type: array, items: {type: string, maxLength: 500}, maxItems: 5}
  required: [body, quotes]
  additionalProperties: false
rules: [{id: short, that: size(body) < 60, message: Keep it short.}]
citations: {from: docs, field: quotes}
confidence: {signals: [support, agreement], agreement: {model: b}}
filters: [{filter: promises, words: [refund], verdict: block}, {filter: links}]
tests:
  - name: case
    input: {docs: [{text: "We open at nine every day."}]}
    assert: 'CONDITION'
    answer: {body: BODY, quotes: [QUOTE]}
---
# user
{{ docs }}
"""
MODELS = """models: {a: {provider: scripted}, b: {provider: scripted}}
routes: [{task: generate, use: [a]}]
"""


async def outcome(body: str, quote: str = "We open at nine", condition: str = "confidence > 0.5") -> CaseResult:
    text = PROMPT.replace("BODY", f'"{body}"').replace("QUOTE", f'"{quote}"').replace("CONDITION", condition)
    files = {"signoff.yaml": "project: p\n", "models.yaml": MODELS, "prompts/reply.md": text}
    project = load_project_files({name: content.encode() for name, content in files.items()})
    (result,) = await run_cases(project, list(project.prompts), profile=None, scripted=True)
    return result


@pytest.mark.parametrize(
    ("body", "quote", "condition", "wrong"),
    [
        ("We open at nine every day.", "We open at nine", "confidence > 0.5 && !filtered.review", ""),
        ("We open at nine every day. " * 3, "We open at nine", "true", "Keep it short."),
        ("We open at nine every day.", "We never open at all", "true", "does not occur"),
        ("You get a refund.", "We open at nine", "true", "promises: 'refund'"),
        ("Elephants dance under distant umbrellas.", "We open at nine", "confidence > 0.5", "is not so"),
        ("We open: https://evil.test/x", "We open at nine", "!filtered.review", "is not so"),
    ],
)
async def test_a_case_meets_what_a_step_meets(body: str, quote: str, condition: str, wrong: str) -> None:
    result = await outcome(body, quote, condition)
    assert result.passed == (not wrong), result.wrong
    assert wrong in " ".join(result.wrong)


async def test_a_result_has_the_answer_and_the_signals_for_golden_cases() -> None:
    given = (await outcome("We open at nine every day.")).as_dict()
    assert given["signals"] == {"support": 1.0, "agreement": 1.0}
    assert (given["answer"]["confidence"], given["passed"], given["model"]) == (1.0, True, "case")
