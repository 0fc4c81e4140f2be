"""Google's generateContent, for Gemini and Vertex AI: https://ai.google.dev/api/generate-content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

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
from signoff.capabilities.gateway.providers.wire.pictures import dumped, loaded, picture_of
from signoff.capabilities.gateway.providers.wire.reading import encoded
from signoff.capabilities.gateway.providers.wire.schemas import without_annotations
from signoff.capabilities.gateway.providers.wire.tuning import GOOGLE, google_thinking, tuned
from signoff.capabilities.gateway.providers.wire.turns import in_turns

_FINISH: dict[str, ChatFinish] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "LANGUAGE": "refusal",
}
_UNSAID = "FINISH_REASON_UNSPECIFIED"
_IGNORED_WORDS = frozenset({"$schema", "examples", "discriminator"})


class GoogleGenerate:
    """The format."""

    framing: Framing = "sse"
    likelihood: Mapping[str, Any] = {"generationConfig": {"responseLogprobs": True}}
    tunings = frozenset(GOOGLE) | {"effort"}

    def shape(self, schema: Mapping[str, Any], model: str) -> dict[str, Any] | None:  # noqa: ARG002  (the protocol's)
        """See `Wire`."""
        shown = without_annotations(schema)
        return {key: value for key, value in shown.items() if key not in _IGNORED_WORDS}

    def body(self, request: ChatRequest, model: str, *, stream: bool) -> dict[str, Any]:  # noqa: ARG002  (the URL says it)
        """See `Wire`."""
        body: dict[str, Any] = {"contents": in_turns(request.messages, _part, assistant="model", content="parts")}
        system = [part for message in request.messages if message.role == "system" for part in message.parts]
        if system:
            body["systemInstruction"] = {"parts": [_part(part) for part in system]}
        config: dict[str, Any] = {}
        if request.max_output_tokens is not None:
            config["maxOutputTokens"] = request.max_output_tokens
        if request.temperature is not None:
            config["temperature"] = request.temperature
        if request.stop:
            config["stopSequences"] = list(request.stop)
        tuned(config, request.tuning, GOOGLE, elsewhere=frozenset({"effort"}))
        if thinking := google_thinking(request.tuning, model):
            config["thinkingConfig"] = {**config.get("thinkingConfig", {}), **thinking}
        if request.output_schema is not None:
            config |= {"responseMimeType": "application/json", "responseJsonSchema": request.output_schema}
        if config:
            body["generationConfig"] = config
        if request.tools:
            body["tools"] = [
                {
                    "functionDeclarations": [
                        {
                            "name": tool.name,
                            "description": tool.description,
                            "parametersJsonSchema": without_annotations(tool.parameters),
                        }
                        for tool in request.tools
                    ]
                }
            ]
            body["toolConfig"] = {"functionCallingConfig": _choice(request)}
        for key, value in request.vendor.items():
            mine = body.get(key)
            both = isinstance(mine, dict) and isinstance(value, Mapping)
            body[key] = {**cast("dict[str, Any]", mine), **value} if both else value
        return body

    def reader(self) -> _Reader:
        """See `Wire`."""
        return _Reader()


def _choice(request: ChatRequest) -> dict[str, Any]:
    if isinstance(request.tool_choice, OnlyTool):
        return {"mode": "ANY", "allowedFunctionNames": [request.tool_choice.name]}
    return {"mode": {"auto": "AUTO", "none": "NONE", "required": "ANY"}[request.tool_choice]}


def _part(part: Part) -> dict[str, Any]:  # noqa: PLR0911  (one per kind of part)
    if isinstance(part, TextPart):
        return {"text": part.text}
    if isinstance(part, ImagePart | DocumentPart):
        if part.data is None:
            return {"fileData": {"fileUri": part.url, "mimeType": part.media_type}}
        return {"inlineData": {"data": encoded(part.data), "mimeType": part.media_type}}
    if isinstance(part, ToolCallPart):
        return {"functionCall": {"id": part.id, "name": part.name, "args": loaded(part.arguments)}, **part.vendor}
    if isinstance(part, ToolResultPart):
        answer = {"error" if part.is_error else "result": part.content}
        return {"functionResponse": {"id": part.id, "name": part.name, "response": answer}}
    if isinstance(part, ReasoningPart):
        return {"text": part.text, "thought": True, **part.vendor}
    return dict(part.data)


class _Reader:
    def __init__(self) -> None:
        self.built = ReplyBuilder()
        self._calls = 0

    def feed(self, event: Event) -> list[ChatEvent]:
        return self._read(event.body)

    def whole(self, body: dict[str, Any]) -> None:
        if not body.get("error") and "candidates" not in body and "promptFeedback" not in body:
            raise NotItsFormatError("candidates")
        self._read(body)

    def _read(self, body: dict[str, Any]) -> list[ChatEvent]:
        if body.get("error"):
            raise of_event(body)
        built = self.built
        built.identify(model=body.get("modelVersion"), request_id=body.get("responseId"))
        events: list[ChatEvent] = []
        for candidate in items(body.get("candidates"))[:1]:
            for part in items(members(candidate.get("content")).get("parts")):
                events += self._part(part)
            average = candidate.get("avgLogprobs")
            built.likely([float(average)] if isinstance(average, int | float) else [])
            reason = words(candidate.get("finishReason"))
            if reason and reason != _UNSAID:
                built.finish(reason, _FINISH.get(reason, "other"))
        blocked = words(members(body.get("promptFeedback")).get("blockReason"))
        if blocked:
            built.finish(blocked, "content_filter")
        usage = members(body.get("usageMetadata"))
        if usage:
            events += built.use(_usage(usage))
        return events

    def _part(self, part: dict[str, Any]) -> list[ChatEvent]:
        built = self.built
        signature = {key: part[key] for key in ("thoughtSignature",) if part.get(key)}
        if part.get("thought"):
            return built.reasoning(words(part.get("text")), None, signature)
        if "functionCall" in part:
            call = members(part["functionCall"])
            self._calls += 1
            return built.call(
                self._calls,
                id=words(call.get("id")) or None,
                name=words(call.get("name")),
                arguments=dumped(members(call.get("args"))),
                vendor=signature,
            )
        if "text" in part:
            events = built.text(words(part["text"]))
            if signature:
                # Signed words: the signature alone is sent back, in an empty text after them, as streams bring it.
                built.add(VendorPart("thoughtSignature", {"text": "", **signature}))
            return events
        data = members(part.get("inlineData"))
        if words(data.get("mimeType")).startswith("image/"):
            built.add(picture_of(words(data.get("data")), words(data.get("mimeType"))))
        elif part:
            built.add(VendorPart(next(iter(part)), part))
        return []


def _usage(usage: dict[str, Any]) -> ChatUsage:
    thoughts = count(usage.get("thoughtsTokenCount"))
    return ChatUsage(
        # What Google's own tools read is reported apart, and charged as input.
        input_tokens=count(usage.get("promptTokenCount")) + count(usage.get("toolUsePromptTokenCount")),
        output_tokens=count(usage.get("candidatesTokenCount")) + thoughts,
        cached_input_tokens=count(usage.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
        image_input_tokens=_images(usage.get("promptTokensDetails")),
        image_output_tokens=_images(usage.get("candidatesTokensDetails")),
        reported=True,
        vendor=usage,
    )


def _images(details: Any) -> int:
    return sum(count(item.get("tokenCount")) for item in items(details) if item.get("modality") == "IMAGE")
