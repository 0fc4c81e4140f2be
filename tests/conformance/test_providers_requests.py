"""What vendors are sent: the bodies that their documentation shows, and signatures that AWS would accept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from signoff.capabilities.gateway.chat import (
    ChatMessage,
    ChatRequest,
    ChatTool,
    DocumentPart,
    ImagePart,
    OnlyTool,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from signoff.capabilities.gateway.provider import FailureKind
from signoff.capabilities.gateway.providers.bedrock import SignatureV4
from signoff.capabilities.gateway.providers.wire.anthropic import AnthropicMessages
from signoff.capabilities.gateway.providers.wire.bedrock import BedrockConverse
from signoff.capabilities.gateway.providers.wire.errors import of_status
from signoff.capabilities.gateway.providers.wire.google import GoogleGenerate
from signoff.capabilities.gateway.providers.wire.openai_chat import OpenAIChat
from signoff.capabilities.gateway.providers.wire.openai_responses import OpenAIResponses
from signoff.capabilities.gateway.providers.wire.schemas import closed, is_strict

PARAMETERS: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TALK = ChatRequest(
    messages=(
        ChatMessage("system", (TextPart("Be brief."),)),
        ChatMessage("user", (TextPart("Where is this?"), ImagePart("image/png", b"png"))),
        ChatMessage("assistant", (ToolCallPart("c1", "weather", '{"city":"Oslo"}'),)),
        ChatMessage("tool", (ToolResultPart("c1", "weather", "cold"),)),
    ),
    tools=(ChatTool("weather", "The weather.", PARAMETERS),),
    tool_choice=OnlyTool("weather"),
    max_output_tokens=9,
    temperature=0.5,
)
DATA = "cG5n"  # base64 of b"png"


def test_openai_chat():
    body = OpenAIChat().body(TALK, "m", stream=True)
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Where is this?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "cold"},
    ]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert body["stream_options"] == {"include_usage": True}


def test_openai_responses():
    body = OpenAIResponses().body(TALK, "m", stream=False)
    assert body["input"][1]["content"][1] == {"type": "input_image", "image_url": f"data:image/png;base64,{DATA}"}
    assert body["input"][2:] == [
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Oslo"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "cold"},
    ]
    assert (body["store"], body["tool_choice"]) == (False, {"type": "function", "name": "weather"})


def test_anthropic():
    body = AnthropicMessages().body(TALK, "m", stream=False)
    assert body["system"] == [{"type": "text", "text": "Be brief."}]
    source = {"type": "base64", "media_type": "image/png", "data": DATA}
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Where is this?"}, {"type": "image", "source": source}]},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "cold"}]},
    ]
    assert body["tool_choice"] == {"type": "tool", "name": "weather"}


def test_google():
    body = GoogleGenerate().body(TALK, "m", stream=False)
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert body["contents"] == [
        {
            "role": "user",
            "parts": [{"text": "Where is this?"}, {"inlineData": {"data": DATA, "mimeType": "image/png"}}],
        },
        {"role": "model", "parts": [{"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Oslo"}}}]},
        {
            "role": "user",
            "parts": [{"functionResponse": {"id": "c1", "name": "weather", "response": {"result": "cold"}}}],
        },
    ]
    calling = {"mode": "ANY", "allowedFunctionNames": ["weather"]}
    assert body["toolConfig"] == {"functionCallingConfig": calling}
    assert body["generationConfig"] == {"maxOutputTokens": 9, "temperature": 0.5}


def test_bedrock():
    body = BedrockConverse().body(TALK, "m", stream=False)
    assert body["messages"][0]["content"][1] == {"image": {"format": "png", "source": {"bytes": DATA}}}
    assert body["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "c1", "content": [{"text": "cold"}], "status": "success"}}
    ]
    assert body["toolConfig"]["toolChoice"] == {"tool": {"name": "weather"}}
    file = ChatRequest((ChatMessage("user", (DocumentPart("application/pdf", b"png", name="a_b.pdf"),)),))
    document = {"format": "pdf", "name": "a b pdf", "source": {"bytes": DATA}}
    assert BedrockConverse().body(file, "m", stream=False)["messages"][0]["content"] == [{"document": document}]


def test_schemas_beyond_a_vendor_are_told_in_words():
    strict = {**PARAMETERS, "additionalProperties": False}
    limited = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "additionalProperties": False}
    assert is_strict(strict)
    assert not is_strict(PARAMETERS)
    assert closed(PARAMETERS) is None
    assert closed(limited) == {**limited, "properties": {"n": {"type": "integer", "description": "minimum: 1"}}}


class At:
    """A clock that stands."""

    def now(self) -> datetime:
        return datetime(2015, 8, 30, 12, 36, tzinfo=UTC)

    def monotonic_s(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """It does not."""


def test_signatures_are_those_of_awss_own_suite():
    # aws-sig-v4-test-suite, `get-vanilla`.
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    auth = SignatureV4("AKIDEXAMPLE", secret, region="us-east-1", service="service", clock=At())
    request = httpx.Request("GET", "https://example.amazonaws.com/")
    next(auth.auth_flow(request))
    signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    assert request.headers["authorization"].endswith(f"SignedHeaders=host;x-amz-date, Signature={signature}")


ERRORS: list[tuple[int, Any, FailureKind]] = [
    (400, {"error": {"code": "context_length_exceeded", "message": "…"}}, "context_overflow"),
    (400, {"error": {"message": "prompt is too long: 213000 tokens > 200000 maximum"}}, "context_overflow"),
    (400, {"error": {"message": "The input token count (9) exceeds the maximum number of tokens"}}, "context_overflow"),
    (400, {"message": "Input is too long for requested model."}, "context_overflow"),
    (413, None, "context_overflow"),
    (
        400,
        {"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
        "content_filter",
    ),
    (403, {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"]}}}, "content_filter"),
    (429, {"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}}, "quota"),
    (
        429,
        {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "exceeded your current quota"}},
        "rate_limited",
    ),
    (402, {"error": {"message": "Insufficient Balance"}}, "quota"),
    (400, {"error": {"message": "Your credit balance is too low to access the Anthropic API."}}, "quota"),
    (400, {"error": {"message": "API key not valid.", "details": [{"reason": "API_KEY_INVALID"}]}}, "setup"),
    (424, {"message": "The model failed"}, "unavailable"),
    (529, {"type": "error", "error": {"type": "overloaded_error"}}, "unavailable"),
    (400, {"error": {"message": "temperature must be at most 1"}}, "rejected"),
    (200, {"error": {"type": "overloaded_error", "message": "Overloaded"}}, "unavailable"),
]


@pytest.mark.parametrize(("status", "body", "kind"), ERRORS)
def test_errors_are_typed_without_the_vendors_words(status: int, body: Any, kind: FailureKind):
    error = of_status(status, body, {})
    assert error.kind == kind
    assert "tokens >" not in error.detail


@pytest.mark.parametrize(
    ("headers", "body", "wait_s"),
    [
        ({"retry-after": "7"}, None, 7.0),
        ({"retry-after-ms": "250"}, None, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, None, 30.0),
        ({}, {"error": {"details": [{"retryDelay": "12s"}]}}, 12.0),
        ({}, {"error": {"message": "Please try again in 1m2.5s."}}, 62.5),
        ({}, {"error": {"message": "Slow down."}}, None),
    ],
)
def test_how_long_to_wait_is_read_wherever_it_stands(headers: dict[str, str], body: Any, wait_s: float | None):
    assert of_status(429, body, headers).retry_after_s == wait_s
