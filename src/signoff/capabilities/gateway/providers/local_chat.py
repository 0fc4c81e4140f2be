"""Chats with the local language model: llama.cpp speaks OpenAI's format, so that format's own reader reads it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatRequest,
    DocumentPart,
    ImagePart,
    StreamEnd,
)
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers.wire.building import members
from signoff.capabilities.gateway.providers.wire.errors import NotItsFormatError, not_its_format
from signoff.capabilities.gateway.providers.wire.framing import Event
from signoff.capabilities.gateway.providers.wire.openai_chat import Dialect, OpenAIChat
from signoff.capabilities.gateway.providers.wire.reading import cannot
from signoff.capabilities.gateway.providers.wire.tuning import LLAMA

MAX_CHAT_TOKENS = 1_024
"""How long an answer may be where its request does not say, in tokens: some minutes of a CPU."""
_TOO_LONG = "exceed_context_size_error"
WIRE = OpenAIChat(Dialect(documents="none", places=LLAMA))

Ask = Callable[[Mapping[str, Any]], AsyncGenerator[Mapping[str, Any]]]


def chat_body(request: ChatRequest, model: str) -> dict[str, Any]:
    """The request as the runtime takes it.

    Raises:
        ProviderError: `cannot`: it has tools, or more than words.
    """
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ImagePart | DocumentPart):
                raise cannot("pictures and files")
    if request.tools:
        # It writes calls as prose, whatever the runtime is told: nobody may wait for one that never comes.
        raise cannot("tools")
    drawn = request.tuning.top_p is not None or request.tuning.top_k is not None
    temperature = request.temperature if request.temperature is not None or drawn else 0.0
    limit = request.max_output_tokens or MAX_CHAT_TOKENS
    return WIRE.body(replace(request, temperature=temperature, max_output_tokens=limit), model, stream=True)


def _chunk(chunk: Mapping[str, Any]) -> dict[str, Any]:
    if members(chunk.get("error")).get("type") == _TOO_LONG:
        raise ProviderError("context_overflow", "The conversation is longer than the local model reads.")
    if "choices" not in chunk:
        raise ProviderError("rejected", "The local model cannot take the request.")
    return dict(chunk)


async def chat_events(body: Mapping[str, Any], ask: Ask) -> AsyncGenerator[ChatEvent]:
    """The answer as it comes; the last event is a `StreamEnd`.

    Raises:
        ProviderError: it failed before its first event.
    """
    reader, started, failure = WIRE.reader(), False, None
    try:
        async with aclosing(ask(body)) as chunks:
            async for chunk in chunks:
                for event in reader.feed(Event("", _chunk(chunk), done=False)):
                    started = True
                    yield event
    except NotItsFormatError:
        failure = not_its_format()
    except ProviderError as error:
        failure = error
    if failure is None and not reader.built.ended:
        failure = ProviderError("unavailable", "The local model broke off.")
    if failure is not None and not started:
        raise failure from None
    yield StreamEnd(reader.built.reply(), failure)
