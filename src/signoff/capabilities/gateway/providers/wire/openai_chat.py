"""OpenAI's chat completions, and what others make of them: Azure, Mistral, Groq, OpenRouter, DeepSeek, vLLM and more.

Format: https://platform.openai.com/docs/api-reference/chat. Legacy completions (`choices[].text`) are read too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatFinish,
    ChatMessage,
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
from signoff.capabilities.gateway.providers.wire.building import ReplyBuilder, count, items, logprobs_of, members, words
from signoff.capabilities.gateway.providers.wire.errors import NotItsFormatError, of_event
from signoff.capabilities.gateway.providers.wire.framing import Event, Framing
from signoff.capabilities.gateway.providers.wire.pictures import dumped, picture
from signoff.capabilities.gateway.providers.wire.reading import cannot, data_url
from signoff.capabilities.gateway.providers.wire.schemas import is_strict, without_annotations
from signoff.capabilities.gateway.providers.wire.tuning import OPENAI, Places, tuned
from signoff.core.values import value

_FINISH: dict[str, ChatFinish] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "refusal",
}
_EXTRAS = ("annotations", "audio", "executed_tools")
"""Members of a message that only the vendor understands, kept as `VendorPart`."""


@value
class Dialect:
    """How one vendor differs from OpenAI.

    Attributes:
        max_tokens: the name of the limit.
        usage_on_request: whether a stream reports usage only where `stream_options` asks for it.
        required: its word for "some tool must be called".
        structured: `schema`: it takes a JSON Schema; `words`: it is told the schema in words.
        documents: how it takes files: as `file` with their bytes, as Mistral's `document_url`, or not at all.
        places: where it has what chats are tuned by.
        likelihood: whether it takes `logprobs`.
    """

    max_tokens: str = "max_tokens"
    usage_on_request: bool = True
    required: str = "required"
    structured: Literal["schema", "words"] = "schema"
    documents: Literal["file", "document_url", "none"] = "file"
    places: Places = field(default_factory=lambda: OPENAI)
    likelihood: bool = True


PLAIN = Dialect()
"""OpenAI's own."""


class OpenAIChat:
    """The format in one dialect."""

    framing: Framing = "sse"

    def __init__(self, dialect: Dialect = PLAIN) -> None:
        self._dialect = dialect
        self.tunings = frozenset(dialect.places)
        self.likelihood = {"logprobs": True} if dialect.likelihood else {}

    def shape(self, schema: Mapping[str, Any], model: str) -> dict[str, Any] | None:  # noqa: ARG002  (the protocol's)
        """See `Wire`."""
        return without_annotations(schema) if self._dialect.structured == "schema" else None

    def body(self, request: ChatRequest, model: str, *, stream: bool) -> dict[str, Any]:
        """See `Wire`."""
        dialect = self._dialect
        body: dict[str, Any] = {"model": model, "messages": self._messages(request.messages), "stream": stream}
        if stream and dialect.usage_on_request:
            body["stream_options"] = {"include_usage": True}
        if request.max_output_tokens is not None:
            body[dialect.max_tokens] = request.max_output_tokens
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.stop:
            body["stop"] = list(request.stop)
        tuned(body, request.tuning, dialect.places)
        if request.tuning.logprobs is not None and "logprobs" in dialect.places:
            body["logprobs"] = True
        if request.tools:
            body["tools"] = [
                {"type": "function", "function": _function(tool.name, tool.description, tool.parameters, tool.strict)}
                for tool in request.tools
            ]
            body["tool_choice"] = self._choice(request)
        if request.output_schema is not None:
            schema: dict[str, Any] = {"name": request.output_name, "schema": request.output_schema}
            if is_strict(request.output_schema):
                schema["strict"] = True
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return {**body, **request.vendor}

    def reader(self) -> _Reader:
        """See `Wire`."""
        return _Reader()

    def _choice(self, request: ChatRequest) -> Any:
        if isinstance(request.tool_choice, OnlyTool):
            return {"type": "function", "function": {"name": request.tool_choice.name}}
        return self._dialect.required if request.tool_choice == "required" else request.tool_choice

    def _messages(self, messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []
        for message in messages:
            results = [part for part in message.parts if isinstance(part, ToolResultPart)]
            sent.extend({"role": "tool", "tool_call_id": part.id, "content": part.content} for part in results)
            others = [part for part in message.parts if not isinstance(part, ToolResultPart)]
            if message.role == "assistant":
                sent.append(_assistant(others))
            elif others:
                sent.append({"role": message.role, "content": self._content(others)})
        return sent

    def _content(self, parts: Sequence[Part]) -> Any:
        if all(isinstance(part, TextPart) for part in parts):
            texts = [part.text for part in parts if isinstance(part, TextPart)]
            return texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts]
        return [self._block(part) for part in parts]

    def _block(self, part: Part) -> dict[str, Any]:
        if isinstance(part, TextPart):
            return {"type": "text", "text": part.text}
        if isinstance(part, ImagePart):
            return {"type": "image_url", "image_url": {"url": data_url(part)}}
        if isinstance(part, DocumentPart) and self._dialect.documents == "document_url":
            return {"type": "document_url", "document_url": data_url(part)}
        if isinstance(part, DocumentPart) and self._dialect.documents == "file" and part.data is not None:
            return {"type": "file", "file": {"filename": part.name, "file_data": data_url(part)}}
        if isinstance(part, VendorPart):
            return dict(part.data)
        raise cannot(type(part).__name__)


def _function(name: str, description: str, parameters: Mapping[str, Any], strict: bool | None) -> dict[str, Any]:
    function: dict[str, Any] = {"name": name, "description": description, "parameters": without_annotations(parameters)}
    return function if strict is None else {**function, "strict": strict}


def _assistant(parts: Sequence[Part]) -> dict[str, Any]:
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    calls = [part for part in parts if isinstance(part, ToolCallPart)]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
    if calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
                **call.vendor,
            }
            for call in calls
        ]
    for part in parts:
        if isinstance(part, ReasoningPart):
            # DeepSeek wants its thoughts back while tools are being called, and refuses them otherwise.
            kept = {key: value for key, value in part.vendor.items() if calls or key != "reasoning_content"}
            message.update(kept)
    return message


class _Reader:
    def __init__(self) -> None:
        self.built = ReplyBuilder()

    def feed(self, event: Event) -> list[ChatEvent]:
        if event.done:
            if not self.built.ended:
                # The vendor ends the stream in so many words, so it is whole; it just never said why it stopped.
                self.built.finish("", "stop")
            return []
        return self._read(event.body, "delta")

    def whole(self, body: dict[str, Any]) -> None:
        if not items(body.get("choices")) and not body.get("error"):
            raise NotItsFormatError("choices")
        self._read(body, "message")

    def _read(self, body: dict[str, Any], member: str) -> list[ChatEvent]:
        built = self.built
        built.identify(model=body.get("model"), request_id=body.get("id"))
        usage = members(body.get("usage")) or members(members(body.get("x_groq")).get("usage"))
        events = built.use(_usage(usage)) if usage else []
        if body.get("error"):
            raise of_event(body)
        for choice in items(body.get("choices"))[:1]:
            if choice.get("error"):
                raise of_event(choice)
            message = members(choice.get(member))
            events += self._message(message)
            events += built.text(words(choice.get("text")))
            tokens = members(choice.get("logprobs")).get("content")
            built.likely(logprobs_of(tokens))
            built.tokens(items(tokens))
            reason = choice.get("finish_reason")
            if isinstance(reason, str) and reason:
                built.finish(reason, _FINISH.get(reason, "other"))
        return events

    def _message(self, message: dict[str, Any]) -> list[ChatEvent]:
        built = self.built
        events: list[ChatEvent] = []
        thoughts = words(message.get("reasoning_content")) or words(message.get("reasoning"))
        details = message.get("reasoning_details")
        kept: dict[str, Any] = {"reasoning_content": ""} if message.get("reasoning_content") else {}
        events += built.reasoning(thoughts, "reasoning" if details or thoughts else None)
        built.keep_reasoning("reasoning", kept, items(details))
        content = message.get("content")
        if isinstance(content, str):
            events += built.text(content)
        for block in items(content):
            if block.get("type") == "thinking":
                thinking = block.get("thinking")
                shown = (
                    thinking if isinstance(thinking, str) else "".join(words(i.get("text")) for i in items(thinking))
                )
                events += built.reasoning(shown)
            elif block.get("type") == "text":
                events += built.text(words(block.get("text")))
            else:
                built.add(VendorPart(words(block.get("type")), block))
        built.refusal += words(message.get("refusal"))
        for image in items(message.get("images")):
            built.add(picture(words(members(image.get("image_url")).get("url"))))
        for position, call in enumerate(items(message.get("tool_calls"))):
            events += self._call(call, position)
        if legacy := members(message.get("function_call")):
            events += built.call(
                "function_call", name=words(legacy.get("name")), arguments=words(legacy.get("arguments"))
            )
        for extra in _EXTRAS:
            if message.get(extra):
                built.add(VendorPart(extra, {extra: message[extra]}))
        return events

    def _call(self, call: dict[str, Any], position: int) -> list[ChatEvent]:
        index = call.get("index")
        # Some vendors send no index, or the same one for every call; a new id is a new call all the same.
        key = self.built.call_key(index if isinstance(index, int) else position, words(call.get("id")))
        function = members(call.get("function"))
        arguments = function.get("arguments")
        more = {name: call[name] for name in ("extra_content",) if call.get(name)}
        return self.built.call(
            key,
            id=words(call.get("id")) or None,
            name=words(function.get("name")),
            arguments=arguments if isinstance(arguments, str) else dumped(arguments),
            vendor=more,
        )


def _usage(usage: dict[str, Any]) -> ChatUsage:
    read, written = members(usage.get("prompt_tokens_details")), members(usage.get("completion_tokens_details"))
    cached = (
        read.get("cached_tokens")
        or usage.get("prompt_cache_hit_tokens")
        or usage.get("cached_tokens")
        or usage.get("num_cached_tokens")
    )
    return ChatUsage(
        input_tokens=count(usage.get("prompt_tokens")),
        output_tokens=count(usage.get("completion_tokens")),
        cached_input_tokens=count(cached),
        cache_write_tokens=count(read.get("cache_write_tokens")),
        reasoning_tokens=count(written.get("reasoning_tokens")),
        image_input_tokens=count(read.get("image_tokens")),
        image_output_tokens=count(written.get("image_tokens")),
        reported=True,
        vendor=usage,
    )
