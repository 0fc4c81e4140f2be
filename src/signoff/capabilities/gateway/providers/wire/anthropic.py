"""Anthropic's messages: https://docs.anthropic.com/en/api/messages. Bedrock's `invoke` takes the same body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatFinish,
    ChatRequest,
    ChatUsage,
    DocumentPart,
    ImagePart,
    OnlyTool,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    VendorPart,
)
from signoff.capabilities.gateway.providers.wire.building import ReplyBuilder, count, items, members, words
from signoff.capabilities.gateway.providers.wire.errors import NotItsFormatError, of_event
from signoff.capabilities.gateway.providers.wire.framing import Event, Framing
from signoff.capabilities.gateway.providers.wire.pictures import dumped, loaded
from signoff.capabilities.gateway.providers.wire.reading import cannot, encoded
from signoff.capabilities.gateway.providers.wire.schemas import closed, without_annotations
from signoff.capabilities.gateway.providers.wire.tuning import (
    ANTHROPIC,
    ANTHROPIC_BEDROCK,
    anthropic_thinking,
    tuned,
)
from signoff.capabilities.gateway.providers.wire.turns import in_turns

DEFAULT_MAX_TOKENS = 4096
"""The format demands a limit; this one, in tokens, where the request has none."""

_FINISH: dict[str, ChatFinish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}
_TUNED_HERE = frozenset({"effort", "thinking_tokens", "adaptive_thinking", "parallel_tools"})
_OLD = re.compile(r"claude-(instant|v?[12]\b|2\.|3-|(sonnet|opus)-4-(0|2025)|(sonnet|opus)-4$)")
"""Models without structured output."""


class AnthropicMessages:
    """The format. With `bedrock`, the body of Bedrock's `invoke`: without model and stream, which its URL says."""

    def __init__(self, *, bedrock: bool = False) -> None:
        self._bedrock = bedrock
        self._places = ANTHROPIC_BEDROCK if bedrock else ANTHROPIC
        self.tunings = frozenset(self._places) | _TUNED_HERE
        self.framing: Framing = "aws" if bedrock else "sse"

    def shape(self, schema: Mapping[str, Any], model: str) -> dict[str, Any] | None:
        """See `Wire`."""
        return None if self._bedrock or _OLD.search(model) else closed(schema)

    def body(self, request: ChatRequest, model: str, *, stream: bool) -> dict[str, Any]:
        """See `Wire`."""
        body: dict[str, Any] = {"anthropic_version": "bedrock-2023-05-31"} if self._bedrock else {"model": model}
        body["max_tokens"] = request.max_output_tokens or DEFAULT_MAX_TOKENS
        system = [part for message in request.messages if message.role == "system" for part in message.parts]
        if system:
            body["system"] = [_block(part) for part in system]
        body["messages"] = in_turns(request.messages, _block)
        if not self._bedrock:
            body["stream"] = stream
        if request.temperature is not None:
            body["temperature"] = request.temperature
        tuned(body, request.tuning, self._places, elsewhere=_TUNED_HERE)
        body |= anthropic_thinking(request.tuning, model, body["max_tokens"])
        if request.stop:
            body["stop_sequences"] = list(request.stop)
        if request.tools:
            body["tools"] = [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "input_schema": without_annotations(tool.parameters),
                }
                | ({} if tool.strict is None else {"strict": tool.strict})
                for tool in request.tools
            ]
            body["tool_choice"] = _choice(request)
            if request.tuning.parallel_tools is False and request.tool_choice != "none":
                body["tool_choice"]["disable_parallel_tool_use"] = True
        if request.output_schema is not None:
            shape = {"type": "json_schema", "schema": request.output_schema}
            body["output_config"] = {**body.get("output_config", {}), "format": shape}
        return {**body, **request.vendor}

    def reader(self) -> _Reader:
        """See `Wire`."""
        return _Reader()


def _choice(request: ChatRequest) -> dict[str, Any]:
    if isinstance(request.tool_choice, OnlyTool):
        return {"type": "tool", "name": request.tool_choice.name}
    return {"type": "any" if request.tool_choice == "required" else request.tool_choice}


def _block(part: Part) -> dict[str, Any]:  # noqa: PLR0911  (one per kind of part)
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ImagePart):
        return {"type": "image", "source": _source(part)}
    if isinstance(part, DocumentPart):
        return {"type": "document", "source": _source(part), "title": part.name}
    if isinstance(part, ToolCallPart):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": loaded(part.arguments)}
    if isinstance(part, ToolResultPart):
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": part.id, "content": part.content}
        return {**result, "is_error": True} if part.is_error else result
    if isinstance(part, ReasoningPart):
        return dict(part.vendor)
    return dict(part.data)


def _source(part: ImagePart | DocumentPart) -> dict[str, Any]:
    if part.data is None:
        return {"type": "url", "url": part.url}
    if part.media_type == "text/plain":
        return {"type": "text", "media_type": part.media_type, "data": part.data.decode("utf-8", "replace")}
    if part.media_type.startswith("image/") or part.media_type == "application/pdf":
        return {"type": "base64", "media_type": part.media_type, "data": encoded(part.data)}
    raise cannot(f"documents of the type {part.media_type}")


class _Reader:
    def __init__(self) -> None:
        self.built = ReplyBuilder()
        self._usage: dict[str, Any] = {}
        self._vendor: dict[int, tuple[dict[str, Any], list[str]]] = {}

    def feed(self, event: Event) -> list[ChatEvent]:
        body, built = event.body, self.built
        kind = words(body.get("type")) or event.name
        if kind == "error" or event.name == "error":
            raise of_event(body)
        events: list[ChatEvent] = []
        index = count(body.get("index"))
        if kind == "message_start":
            message = members(body.get("message"))
            built.identify(model=message.get("model"), request_id=message.get("id"))
            events = self._use(message)
        elif kind == "content_block_start":
            events = self._start(index, members(body.get("content_block")))
        elif kind == "content_block_delta":
            events = self._delta(index, members(body.get("delta")))
        elif kind == "content_block_stop":
            self._stop(index)
        elif kind == "message_delta":
            events = self._use(body)
            self._finish(members(body.get("delta")))
        return events

    def whole(self, body: dict[str, Any]) -> None:
        if body.get("type") == "error":
            raise of_event(body)
        if not isinstance(body.get("content"), list):
            raise NotItsFormatError("content")
        self.built.identify(model=body.get("model"), request_id=body.get("id"))
        for index, block in enumerate(items(body["content"])):
            self._start(index, block, whole=True)
            self._stop(index)
        self._use(body)
        self._finish(body)

    def _finish(self, body: dict[str, Any]) -> None:
        reason = body.get("stop_reason")
        if isinstance(reason, str) and reason:
            self.built.finish(reason, _FINISH.get(reason, "other"))

    def _start(self, index: int, block: dict[str, Any], *, whole: bool = False) -> list[ChatEvent]:
        built, kind = self.built, words(block.get("type"))
        if kind == "text":
            # Blocks of one answer that citations cut apart are one text; the first delta opens it.
            return built.text(words(block.get("text")), index)
        if kind == "thinking":
            kept = {"type": kind, "thinking": words(block.get("thinking")), "signature": words(block.get("signature"))}
            return built.reasoning(words(block.get("thinking")), index, kept)
        if kind == "redacted_thinking":
            return built.reasoning("", index, block)
        if kind == "tool_use":
            # A stream starts every call with an empty input, and the whole of it follows in deltas.
            arguments = dumped(block.get("input")) if whole or block.get("input") else None
            return built.call(index, id=words(block.get("id")), name=words(block.get("name")), arguments=arguments)
        self._vendor[index] = (block, [])
        return []

    def _delta(self, index: int, delta: dict[str, Any]) -> list[ChatEvent]:
        built, kind = self.built, delta.get("type")
        if kind == "text_delta":
            return built.text(words(delta.get("text")), index)
        if kind == "thinking_delta":
            built.extend_vendor(index, "thinking", words(delta.get("thinking")))
            return built.reasoning(words(delta.get("thinking")), index)
        if kind == "signature_delta":
            built.extend_vendor(index, "signature", words(delta.get("signature")))
        elif kind == "input_json_delta":
            if index in self._vendor:
                self._vendor[index][1].append(words(delta.get("partial_json")))
            else:
                return built.call(index, arguments=words(delta.get("partial_json")))
        return []

    def _stop(self, index: int) -> None:
        if index in self._vendor:
            block, chunks = self._vendor.pop(index)
            if chunks:
                block = {**block, "input": loaded("".join(chunks))}
            self.built.add(VendorPart(words(block.get("type")), block))

    def _use(self, body: dict[str, Any]) -> list[ChatEvent]:
        """Counts are cumulative: a later report replaces what it names."""
        said = members(body.get("usage"))
        self._usage = {**self._usage, **{key: value for key, value in said.items() if value is not None}}
        return self.built.use(_usage(self._usage)) if said else []


def _usage(usage: dict[str, Any]) -> ChatUsage:
    cached, written = count(usage.get("cache_read_input_tokens")), count(usage.get("cache_creation_input_tokens"))
    return ChatUsage(
        input_tokens=count(usage.get("input_tokens")) + cached + written,
        output_tokens=count(usage.get("output_tokens")),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=count(members(usage.get("output_tokens_details")).get("thinking_tokens")),
        reported=True,
        vendor=usage,
    )
