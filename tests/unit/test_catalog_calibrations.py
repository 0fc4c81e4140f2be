"""A calibration that is not whole, or another prompt's, is told with its place: gating would rest on nothing."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from support.answer_runs import project

from signoff.capabilities.validation.documents import GoldenCase, fit_document, read_document
from signoff.catalog.projects import load_project_files
from signoff.core.errors import DefinitionError

FILE = "calibrations/answer.json"
STEPS = """steps:
  answer: {ai: sort@^1, with: {text: "${input.text}"}}
outcome: {done: answer.done}
"""
PROMPT = f"""---
name: sort
version: 1.2.0
purpose: Sorts.
task: classify
input: {{type: object, properties: {{text: {{type: string}}}}, required: [text]}}
labels: {{refund: money back, other: the rest}}
confidence: {{rule: minimum, signals: [own], calibration: {FILE}}}
---
# user
{{{{ text }}}}
"""


def fitted(method: Any = "isotonic", version: str = "1.2.0") -> dict[str, Any]:
    chance = random.Random(1)
    cases = [GoldenCase({"own": one}, chance.random() < one) for one in (chance.random() for _ in range(100))]
    return orjson.loads(fit_document("sort", "minimum", ["own"], cases, method, prompt_version=version)[0].as_json())


def problems(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    files = {name: text.encode() for name, text in project(STEPS, prompts__sort_md=PROMPT).items()}
    try:
        load_project_files({**files, FILE: orjson.dumps(document)})
    except DefinitionError as error:
        return [(one.pointer or "", one.detail) for one in error.problems if one.file == FILE]
    return []


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_what_the_fit_writes_passes_and_is_read(method: str) -> None:
    document = fitted(method)
    assert problems(document) == []
    assert read_document(orjson.dumps(document)).prompt_version == "1.2.0"


@pytest.mark.parametrize(
    ("change", "pointer", "says"),
    [
        ({"calibration": {"method": "isotonic", "cases": 100}}, "/calibration", "not whole"),
        (
            {"calibration": {"method": "isotonic", "cases": 9, "scores": [], "probabilities": []}},
            "/calibration",
            "whole",
        ),
        ({"calibration": {"method": "platt", "cases": 100}}, "/calibration", "not whole"),
        ({"calibration": {"cases": 100}}, "/calibration", "not whole"),
        (
            {"calibration": {"method": "isotonic", "cases": 9, "scores": [0.1, 0.2], "probabilities": [0.5]}},
            "/calibration",
            "do not fit",
        ),
        ({"measured": None}, "", "not whole"),
        ({"version": None}, "", "not whole"),
        ({"prompt_version": None}, "", "not whole"),
        ({"version": "0" * 64}, "/version", "was edited"),
        ({"prompt_version": "1.1.0"}, "/prompt_version", "made for 'sort' 1.1.0, and this is 1.2.0"),
        ({"prompt": "other"}, "/prompt", "made for prompt 'other'"),
    ],
)
def test_what_is_missing_or_for_another_is_told_with_its_place(
    change: Mapping[str, Any], pointer: str, says: str
) -> None:
    document = {name: value for name, value in {**fitted(), **change}.items() if value is not None}
    found = problems(document)
    assert found
    assert found[0][0].startswith(pointer)
    assert says in found[0][1]
