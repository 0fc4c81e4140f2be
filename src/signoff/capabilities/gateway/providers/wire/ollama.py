"""Ollama's own API, `/api/chat`: https://docs.ollama.com/api. Answers of `/api/generate` are read too.

Its OpenAI-compatible endpoint serves as well; its own one takes the length of the context, and says what was cut.
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
    ImagePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from signoff.capabilities.gateway.providers.wire.building import ReplyBuilder, count, items, logprobs_of, members, words
from signoff.capabilities.gateway.providers.wire.errors import NotItsFormatError, of_event
from signoff.capabilities.gateway.providers.wire.framing import Event, Framing
from signoff.capabilities.gateway.providers.wire.pictures import dumped, loaded
from signoff.capabilities.gateway.providers.wire.reading import cannot, encoded
from signoff.capabilities.gateway.providers.wire.schemas import without_annotations
from signoff.capabilities.gateway.providers.wire.tuning import OLLAMA, tuned

_EFFORTS = ("none", "low", "medium", "high")
_FINISH: dict[str, ChatFinish] = {"stop": "stop", "length": "length"}


class OllamaChat:
    """The format. `tool_choice` other than `auto` and `none` has no place in it."""

    framing: Framing = "json_lines"
    likelihood: Mapping[str, Any] = {"logprobs": True}
    tunings = frozenset(OLLAMA) | {"effort"}

    def shape(self, schema: Mapping[str, Any], model: str) -> dict[str, Any] | None:  # noqa: ARG002  (the protocol's)
        """See `Wire`."""
        return without_annotations(schema)

    def body(self, request: ChatRequest, model: str, *, stream: bool) -> dict[str, Any]:
        """See `Wire`."""
        body: dict[str, Any] = {"model": model, "messages": _messages(request.messages), "stream": stream}
        options: dict[str, Any] = {}
        if request.max_output_tokens is not None:
            options["num_predict"] = request.max_output_tokens
        if request.temperature is not None:
            options["temperature"] = request.temperature
        if request.stop:
            options["stop"] = list(request.stop)
        tuned(options, request.tuning, OLLAMA, elsewhere=frozenset({"effort"}))
        if (effort := request.tuning.effort) is not None:
            if effort in _EFFORTS:
                body["think"] = False if effort == "none" else effort
            elif not request.tuning.optional:
                raise cannot(f"the effort `{effort}`")
        if options:
            body["options"] = options
        if request.tools and request.tool_choice not in ("auto", "none"):
            raise cannot("a tool that must be called")
        if request.tools and request.tool_choice == "auto":
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": without_annotations(tool.parameters),
                    },
                }
                for tool in request.tools
            ]
        if request.output_schema is not None:
            body["format"] = request.output_schema
        return {**body, **request.vendor}

    def reader(self) -> _Reader:
        """See `Wire`."""
        return _Reader()


def _messages(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    for message in messages:
        said: dict[str, Any] = {"role": message.role, "content": ""}
        calls: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, TextPart):
                said["content"] += part.text
            elif isinstance(part, ImagePart) and part.data is not None:
                said.setdefault("images", []).append(encoded(part.data))
            elif isinstance(part, ToolCallPart):
                calls.append({"function": {"name": part.name, "arguments": loaded(part.arguments)}})
            elif isinstance(part, ToolResultPart):
                sent.append({"role": "tool", "content": part.content, "tool_name": part.name})
            elif not hasattr(part, "vendor"):
                raise cannot(type(part).__name__)
        if calls:
            said["tool_calls"] = calls
        if said["content"] or len(said) > len(("role", "content")):
            sent.append(said)
    return sent


class _Reader:
    def __init__(self) -> None:
        self.built = ReplyBuilder()
        self._calls = 0

    def whole(self, body: dict[str, Any]) -> None:
        if not body.get("error") and "done" not in body:
            raise NotItsFormatError("done")
        self._read(body)

    def feed(self, event: Event) -> list[ChatEvent]:
        return self._read(event.body)

    def _read(self, body: dict[str, Any]) -> list[ChatEvent]:
        if body.get("error"):
            raise of_event(body)
        built, message = self.built, members(body.get("message"))
        # An answer has no id here; its time is what the server's log shows.
        built.identify(model=body.get("model"), request_id=None if built.request_id else body.get("created_at"))
        events = built.reasoning(words(message.get("thinking")) or words(body.get("thinking")))
        events += built.text(words(message.get("content")) or words(body.get("response")))
        built.likely(logprobs_of(body.get("logprobs")))
        for call in items(message.get("tool_calls")):
            function = members(call.get("function"))
            self._calls += 1
            arguments, name = dumped(members(function.get("arguments"))), words(function.get("name"))
            events += built.call(self._calls, id=words(call.get("id")) or None, name=name, arguments=arguments)
        if body.get("done") is True:
            reason = words(body.get("done_reason")) or "stop"
            built.finish(reason, _FINISH.get(reason, "other"))
            usage = {key: value for key, value in body.items() if key.endswith(("_count", "_duration"))}
            read, written = count(body.get("prompt_eval_count")), count(body.get("eval_count"))
            events += built.use(ChatUsage(read, written, reported=bool(read or written), vendor=usage))
        return events
