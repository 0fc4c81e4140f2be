"""Streams that break are never clean ends, wherever they break and however their bytes are cut."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from support.wire_cases import ASK, Replay, exchanges

from signoff.capabilities.gateway.chat import ChatReply, StreamEnd, TextDelta, ToolCallDelta
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers.wire.anthropic import AnthropicMessages
from signoff.capabilities.gateway.providers.wire.bedrock import BedrockConverse
from signoff.capabilities.gateway.providers.wire.errors import NotItsFormatError
from signoff.capabilities.gateway.providers.wire.framing import Framing, decoder
from signoff.capabilities.gateway.providers.wire.google import GoogleGenerate
from signoff.capabilities.gateway.providers.wire.openai_chat import OpenAIChat
from signoff.capabilities.gateway.providers.wire.openai_responses import OpenAIResponses
from signoff.capabilities.gateway.providers.wire.reading import Wire

STREAMED: list[tuple[str, str, Wire]] = [
    ("openai", "chat.completions", OpenAIChat()),
    ("openai", "responses", OpenAIResponses()),
    ("anthropic", "messages", AnthropicMessages()),
    ("gemini", "generateContent", GoogleGenerate()),
    ("bedrock", "converse", BedrockConverse()),
]


def streams(provider: str, api: str) -> list[bytes]:
    """The bodies of a provider's streams."""
    found: list[bytes] = []
    for exchange in exchanges(provider):
        response: dict[str, Any] = exchange["response"]
        if exchange["api"] == api and "stream" in response["headers"].get("content-type", ""):
            body = response["body_base64"]
            found.append(base64.b64decode(body) if body else response["body_text"].encode())
    return found


def read(wire: Wire, chunks: list[bytes]) -> tuple[ChatReply, str]:
    """The reply of a stream in these chunks, and the text that its deltas showed."""
    reader, decoding, shown = wire.reader(), decoder(wire.framing), ""
    for chunk in chunks:
        for event in decoding.feed(chunk):
            for delta in reader.feed(event):
                shown += delta.text if isinstance(delta, TextDelta) else ""
                shown += delta.arguments if isinstance(delta, ToolCallDelta) else ""
    return reader.built.reply(), shown


@pytest.mark.parametrize(("provider", "api", "wire"), STREAMED, ids=[f"{row[0]} {row[1]}" for row in STREAMED])
def test_every_cut_of_a_stream_is_incomplete_until_its_end_came(provider: str, api: str, wire: Wire):
    body = min(streams(provider, api), key=len)
    whole, shown = read(wire, [body])
    assert whole.finish_reason != "incomplete"
    assert "".join([whole.text, *(call.arguments for call in whole.tool_calls)]) == (shown or "{}")
    ended = False
    for size in range(1, len(body), 7):
        reply, _ = read(wire, [body[:size]])
        assert whole.text.startswith(reply.text)
        assert not ended or reply.finish_reason == whole.finish_reason, "an end does not go away again"
        ended = reply.finish_reason != "incomplete"


@pytest.mark.parametrize(("provider", "api", "wire"), STREAMED, ids=[f"{row[0]} {row[1]}" for row in STREAMED])
def test_where_the_bytes_are_cut_changes_nothing(provider: str, api: str, wire: Wire):
    body = min(streams(provider, api), key=len)
    for size in (1, 3, 1000):
        assert read(wire, [body[at : at + size] for at in range(0, len(body), size)]) == read(wire, [body])


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_lines_end_as_the_standard_says_and_nowhere_else(ending: bytes):
    text = 'data: {"a": "one\u2028two\u0085three"}\n: a comment\nid: 7\n\ndata: [DONE]\n\n'.encode()
    decoding = decoder("sse")
    data = text.replace(b"\n", ending) + b": still open"
    events = [event for at in range(len(data)) for event in decoding.feed(data[at : at + 1])]
    assert [event.body for event in events] == [{"a": "one\u2028two\u0085three"}, {}]
    assert [event.done for event in events] == [False, True]


@pytest.mark.parametrize(("framing", "data"), [("sse", b"data: {]\n\n"), ("json_lines", b"[1]\n"), ("aws", b"\0" * 16)])
def test_what_is_no_event_is_refused(framing: Framing, data: bytes):
    with pytest.raises(NotItsFormatError):
        list(decoder(framing).feed(data))


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "bedrock", "ollama", "cohere", "mistral"])
async def test_a_stream_cut_in_half_ends_incomplete_over_http(provider: str):
    whole = next(
        exchange
        for exchange in exchanges(provider)
        if any(word in exchange["response"]["headers"].get("content-type", "") for word in ("stream", "ndjson"))
    )
    response = whole["response"]
    text, encoded = response["body_text"], response["body_base64"]
    raw = base64.b64decode(encoded) if encoded else text.encode()
    half = base64.b64encode(raw[: len(raw) // 2]).decode()
    async with Replay() as replay:
        end = await replay.outcome({**whole, "response": {**response, "body_base64": half}})
    if isinstance(end, ProviderError):
        assert end.kind == "unavailable", "nothing had come yet: the call may be made again"
    else:
        assert isinstance(end, StreamEnd)
        assert end.reply.finish_reason == "incomplete"
        assert end.failure is not None
        assert end.failure.retryable


async def test_an_error_status_of_a_stream_is_raised_before_any_event():
    async with Replay() as replay:
        failed = next(item for item in exchanges("anthropic") if item["response"]["status"] == 404)
        provider = replay.provider(failed)
        with pytest.raises(ProviderError) as caught:
            [event async for event in provider.stream(ASK)]
    assert caught.value.kind == "setup"
    assert caught.value.__cause__ is None
