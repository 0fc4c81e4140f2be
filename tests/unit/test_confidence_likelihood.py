"""The signal `likelihood`: vendors are asked for log-probabilities where a prompt wants them, and only there."""

from __future__ import annotations

import json
import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from support.http_server import LoopbackServer, loopback_server, reply

from signoff.capabilities.gateway.providers.wire.google import GoogleGenerate
from signoff.capabilities.gateway.providers.wire.openai_chat import OpenAIChat
from signoff.capabilities.gateway.providers.wire.reading import read_reply
from signoff.catalog import Project, load_project_files
from signoff.cli.prompt_testing import run_cases
from signoff.core.errors import DefinitionError

PROMPT = """---
name: sort
version: 1.0.0
purpose: Sorts.
task: extract
input: {type: object, properties: {text: {type: string, maxLength: 99}}, required: [text]}
output: {type: object, properties: {label: {type: string, maxLength: 9}}, required: [label]}
EXTRA
tests: [{name: case, input: {text: Hi}, expect: {label: a}}]
---
# user
{{ text }}
"""
CONFIDENT = "confidence: {signals: [likelihood]}"
TOKENS: list[dict[str, Any]] = [
    {"token": '{"', "logprob": -0.0001},
    {"token": "label", "logprob": math.log(0.8)},
    {"token": '":"', "logprob": -3.0},
    {"token": "a", "logprob": math.log(0.2)},
    {"token": '"}', "logprob": None},
]
CHOICE: dict[str, Any] = {"message": {"content": '{"label":"a"}'}, "finish_reason": "stop"}


def project(extra: str, model: str) -> Project:
    models = f"models: {{m: {model}}}\nroutes: [{{task: extract, use: [m]}}]\n"
    files = {"signoff.yaml": "project: p\n", "models.yaml": models, "prompts/sort.md": PROMPT.replace("EXTRA", extra)}
    return load_project_files({name: text.encode() for name, text in files.items()})


@contextmanager
def vendor(choice: dict[str, Any]) -> Generator[LoopbackServer]:
    with loopback_server(reply(json.dumps({"id": "1", "choices": [choice]}).encode())) as server:
        yield server


def test_the_likelihood_is_that_of_the_tokens_that_say_something() -> None:
    said = read_reply(OpenAIChat(), {"id": "1", "choices": [{**CHOICE, "logprobs": {"content": TOKENS}}]})
    assert said.likelihood == pytest.approx(math.sqrt(0.8 * 0.2))
    for nothing in ({}, {"logprobs": None}, {"logprobs": {"content": [{"token": "a"}]}}):
        assert read_reply(OpenAIChat(), {"id": "1", "choices": [{**CHOICE, **nothing}]}).likelihood is None
    candidate = {"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP", "avgLogprobs": -0.5}
    assert read_reply(GoogleGenerate(), {"candidates": [candidate]}).likelihood == pytest.approx(math.exp(-0.5))


@pytest.mark.parametrize(("extra", "asked"), [(CONFIDENT, True), ("", False)])
async def test_a_prompt_that_wants_it_asks_for_it_and_is_as_sure_as_the_model(extra: str, asked: bool) -> None:
    with vendor({**CHOICE, "logprobs": {"content": TOKENS}}) as server:
        loaded = project(extra, f'{{provider: openai_compatible, base_url: "{server.url}", model: x, price: free}}')
        (result,) = await run_cases(loaded, list(loaded.prompts), profile=None, scripted=False)
    assert result.passed, result.wrong
    assert ("logprobs" in json.loads(server.received[0].body)) == asked
    assert dict(result.signals) == ({"likelihood": 0.4} if asked else {})


async def test_a_model_that_says_nothing_of_it_is_not_sure() -> None:
    with vendor(CHOICE) as server:
        loaded = project(CONFIDENT, f'{{provider: openai_compatible, base_url: "{server.url}", model: x, price: free}}')
        (result,) = await run_cases(loaded, list(loaded.prompts), profile=None, scripted=False)
    assert (result.answer or {})["confidence"] == 0.0


@pytest.mark.parametrize(
    "model",
    [
        '{provider: groq, model: x, api_key: "${env.K}"}',
        '{provider: deepseek, api: responses, model: x, api_key: "${env.K}"}',
    ],
)
def test_models_that_never_say_it_are_told_before_anything_runs(model: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        project(CONFIDENT, model)
    assert [problem.code for problem in caught.value.problems] == ["unable-model"]
    project("", model)
