"""Anthropic's messages as they are answered, whole and as a stream."""

from __future__ import annotations

from typing import Any

import orjson

from signoff.api.compatible.chat_answer import Head
from signoff.api.compatible.faults import Fault, broken
from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatFinish,
    ChatReply,
    ChatUsage,
    ReasoningDelta,
    ReasoningPart,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
)

_STOP: dict[ChatFinish, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "refusal": "refusal",
    "content_filter": "refusal",
}


def stop_of(reply: ChatReply) -> str:
    """Anthropic's word for why a reply ends; a vendor's own word stays its own."""
    if reply.vendor_finish == "stop_sequence":
        return reply.vendor_finish
    return _STOP.get(reply.finish_reason) or reply.vendor_finish or "error"


def message_body(head: Head, reply: ChatReply) -> dict[str, Any]:
    """A whole answer."""
    content: list[dict[str, Any]] = []
    for part in reply.parts:
        if isinstance(part, TextPart) and part.text:
            content.append({"type": "text", "text": part.text, "citations": None})
        elif isinstance(part, ReasoningPart):
            content.append(_thinking(part))
        elif isinstance(part, ToolCallPart):
            content.append({"type": "tool_use", "id": part.id, "name": part.name, "input": _input(part.arguments)})
    if reply.refusal:
        content.append({"type": "text", "text": reply.refusal, "citations": None})
    return {**_start(head), "content": content, "stop_reason": stop_of(reply), "usage": usage_body(reply.usage)}


def usage_body(usage: ChatUsage) -> dict[str, Any]:
    """What was used: here the cached input is not part of the input."""
    return {
        "input_tokens": usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
    }


def _start(head: Head) -> dict[str, Any]:
    return {
        "id": f"msg_{head.id}",
        "type": "message",
        "role": "assistant",
        "model": head.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage_body(ChatUsage()),
    }


def _thinking(part: ReasoningPart) -> dict[str, Any]:
    if part.vendor.get("type") in ("thinking", "redacted_thinking"):
        return dict(part.vendor)
    return {"type": "thinking", "thinking": part.text, "signature": ""}


def _input(arguments: str) -> Any:
    """The arguments as an object; broken ones are wrapped, not lost."""
    try:
        value: Any = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        value = arguments
    return value if isinstance(value, dict) else {"arguments": value}  # pyright: ignore[reportUnknownVariableType]  (of JSON)


def _event(name: str, value: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps({"type": name, **value}) + b"\n\n"


class MessageFrames:
    """One answer as a stream of events: each block is begun, filled and ended before the next."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._index = -1
        self._open: tuple[str, int] | None = None
        self._calls: set[int] = set()

    def start(self) -> bytes:
        """The event that begins the message."""
        return _event("message_start", {"message": _start(self._head)})

    def event(self, event: ChatEvent) -> bytes:
        """The events of one event; nothing for those that show nothing.

        Raises:
            InterleavedError: a call goes on after another block began, which this format has no place for.
        """
        if isinstance(event, TextDelta) and event.text:
            return self._delta(("text", 0), {"type": "text", "text": ""}, {"type": "text_delta", "text": event.text})
        if isinstance(event, ReasoningDelta) and event.text:
            thinking = {"type": "thinking", "thinking": "", "signature": ""}
            return self._delta(("thinking", 0), thinking, {"type": "thinking_delta", "thinking": event.text})
        if isinstance(event, ToolCallDelta):
            if self._open != ("call", event.index):
                if event.index in self._calls:
                    raise InterleavedError
                self._calls.add(event.index)
            block: dict[str, Any] = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": event.arguments}
            return self._delta(("call", event.index), block, delta)
        return b""

    def end(self, reply: ChatReply) -> bytes:
        """The events that end the message."""
        frames: list[bytes] = []
        # A signature comes with the whole reply, after the thoughts that it is of.
        if reply.refusal:
            frames.append(self.event(TextDelta(reply.refusal)))
        frames.append(self._close())
        delta = {"stop_reason": stop_of(reply), "stop_sequence": None}
        frames.append(_event("message_delta", {"delta": delta, "usage": usage_body(reply.usage)}))
        frames.append(_event("message_stop", {}))
        return b"".join(frames)

    def failed(self, fault: Fault, request_id: str) -> bytes:
        """The error that a stream ends with instead."""
        return b"event: error\ndata: " + orjson.dumps(fault.body("anthropic", request_id)) + b"\n\n"

    def _delta(self, block: tuple[str, int], begun: dict[str, Any], delta: dict[str, Any]) -> bytes:
        frames: list[bytes] = []
        if self._open != block:
            frames.append(self._close())
            self._open, self._index = block, self._index + 1
            frames.append(_event("content_block_start", {"index": self._index, "content_block": begun}))
        frames.append(_event("content_block_delta", {"index": self._index, "delta": delta}))
        return b"".join(frames)

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _event("content_block_stop", {"index": self._index})


class InterleavedError(Exception):
    """A model writes two calls at once, and the format has them one after the other."""

    fault = broken("It wrote two calls of tools at once, which this format has no place for.")
