"""Cohere's chat, version 2: https://docs.cohere.com/reference/chat. Answers of version 1 are read too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatFinish,
    ChatMessage,
    ChatRequest,
    ChatUsage,
    ImagePart,
    OnlyTool,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    VendorPart,
)
from signoff.capabilities.gateway.providers.wire.building import ReplyBuilder, count, items, logprobs_of, members, words
from signoff.capabilities.gateway.providers.wire.errors import NotItsFormatError, of_event
from signoff.capabilities.gateway.providers.wire.framing import Event, Framing
from signoff.capabilities.gateway.providers.wire.pictures import dumped
from signoff.capabilities.gateway.providers.wire.reading import cannot, data_url
from signoff.capabilities.gateway.providers.wire.schemas import without_annotations
from signoff.capabilities.gateway.providers.wire.tuning import COHERE, tuned

_FINISH: dict[str, ChatFinish] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}


class CohereChat:
    """The format."""

    framing: Framing = "sse"
    likelihood: Mapping[str, Any] = {"logprobs": True}
    tunings = frozenset(COHERE)

    def shape(self, schema: Mapping[str, Any], model: str) -> dict[str, Any] | None:  # noqa: ARG002  (the protocol's)
        """See `Wire`."""
        return without_annotations(schema)

    def body(self, request: ChatRequest, model: str, *, stream: bool) -> dict[str, Any]:
        """See `Wire`."""
        tools = request.tools
        if isinstance(request.tool_choice, OnlyTool):
            # The format can only demand that some tool is called: it is given the one.
            tools = [tool for tool in tools if tool.name == request.tool_choice.name]
        body: dict[str, Any] = {"model": model, "messages": _messages(request.messages), "stream": stream}
        if request.max_output_tokens is not None:
            body["max_tokens"] = request.max_output_tokens
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.stop:
            body["stop_sequences"] = list(request.stop)
        tuned(body, request.tuning, COHERE)
        if request.tuning.thinking_tokens is not None:
            body["thinking"]["type"] = "enabled"
        if tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": without_annotations(tool.parameters),
                    },
                }
                for tool in tools
            ]
            if request.tool_choice != "auto":
                body["tool_choice"] = "NONE" if request.tool_choice == "none" else "REQUIRED"
        if request.output_schema is not None:
            body["response_format"] = {"type": "json_object", "json_schema": request.output_schema}
        return {**body, **request.vendor}

    def reader(self) -> _Reader:
        """See `Wire`."""
        return _Reader()


def _messages(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    for message in messages:
        results = [part for part in message.parts if isinstance(part, ToolResultPart)]
        sent.extend({"role": "tool", "tool_call_id": part.id, "content": part.content} for part in results)
        others = [part for part in message.parts if not isinstance(part, ToolResultPart)]
        if message.role == "assistant":
            sent.append(_assistant(others))
        elif others and all(isinstance(part, TextPart) for part in others):
            sent.append({"role": message.role, "content": "".join(p.text for p in others if isinstance(p, TextPart))})
        elif others:
            sent.append({"role": message.role, "content": [_block(part) for part in others]})
    return sent


def _assistant(parts: Sequence[Part]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant"}
    text = "".join(part.text for part in parts if isinstance(part, TextPart))
    calls = [part for part in parts if isinstance(part, ToolCallPart)]
    if text:
        message["content"] = text
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
        for part in parts:
            if isinstance(part, ReasoningPart):
                message.update(part.vendor)
    return message


def _block(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ImagePart):
        return {"type": "image_url", "image_url": {"url": data_url(part)}}
    raise cannot(type(part).__name__)


class _Reader:
    def __init__(self) -> None:
        self.built = ReplyBuilder()

    def whole(self, body: dict[str, Any]) -> None:
        built = self.built
        if not isinstance(body.get("finish_reason"), str):
            raise NotItsFormatError("finish_reason")
        built.identify(model=body.get("model"), request_id=body.get("id") or body.get("response_id"))
        built.likely(logprobs_of(body.get("logprobs"), "text", "logprobs"))
        self._message(members(body.get("message")) or body)
        self._end(body)

    def _message(self, message: dict[str, Any]) -> None:
        built = self.built
        if message.get("tool_plan"):
            built.reasoning(words(message["tool_plan"]), "plan", {"tool_plan": message["tool_plan"]})
        built.text(words(message.get("text")))
        content = message.get("content")
        if isinstance(content, str):
            built.text(content)
        for block in items(content):
            if block.get("type") == "thinking":
                built.reasoning(words(block.get("thinking")), None)
            else:
                built.text(words(block.get("text")))
        for position, call in enumerate(items(message.get("tool_calls"))):
            function = members(call.get("function"))
            name = words(function.get("name")) or words(call.get("name"))
            # Version 1 sends the arguments as JSON, under another name.
            arguments = words(function.get("arguments")) or dumped(call.get("parameters"))
            built.call(position, id=words(call.get("id")) or None, name=name, arguments=arguments)
        if message.get("citations"):
            built.add(VendorPart("citations", {"citations": message["citations"]}))

    def feed(self, event: Event) -> list[ChatEvent]:
        body, built = event.body, self.built
        kind = words(body.get("type")) or event.name
        if body.get("error") or kind == "error":
            raise of_event(body)
        message = members(members(body.get("delta")).get("message"))
        index = count(body.get("index"))
        events: list[ChatEvent] = []
        if kind == "message-start":
            built.identify(request_id=body.get("id"))
        elif kind in ("content-start", "content-delta"):
            content = members(message.get("content"))
            events += built.reasoning(words(content.get("thinking")), ("thinking", index))
            events += built.text(words(content.get("text")), ("text", index))
        elif kind == "tool-plan-delta":
            events += built.reasoning(words(message.get("tool_plan")), "plan")
            built.extend_vendor("plan", "tool_plan", words(message.get("tool_plan")))
        elif kind in ("tool-call-start", "tool-call-delta"):
            call = members(message.get("tool_calls"))
            function = members(call.get("function"))
            arguments, name = words(function.get("arguments")), words(function.get("name"))
            events += built.call(index, id=words(call.get("id")) or None, name=name, arguments=arguments)
        elif kind == "citation-start":
            built.add(VendorPart("citations", message))
        elif kind == "message-end":
            events += self._end(members(body.get("delta")))
        return events

    def _end(self, body: dict[str, Any]) -> list[ChatEvent]:
        reason = words(body.get("finish_reason"))
        if body.get("error") and reason == "ERROR":
            raise of_event(body)
        if reason:
            self.built.finish(reason, _FINISH.get(reason, "other"))
        usage = members(body.get("usage")) or members(body.get("meta"))
        return self.built.use(_usage(usage)) if usage else []


def _usage(usage: dict[str, Any]) -> ChatUsage:
    # What is charged (`billed_units`) leaves out Cohere's own prompt and does not fit `cached_tokens`: see `vendor`.
    tokens = members(usage.get("tokens")) or members(usage.get("billed_units"))
    return ChatUsage(
        input_tokens=count(tokens.get("input_tokens")),
        output_tokens=count(tokens.get("output_tokens")),
        cached_input_tokens=count(usage.get("cached_tokens")),
        reported=True,
        vendor=usage,
    )
