"""OpenAI's responses, as Azure, OpenRouter and DeepSeek speak them too.

Format: https://platform.openai.com/docs/api-reference/responses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
from signoff.capabilities.gateway.providers.wire.pictures import picture_of
from signoff.capabilities.gateway.providers.wire.reading import cannot, data_url
from signoff.capabilities.gateway.providers.wire.schemas import is_strict, without_annotations
from signoff.capabilities.gateway.providers.wire.tuning import RESPONSES, Places, tuned

_CUT: dict[str, ChatFinish] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}
_LIKELY = "message.output_text.logprobs"
_UNFINISHED = frozenset({"queued", "in_progress"})
"""Of background answers: they may be asked for again, and are no result yet."""


class OpenAIResponses:
    """The format. Nothing is stored at the vendor (`store: false`) unless the request's `vendor` members say so."""

    framing: Framing = "sse"
    likelihood: Mapping[str, Any] = {"include": [_LIKELY]}

    def __init__(self, places: Places = RESPONSES) -> None:
        self._places = places
        self.tunings = frozenset(places)

    def shape(self, schema: Mapping[str, Any], model: str) -> dict[str, Any] | None:  # noqa: ARG002  (the protocol's)
        """See `Wire`."""
        return without_annotations(schema)

    def body(self, request: ChatRequest, model: str, *, stream: bool) -> dict[str, Any]:
        """See `Wire`."""
        if request.stop:
            raise cannot("stop texts")
        body: dict[str, Any] = {"model": model, "input": _input(request.messages), "stream": stream, "store": False}
        if request.max_output_tokens is not None:
            body["max_output_tokens"] = request.max_output_tokens
        if request.temperature is not None:
            body["temperature"] = request.temperature
        tuned(body, request.tuning, self._places)
        if request.tuning.logprobs is not None:
            body["include"] = [_LIKELY]
        if request.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": without_annotations(tool.parameters),
                    # Left out means strict here, which refuses most schemas.
                    "strict": bool(tool.strict),
                }
                for tool in request.tools
            ]
            choice = request.tool_choice
            body["tool_choice"] = {"type": "function", "name": choice.name} if isinstance(choice, OnlyTool) else choice
        if request.output_schema is not None:
            schema = request.output_schema
            shape = {"type": "json_schema", "name": request.output_name, "schema": schema, "strict": is_strict(schema)}
            body.setdefault("text", {})["format"] = shape
        return {**body, **request.vendor}

    def reader(self) -> _Reader:
        """See `Wire`."""
        return _Reader()


def _input(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    for message in messages:
        said: list[dict[str, Any]] = []
        for part in message.parts:
            item = _item(part)
            if item is None:
                said.append(_block(part, message.role))
                continue
            if said:
                sent.append({"role": message.role, "content": said})
                said = []
            sent.append(item)
        if said:
            sent.append({"role": message.role, "content": said})
    return sent


def _item(part: Part) -> dict[str, Any] | None:
    """The part as an item of its own; none where it belongs into a message."""
    if isinstance(part, ToolCallPart):
        call = {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": part.arguments}
        return {**call, **part.vendor}
    if isinstance(part, ToolResultPart):
        return {"type": "function_call_output", "call_id": part.id, "output": part.content}
    if isinstance(part, VendorPart | ReasoningPart):
        return dict(part.data) if isinstance(part, VendorPart) else dict(part.vendor) or None
    return None


def _block(part: Part, role: str) -> dict[str, Any]:
    if isinstance(part, TextPart | ReasoningPart):
        return {"type": "output_text" if role == "assistant" else "input_text", "text": part.text}
    if isinstance(part, ImagePart):
        return {"type": "input_image", "image_url": data_url(part)}
    if isinstance(part, DocumentPart):
        if part.data is None:
            return {"type": "input_file", "file_url": part.url}
        return {"type": "input_file", "filename": part.name, "file_data": data_url(part)}
    raise cannot(type(part).__name__)


class _Reader:
    def __init__(self) -> None:
        self.built = ReplyBuilder()

    def feed(self, event: Event) -> list[ChatEvent]:
        body, built = event.body, self.built
        kind = words(body.get("type")) or event.name
        if kind == "error" or body.get("error"):
            raise of_event(body)
        if kind == "response.failed":
            raise of_event(members(body.get("response")))
        if kind in ("response.completed", "response.incomplete", "response.cancelled"):
            return self._end(members(body.get("response")))
        if kind == "response.created":
            response = members(body.get("response"))
            built.identify(model=response.get("model"), request_id=response.get("id"))
        return self._delta(kind, body)

    def _delta(self, kind: str, body: dict[str, Any]) -> list[ChatEvent]:
        built, delta = self.built, words(body.get("delta"))
        output, content = body.get("output_index"), body.get("content_index", body.get("summary_index"))
        if kind == "response.output_text.delta":
            return built.text(delta, ("text", output, content))
        if kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            return built.reasoning(delta, ("reasoning", output))
        if kind == "response.refusal.delta":
            built.refusal += delta
        elif kind == "response.function_call_arguments.delta":
            return built.call(("call", output), arguments=delta)
        elif kind == "response.output_item.added":
            item = members(body.get("item"))
            if item.get("type") == "function_call":
                return built.call(("call", output), id=words(item.get("call_id")), name=words(item.get("name")))
        elif kind == "response.output_item.done":
            return self._item(members(body.get("item")), output, streamed=True)
        return []

    def whole(self, body: dict[str, Any]) -> None:
        if body.get("error"):
            raise of_event(body)
        if not isinstance(body.get("output"), list):
            raise NotItsFormatError("output")
        for position, item in enumerate(items(body["output"])):
            self._item(item, position, streamed=False)
        self._end(body)

    def _end(self, response: dict[str, Any]) -> list[ChatEvent]:
        built, status = self.built, words(response.get("status"))
        if response.get("error"):
            raise of_event(response)
        built.identify(model=response.get("model"), request_id=response.get("id"))
        usage = members(response.get("usage"))
        events = built.use(_usage(usage)) if usage else []
        if status == "incomplete":
            reason = words(members(response.get("incomplete_details")).get("reason"))
            built.finish(reason or status, _CUT.get(reason, "other"))
        elif status == "completed":
            built.finish(status, "stop")
        elif status and status not in _UNFINISHED:
            built.finish(status, "other")
        return events

    def _item(self, item: dict[str, Any], output: Any, *, streamed: bool) -> list[ChatEvent]:
        """One item of the output. Streamed ones come again whole at their end: only what no delta showed is taken."""
        built, kind = self.built, words(item.get("type"))
        events: list[ChatEvent] = []
        if kind == "message":
            for position, block in enumerate(items(item.get("content"))):
                built.likely(logprobs_of(block.get("logprobs")))
                built.tokens(items(block.get("logprobs")))
                if block.get("type") == "refusal" and not (streamed and built.refusal):
                    built.refusal += words(block.get("refusal"))
                elif block.get("type") != "refusal" and not built.has(("text", output, position)):
                    events += built.text(words(block.get("text")), ("text", output, position))
        elif kind == "reasoning":
            shown = [words(block.get("text")) for key in ("summary", "content") for block in items(item.get(key))]
            text = "" if built.has(("reasoning", output)) else "\n".join(shown)
            # `status` is refused when the item is sent back.
            kept = {key: value for key, value in item.items() if key != "status" and value is not None}
            events += built.reasoning(text, ("reasoning", output), kept)
        elif kind == "function_call":
            key = ("call", output)
            known = built.has(key)
            # A call in a namespace (tool search) is sent back with it.
            more = {name: item[name] for name in ("namespace",) if item.get(name)}
            arguments = words(item.get("arguments"))
            events += built.call(
                key,
                id=words(item.get("call_id")),
                name=words(item.get("name")),
                arguments=None if known else arguments,
                vendor=more,
            )
            if known and arguments:
                events += built.call(key, arguments=built.missing_arguments(key, arguments))
        elif kind == "image_generation_call" and isinstance(item.get("result"), str):
            built.add(picture_of(item["result"], f"image/{item.get('output_format') or 'png'}"))
        elif kind:
            built.add(VendorPart(kind, item))
        return events


def _usage(usage: dict[str, Any]) -> ChatUsage:
    read, written = members(usage.get("input_tokens_details")), members(usage.get("output_tokens_details"))
    return ChatUsage(
        input_tokens=count(usage.get("input_tokens")),
        output_tokens=count(usage.get("output_tokens")),
        cached_input_tokens=count(read.get("cached_tokens")),
        cache_write_tokens=count(read.get("cache_write_tokens")),
        reasoning_tokens=count(written.get("reasoning_tokens")),
        image_input_tokens=count(read.get("image_tokens")),
        image_output_tokens=count(written.get("image_tokens")),
        reported=True,
        vendor=usage,
    )
