"""What a chat may come to, before it is made: from above, without a tokenizer."""

from __future__ import annotations

import math
from dataclasses import replace

import orjson

from signoff.capabilities.gateway.asking import Estimate
from signoff.capabilities.gateway.budget import BYTES_PER_TOKEN, TOKENS_PER_MESSAGE
from signoff.capabilities.gateway.chat import (
    ChatReply,
    ChatRequest,
    DocumentPart,
    ImagePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from signoff.capabilities.gateway.pricing import price, priced
from signoff.capabilities.gateway.provider import Provider, ProviderError
from signoff.catalog.models import ModelSpec
from signoff.core.money import Cost, Usage

TOKENS_PER_IMAGE = 2_000
"""Of a picture: more than the largest that OpenAI and Anthropic count at their usual detail."""
TOKENS_PER_DOCUMENT = 3_000
"""Of a file, at least; a page of a PDF has about so many with its picture."""
BYTES_PER_PAGE = 50_000
"""Of a PDF, about."""
MAX_OUTPUT_TOKENS = 4_096
"""How long an answer is taken to be at most where the request does not say."""


def input_tokens(request: ChatRequest) -> int:
    """How many tokens the vendor may count for what is sent."""
    found = 0
    for message in request.messages:
        found += TOKENS_PER_MESSAGE + sum(_tokens(part) for part in message.parts)
    for tool in request.tools:
        found += TOKENS_PER_MESSAGE + _of_text(tool.name + tool.description) + _of_json(tool.parameters)
    return found + (_of_json(request.output_schema) if request.output_schema is not None else 0)


def output_tokens(request: ChatRequest) -> int:
    """How many tokens the answer may have."""
    return MAX_OUTPUT_TOKENS if request.max_output_tokens is None else request.max_output_tokens


def estimate(spec: ModelSpec, provider: Provider, request: ChatRequest) -> Estimate:
    """What the call may come to at most.

    Raises:
        ProviderError: the model's `price` is malformed.
    """
    reads, writes = input_tokens(request), output_tokens(request)
    return Estimate(reads, writes, price(spec, local=provider.local, input_tokens=reads, output_tokens=writes))


def usage_of(spec: ModelSpec, provider: Provider, estimated: Estimate, reply: ChatReply) -> Usage:
    """What an answer came to, by the vendor's report, or where it gave none by its size."""
    reported = reply.usage
    reads, writes = reported.input_tokens, reported.output_tokens
    if not reported.reported:
        reads, writes = (0, 0) if provider.local else (estimated.input_tokens, _written(reply))
    elif reply.finish_reason == "incomplete":
        # A report of the beginning does not count what was written since.
        writes = max(writes, _written(reply))
    used = reported
    if (reads, writes) != (reported.input_tokens, reported.output_tokens):
        used = replace(reported, input_tokens=reads, output_tokens=writes)
    try:
        found = priced(spec, used, local=provider.local)
    except ProviderError:
        found = None
    return Usage(1, reads, writes, Cost() if found is None else found.cost)


def _written(reply: ChatReply) -> int:
    return sum(_tokens(part) for part in reply.parts)


def _tokens(part: Part) -> int:
    if isinstance(part, TextPart | ReasoningPart):
        found = _of_text(part.text)
    elif isinstance(part, ImagePart):
        found = TOKENS_PER_IMAGE
    elif isinstance(part, DocumentPart):
        pages = math.ceil(len(part.data or b"") / BYTES_PER_PAGE)
        found = TOKENS_PER_DOCUMENT * max(pages, 1)
    elif isinstance(part, ToolCallPart):
        found = _of_text(part.name + part.arguments)
    elif isinstance(part, ToolResultPart):
        found = _of_text(part.name + part.content)
    else:
        found = _of_json(part.data)
    return found


def _of_text(text: str) -> int:
    return math.ceil(len(text.encode(errors="replace")) / BYTES_PER_TOKEN)


def _of_json(value: object) -> int:
    return math.ceil(len(orjson.dumps(value, default=dict)) / BYTES_PER_TOKEN)
