"""What chats are tuned by stands where each wire format has it, or the format says that it has no place for it."""

from __future__ import annotations

from typing import Any

import pytest

from signoff.capabilities.gateway.chat import ChatMessage, ChatRequest, ChatTool, TextPart
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers.wire.anthropic import AnthropicMessages
from signoff.capabilities.gateway.providers.wire.bedrock import BedrockConverse, BedrockInvoke
from signoff.capabilities.gateway.providers.wire.cohere import CohereChat
from signoff.capabilities.gateway.providers.wire.google import GoogleGenerate
from signoff.capabilities.gateway.providers.wire.ollama import OllamaChat
from signoff.capabilities.gateway.providers.wire.openai_chat import Dialect, OpenAIChat
from signoff.capabilities.gateway.providers.wire.openai_responses import OpenAIResponses
from signoff.capabilities.gateway.providers.wire.reading import Wire
from signoff.capabilities.gateway.providers.wire.tuning import GROQ, MISTRAL, OPENROUTER
from signoff.capabilities.gateway.tuning import Tuning, untunable

ALL: dict[str, Any] = {
    "top_p": 0.5,
    "top_k": 4,
    "seed": 7,
    "frequency_penalty": 0.25,
    "presence_penalty": -0.5,
    "effort": "low",
    "thinking_tokens": 2000,
    "adaptive_thinking": True,
    "parallel_tools": False,
    "verbosity": "low",
    "logit_bias": {"50256": -100},
    "flex_tier": "flex",
    "logprobs": 2,
    "standard_tier": "standard_only",
}
FORMATS: list[Wire] = [
    OpenAIChat(),
    OpenAIChat(Dialect(places=MISTRAL)),
    OpenAIChat(Dialect(places=GROQ)),
    OpenAIChat(Dialect(places=OPENROUTER)),
    OpenAIResponses(),
    AnthropicMessages(),
    BedrockInvoke(),
    BedrockConverse(),
    GoogleGenerate(),
    CohereChat(),
    OllamaChat(),
]


def _body(wire: Wire, model: str = "claude-opus-5", limit: int | None = 10_000, **asked: Any) -> dict[str, Any]:
    messages = (ChatMessage("user", (TextPart("Hello"),)),)
    request = ChatRequest(messages, (ChatTool("weather"),), max_output_tokens=limit, tuning=Tuning(**asked))
    return wire.body(request, model, stream=False)


@pytest.mark.parametrize("wire", FORMATS, ids=lambda wire: type(wire).__name__)
@pytest.mark.parametrize("name", ALL)
def test_a_format_changes_its_body_or_says_that_it_has_no_place(wire: Wire, name: str) -> None:
    if name in wire.tunings:
        assert _body(wire, **{name: ALL[name]}) != _body(wire)
    else:
        with pytest.raises(ProviderError, match=f"no place for `{name}`") as told:
            _body(wire, **{name: ALL[name]})
        assert told.value.kind == "cannot"


def test_each_vendor_has_its_own_words() -> None:
    drawn = {name: ALL[name] for name in ("top_p", "top_k", "seed")}
    google = _body(GoogleGenerate(), "gemini-2.5-pro", **drawn, effort="medium")["generationConfig"]
    assert (google["topP"], google["topK"], google["seed"]) == (0.5, 4, 7)
    assert google["thinkingConfig"] == {"thinkingBudget": 8_192}
    newer = _body(GoogleGenerate(), "gemini-3-pro", effort="low")["generationConfig"]
    assert newer["thinkingConfig"] == {"thinkingLevel": "low"}
    cohere = _body(CohereChat(), **drawn, thinking_tokens=2000)
    assert (cohere["p"], cohere["k"]) == (0.5, 4)
    assert cohere["thinking"] == {"type": "enabled", "token_budget": 2000}
    assert _body(OpenAIChat(Dialect(places=MISTRAL)), seed=7)["random_seed"] == 7
    router = _body(OpenAIChat(Dialect(places=OPENROUTER)), effort="low")
    assert router["reasoning"] == {"effort": "low"}
    claude = _body(AnthropicMessages(), "claude-opus-4-5", effort="low", parallel_tools=False)
    assert claude["thinking"] == {"type": "enabled", "budget_tokens": 2_000}
    assert claude["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert _body(OllamaChat(), **drawn)["options"] == {"num_predict": 10_000, **drawn}


@pytest.mark.parametrize(
    ("wire", "model", "limit", "effort"),
    [
        (AnthropicMessages(), "claude", 1_024, "low"),
        (GoogleGenerate(), "gemini-3-pro", None, "none"),
        (GoogleGenerate(), "gemini-2.5-pro", None, "xhigh"),
        (OllamaChat(), "m", None, "xhigh"),
    ],
)
def test_an_effort_that_a_model_has_not_is_told(wire: Wire, model: str, limit: int | None, effort: str) -> None:
    with pytest.raises(ProviderError, match="no place for"):
        _body(wire, model, limit, effort=effort)


def test_claude_thinks_adaptively_where_it_can() -> None:
    def asked(model: str, **tuning: Any) -> dict[str, Any]:
        body = _body(AnthropicMessages(), model, **tuning)
        return {name: body[name] for name in ("thinking", "output_config") if name in body}

    for model in ("claude-opus-4-6", "claude-sonnet-5", "claude-mythos-preview", "claude-haiku-5-5"):
        assert asked(model, adaptive_thinking=True) == {"thinking": {"type": "adaptive"}}
        wanted = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}
        assert asked(model, adaptive_thinking=True, effort="low") == asked(model, effort="minimal") == wanted
        assert asked(model, thinking_tokens=2_000) == {"thinking": {"type": "enabled", "budget_tokens": 2_000}}
        assert asked(model, effort="none") == {"thinking": {"type": "disabled"}}
    for model in ("claude-sonnet-4-5-20250929", "claude-opus-4-20250514", "claude-3-7-sonnet-latest"):
        assert asked(model, effort="low") == {"thinking": {"type": "enabled", "budget_tokens": 2_000}}
        with pytest.raises(ProviderError, match="`adaptive` thinking of this model"):
            asked(model, adaptive_thinking=True)
        assert asked(model, adaptive_thinking=True, optional=True) == {}


def test_an_effort_stands_beside_the_form_of_an_answer() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
    messages = (ChatMessage("user", (TextPart("Hello"),)),)
    request = ChatRequest(messages, output_schema=schema, max_output_tokens=9_000, tuning=Tuning(effort="high"))
    config = AnthropicMessages().body(request, "claude-opus-5", stream=False)["output_config"]
    assert config == {"effort": "high", "format": {"type": "json_schema", "schema": schema}}


def test_a_provider_that_says_nothing_of_it_can_tune_nothing() -> None:
    assert untunable(object(), frozenset({"seed"})) == {"seed"}
    assert untunable(OpenAIChat(), frozenset({"seed", "top_k"})) == {"top_k"}


def test_what_may_be_left_out_is_left_out() -> None:
    for wire in FORMATS:
        lacking = {name: value for name, value in ALL.items() if name not in wire.tunings}
        assert _body(wire, **lacking, optional=True) == _body(wire), type(wire).__name__
    for wire, model, limit, effort in (
        (AnthropicMessages(), "claude", 1_024, "low"),
        (GoogleGenerate(), "gemini-3-pro", 10_000, "none"),
        (OllamaChat(), "m", 10_000, "max"),
    ):
        assert _body(wire, model, limit, effort=effort, optional=True) == _body(wire, model, limit)


def test_tiers_verbosity_and_biases_stand_where_openai_has_them() -> None:
    chat = _body(OpenAIChat(), verbosity="low", logit_bias={"5": -1}, flex_tier="flex")
    assert (chat["verbosity"], chat["logit_bias"], chat["service_tier"]) == ("low", {"5": -1}, "flex")
    schema: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
    messages = (ChatMessage("user", (TextPart("Hello"),)),)
    request = ChatRequest(messages, output_schema=schema, tuning=Tuning(verbosity="high"))
    text = OpenAIResponses().body(request, "m", stream=False)["text"]
    assert text["verbosity"] == "high"
    assert text["format"]["schema"] == schema
    assert _body(AnthropicMessages(), standard_tier="standard_only")["service_tier"] == "standard_only"
    assert "standard_tier" not in BedrockInvoke().tunings
