"""Amazon Bedrock's converse, and what its `invoke` brings of models that are not Anthropic's.

Format: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.
"""

from __future__ import annotations

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
from signoff.capabilities.gateway.providers.wire.anthropic import AnthropicMessages
from signoff.capabilities.gateway.providers.wire.building import ReplyBuilder, count, items, members, words
from signoff.capabilities.gateway.providers.wire.errors import NotItsFormatError, of_event
from signoff.capabilities.gateway.providers.wire.framing import Event, Framing
from signoff.capabilities.gateway.providers.wire.pictures import dumped, loaded
from signoff.capabilities.gateway.providers.wire.reading import Reader, cannot, encoded
from signoff.capabilities.gateway.providers.wire.schemas import without_annotations
from signoff.capabilities.gateway.providers.wire.tuning import CONVERSE, tuned
from signoff.capabilities.gateway.providers.wire.turns import in_turns

_FINISH: dict[str, ChatFinish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "refusal": "refusal",
}
_INVOKED: dict[str, ChatFinish] = {
    "COMPLETE": "stop",
    "FINISH": "stop",
    "FINISHED": "stop",
    "stop": "stop",
    "endoftext": "stop",
    "LENGTH": "length",
    "MAX_TOKENS": "length",
    "length": "length",
    "CONTENT_FILTERED": "content_filter",
    "ERROR_TOXIC": "content_filter",
}
_SERVER_CALLS = frozenset({"server_tool_use"})
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/plain": "txt",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}


class BedrockConverse:
    """The format. Structured output differs by model there, so the schema is told in words."""

    framing: Framing = "aws"
    tunings = frozenset(CONVERSE)

    def shape(self, schema: Mapping[str, Any], model: str) -> dict[str, Any] | None:  # noqa: ARG002  (the protocol's)
        """See `Wire`."""
        return None

    def body(self, request: ChatRequest, model: str, *, stream: bool) -> dict[str, Any]:  # noqa: ARG002  (the URL says both)
        """See `Wire`."""
        body: dict[str, Any] = {"messages": in_turns(request.messages, _block)}
        system = [part for message in request.messages if message.role == "system" for part in message.parts]
        if system:
            body["system"] = [_block(part) for part in system]
        config: dict[str, Any] = {}
        if request.max_output_tokens is not None:
            config["maxTokens"] = request.max_output_tokens
        if request.temperature is not None:
            config["temperature"] = request.temperature
        if request.stop:
            config["stopSequences"] = list(request.stop)
        tuned(config, request.tuning, CONVERSE)
        if config:
            body["inferenceConfig"] = config
        # Converse has no "none": without the tools nothing can be called.
        if request.tools and request.tool_choice != "none":
            body["toolConfig"] = {"tools": [_tool(tool) for tool in request.tools], "toolChoice": _choice(request)}
        return {**body, **request.vendor}

    def reader(self) -> _Reader:
        """See `Wire`."""
        return _Reader()


class BedrockInvoke(AnthropicMessages):
    """`invoke` asks Anthropic's models; answers of the older text models are read too."""

    def __init__(self) -> None:
        super().__init__(bedrock=True)

    def reader(self) -> Reader:  # pyright: ignore[reportIncompatibleMethodOverride]  (a wider reader: it reads older models' answers too)
        """See `Wire`."""
        return _InvokeReader(super().reader())


def _tool(tool: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": without_annotations(tool.parameters)}}
    # An empty description is refused.
    return {"toolSpec": {**spec, "description": tool.description} if tool.description else spec}


def _choice(request: ChatRequest) -> dict[str, Any]:
    if isinstance(request.tool_choice, OnlyTool):
        return {"tool": {"name": request.tool_choice.name}}
    return {"any": {}} if request.tool_choice == "required" else {"auto": {}}


def _block(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"text": part.text}
    if isinstance(part, ImagePart):
        return {"image": {"format": part.media_type.removeprefix("image/"), "source": _source(part)}}
    if isinstance(part, DocumentPart):
        kind = _DOCUMENTS.get(part.media_type)
        if kind is None:
            raise cannot(f"documents of the type {part.media_type}")
        return {"document": {"format": kind, "name": _name(part.name), "source": _source(part)}}
    if isinstance(part, ToolCallPart):
        return {"toolUse": {"toolUseId": part.id, "name": part.name, "input": loaded(part.arguments)}}
    if isinstance(part, ToolResultPart):
        status = "error" if part.is_error else "success"
        return {"toolResult": {"toolUseId": part.id, "content": [{"text": part.content}], "status": status}}
    return dict(part.vendor) if isinstance(part, ReasoningPart) else dict(part.data)


def _source(part: ImagePart | DocumentPart) -> dict[str, Any]:
    if part.data is not None:
        return {"bytes": encoded(part.data)}
    if part.url and part.url.startswith("s3://"):
        return {"s3Location": {"uri": part.url}}
    raise cannot("URLs other than s3://")


def _name(name: str) -> str:
    """Letters, digits, single blanks, hyphens and brackets: the format refuses more (dots, too)."""
    return " ".join("".join(c if c.isalnum() or c in "-()[] " else " " for c in name).split()) or "document"


class _Reader:
    def __init__(self) -> None:
        self.built = ReplyBuilder()
        self._server: dict[int, tuple[str, dict[str, Any], list[str]]] = {}

    def whole(self, body: dict[str, Any]) -> None:
        content = members(members(body.get("output")).get("message")).get("content")
        if not isinstance(content, list):
            raise NotItsFormatError("output.message.content")
        for index, block in enumerate(items(content)):
            self._block(index, block)
        self._use(body)
        self._finish(body)

    def feed(self, event: Event) -> list[ChatEvent]:
        body, name = event.body, event.name
        if name == "error":
            raise of_event(body)
        index = count(body.get("contentBlockIndex"))
        events: list[ChatEvent] = []
        if name == "contentBlockStart":
            events = self._start(index, members(body.get("start")))
        elif name == "contentBlockDelta":
            events = self._delta(index, members(body.get("delta")))
        elif name == "contentBlockStop" and index in self._server:
            kind, block, chunks = self._server.pop(index)
            more = {"input": loaded("".join(chunks))} if chunks and kind == "toolUse" else {}
            self.built.add(VendorPart(kind, {kind: {**block, **more}}))
        elif name == "messageStop":
            self._finish(body)
        elif name == "metadata":
            events = self._use(body)
        return events

    def _block(self, index: int, block: dict[str, Any]) -> None:
        built = self.built
        call = members(block.get("toolUse"))
        if call and call.get("type") not in _SERVER_CALLS:
            arguments = dumped(members(call.get("input")))
            built.call(index, id=words(call.get("toolUseId")), name=words(call.get("name")), arguments=arguments)
        elif isinstance(block.get("text"), str):
            built.text(block["text"], index)
        elif "reasoningContent" in block:
            said = members(members(block["reasoningContent"]).get("reasoningText"))
            built.reasoning(words(said.get("text")), index, block)
        elif block:
            kind = next(iter(block))
            built.add(VendorPart(kind, block))

    def _start(self, index: int, start: dict[str, Any]) -> list[ChatEvent]:
        call = members(start.get("toolUse"))
        if call and call.get("type") not in _SERVER_CALLS:
            return self.built.call(index, id=words(call.get("toolUseId")), name=words(call.get("name")))
        for kind, block in start.items():
            self._server[index] = (kind, members(block), [])
        return []

    def _delta(self, index: int, delta: dict[str, Any]) -> list[ChatEvent]:
        built = self.built
        if isinstance(delta.get("text"), str):
            return built.text(delta["text"], index)
        if "toolUse" in delta:
            more = words(members(delta["toolUse"]).get("input"))
            if index not in self._server:
                return built.call(index, arguments=more)
            self._server[index][2].append(more)
        elif "reasoningContent" in delta:
            said = members(delta["reasoningContent"])
            events = built.reasoning(words(said.get("text")), index)
            built.keep_converse_reasoning(index, said)
            return events
        return []

    def _finish(self, body: dict[str, Any]) -> None:
        reason = words(body.get("stopReason"))
        if reason:
            self.built.finish(reason, _FINISH.get(reason, "other"))

    def _use(self, body: dict[str, Any]) -> list[ChatEvent]:
        usage = members(body.get("usage"))
        if not usage:
            return []
        cached, written = count(usage.get("cacheReadInputTokens")), count(usage.get("cacheWriteInputTokens"))
        return self.built.use(
            ChatUsage(
                input_tokens=count(usage.get("inputTokens")) + cached + written,
                output_tokens=count(usage.get("outputTokens")),
                cached_input_tokens=cached,
                cache_write_tokens=written,
                reported=True,
                vendor=usage,
            )
        )


class _InvokeReader:
    """Anthropic's answers, else whichever of the text models' forms it is."""

    def __init__(self, anthropic: Reader) -> None:
        self._anthropic = anthropic
        self._guarded = False

    @property
    def built(self) -> ReplyBuilder:
        return self._anthropic.built

    def feed(self, event: Event) -> list[ChatEvent]:
        if words(event.body.get("type")) or event.name == "error":
            events = self._anthropic.feed(event)
        else:
            events = self._text(event.body)
        self._guard(event.body)
        return events

    def whole(self, body: dict[str, Any]) -> None:
        if isinstance(body.get("content"), list):
            self._anthropic.whole(body)
        else:
            self._text(body)
            if not self.built.ended:
                raise NotItsFormatError("an answer of a text model")
        self._guard(body)

    def _guard(self, body: dict[str, Any]) -> None:
        """A guardrail that stepped in says so beside the model's own words, which end as if nothing had been."""
        self._guarded |= body.get("amazon-bedrock-guardrailAction") == "INTERVENED"
        # Blocked input comes as one last event, which gives no reason of its own.
        if self._guarded and (self.built.ended or "totalOutputTextTokenCount" in body):
            self.built.finish("guardrail_intervened", "content_filter")

    def _text(self, body: dict[str, Any]) -> list[ChatEvent]:
        """Titan's `results`, Cohere's `generations`, AI21's `completions`, Mistral's `outputs`, Meta's `generation`."""
        built = self.built
        built.identify(request_id=body.get("id"))
        found = [item for key in ("results", "generations", "completions", "outputs") for item in items(body.get(key))]
        first = found[0] if found else body
        said = first.get("outputText") or first.get("text") or members(first.get("data")).get("text")
        events = built.text(words(said) or words(first.get("generation")))
        reason = first.get("completionReason") or first.get("finish_reason") or first.get("stop_reason")
        reason = reason or first.get("finishReason") or ""
        reason = words(reason) or words(members(reason).get("reason"))
        if reason:
            built.finish(reason, _INVOKED.get(reason, "other"))
        # The last event of a stream brings AWS's own count, whoever the model is of.
        metered = members(body.get("amazon-bedrock-invocationMetrics"))
        read = metered.get("inputTokenCount", body.get("inputTextTokenCount", body.get("prompt_token_count")))
        written = first.get("tokenCount", body.get("generation_token_count", body.get("totalOutputTextTokenCount")))
        written = metered.get("outputTokenCount", written)
        if read is not None or written is not None:
            usage = {"input_tokens": read, "output_tokens": written}
            events += built.use(ChatUsage(count(read), count(written), reported=True, vendor=usage))
        return events
