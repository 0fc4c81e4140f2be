"""How each vendor that says log-probabilities is asked for them, and what is read of an answer as it documents it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.http_server import loopback_server, reply

from signoff.capabilities.gateway.provider import ProviderRequest
from signoff.capabilities.gateway.providers import default_factories
from signoff.capabilities.gateway.providers.qwen import Engine, Qwen
from signoff.catalog.models import ModelSpec
from signoff.catalog.prompts import PromptMessage

TEXT = '{"label":"a"}'
TOKENS: list[dict[str, Any]] = [
    {"token": '{"', "logprob": -0.0001, "bytes": [123, 34], "top_logprobs": []},
    {"token": "label", "logprob": math.log(0.8), "bytes": [108], "top_logprobs": []},
    {"token": '":"', "logprob": -3.0, "bytes": [34], "top_logprobs": []},
    {"token": "a", "logprob": math.log(0.2), "bytes": [97], "top_logprobs": []},
]
CHOICE = {"index": 0, "message": {"content": TEXT}, "finish_reason": "stop", "logprobs": {"content": TOKENS}}
CHAT = {"id": "1", "choices": [CHOICE]}
# https://platform.openai.com/docs/api-reference/responses/object
SAID = {"type": "output_text", "text": TEXT, "annotations": [], "logprobs": TOKENS}
RESPONSES = {
    "id": "1",
    "status": "completed",
    "output": [{"type": "message", "role": "assistant", "content": [SAID]}],
}
# https://docs.cohere.com/reference/chat: pieces of text, each of one token or several
COHERE = {
    "id": "1",
    "finish_reason": "COMPLETE",
    "message": {"role": "assistant", "content": [{"type": "text", "text": TEXT}]},
    "logprobs": [
        {"text": '{"', "token_ids": [1], "logprobs": [-0.0001]},
        {"text": "label", "token_ids": [2, 3], "logprobs": [math.log(0.8), math.log(0.5)]},
        {"text": "a", "token_ids": [4], "logprobs": [math.log(0.32)]},
        {"text": "b", "token_ids": [4]},
    ],
}
# https://docs.ollama.com/api/chat
OLLAMA = {
    "model": "m",
    "created_at": "2026-11-23T03:00:00Z",
    "message": {"role": "assistant", "content": TEXT},
    "done": True,
    "done_reason": "stop",
    "logprobs": TOKENS,
}
VENDORS: dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], float]] = {
    "openai chat": ("openai", {}, CHAT, {"logprobs": True}, math.sqrt(0.8 * 0.2)),
    "openai responses": (
        "openai",
        {"api": "responses"},
        RESPONSES,
        {"include": ["message.output_text.logprobs"]},
        math.sqrt(0.8 * 0.2),
    ),
    "cohere": ("cohere", {}, COHERE, {"logprobs": True}, (0.8 * 0.5 * 0.32) ** (1 / 3)),
    "ollama": ("ollama", {}, OLLAMA, {"logprobs": True}, math.sqrt(0.8 * 0.2)),
}
ASKED = ProviderRequest("extract", (PromptMessage("user", "Hi"),), None, 20, 20.0, likelihood=True)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_it_is_asked_where_it_is_wanted_and_read_as_the_vendor_says_it(vendor: str) -> None:
    kind, settings, answer, asking, expected = VENDORS[vendor]
    with loopback_server(reply(json.dumps(answer).encode())) as server:
        spec = ModelSpec("m", kind, {"base_url": server.url, "api_key": "k", "model": "m", **settings})
        assert spec.says_likelihood
        provider = default_factories()[kind](spec)
        said = await provider.complete(ASKED)
        await provider.complete(replace(ASKED, likelihood=False))
        await provider.aclose()
    assert said.text == TEXT
    assert said.likelihood == pytest.approx(expected)
    first, second = (json.loads(request.body) for request in server.received)
    assert {name: value for name, value in first.items() if name not in second} == asking


class _Runtime:
    """Answers whole, as xllamacpp's server does."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def handle_chat_completions(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        return CHAT


async def test_the_local_language_model_says_it_too() -> None:
    runtime, spec = _Runtime(), ModelSpec("local/qwen", "qwen")
    qwen = Qwen(spec, engine=Engine(Path("model.gguf"), lambda _: runtime))
    assert spec.says_likelihood
    assert (await qwen.complete(ASKED)).likelihood == pytest.approx(math.sqrt(0.8 * 0.2))
    await qwen.complete(replace(ASKED, likelihood=False))
    assert ["logprobs" in request for request in runtime.asked] == [True, False]


@pytest.mark.parametrize("odd", [None, "x", True, [], {"token": "a"}, 1e308, -1e308])
async def test_nonsense_of_a_vendor_is_no_likelihood_above_one_and_breaks_nothing(odd: Any) -> None:
    tokens = [{"token": "a", "logprob": odd}, {"token": "b", "logprob": [odd]}, odd]
    with loopback_server(reply(json.dumps({**OLLAMA, "logprobs": tokens}).encode())) as server:
        provider = default_factories()["ollama"](ModelSpec("m", "ollama", {"base_url": server.url, "model": "m"}))
        said = await provider.complete(ASKED)
        await provider.aclose()
    assert said.likelihood is None or 0.0 <= said.likelihood <= 1.0
