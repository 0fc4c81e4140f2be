"""OpenAI's responses as they are answered, whole and as a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from signoff.api.compatible.chat_answer import Head, likely, refusal_of
from signoff.api.compatible.faults import Fault
from signoff.api.compatible.messages_answer import InterleavedError
from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatReply,
    ChatUsage,
    ReasoningDelta,
    ReasoningPart,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
)

_CUT = {"length": "max_output_tokens", "content_filter": "content_filter"}
_REPEATED: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "reasoning": None,
    "temperature": None,
    "top_p": None,
    "tool_choice": "auto",
    "tools": [],
    "text": {"format": {"type": "text"}},
}
"""Members of the request that the answer repeats, with their defaults."""


def response_body(head: Head, asked: Mapping[str, Any], reply: ChatReply) -> dict[str, Any]:
    """A whole answer."""
    output: list[dict[str, Any]] = []
    told = False
    for part in reply.parts:
        place = f"{head.id}_{len(output)}"
        if isinstance(part, TextPart) and part.text:
            # A vendor tells of one text's tokens after the other's, and we of all with the first.
            output.append(_message(place, [_text(part.text, () if told else reply.logprobs)]))
            told = True
        elif isinstance(part, ReasoningPart):
            output.append(_reasoning(place, part))
        elif isinstance(part, ToolCallPart):
            output.append(_call(place, part))
    refusal = refusal_of(reply)
    if refusal is not None:
        output.append(_message(f"{head.id}_{len(output)}", [{"type": "refusal", "refusal": refusal}]))
    return {**_base(head, asked), "output": output, **_end(reply), "usage": usage_body(reply.usage)}


def usage_body(usage: ChatUsage) -> dict[str, Any]:
    """What was used."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _base(head: Head, asked: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": f"resp_{head.id}",
        "object": "response",
        "created_at": head.created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "metadata": {},
        "model": head.model,
        "output": [],
        "parallel_tool_calls": asked.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "store": False,
        "truncation": "disabled",
        "usage": None,
        **{name: default if asked.get(name) is None else asked[name] for name, default in _REPEATED.items()},
    }


def _end(reply: ChatReply) -> dict[str, Any]:
    """How an answer ended: what is not whole is never `completed`."""
    if reply.finish_reason in ("stop", "tool_calls", "refusal"):
        return {"status": "completed"}
    reason = _CUT.get(reply.finish_reason) or reply.vendor_finish or "unknown"
    return {"status": "incomplete", "incomplete_details": {"reason": reason}}


def _text(text: str, logprobs: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": likely(logprobs)}


def _message(place: str, content: list[dict[str, Any]], status: str = "completed") -> dict[str, Any]:
    return {"id": f"msg_{place}", "type": "message", "status": status, "role": "assistant", "content": content}


def _reasoning(place: str, part: ReasoningPart) -> dict[str, Any]:
    if part.vendor.get("type") == "reasoning":
        return dict(part.vendor)
    return {"id": f"rs_{place}", "type": "reasoning", "summary": [{"type": "summary_text", "text": part.text}]}


def _call(place: str, call: ToolCallPart, status: str = "completed") -> dict[str, Any]:
    return {
        "id": f"fc_{place}",
        "type": "function_call",
        "status": status,
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
    }


class ResponseFrames:
    """One answer as a stream of events: each item is added, filled and done before the next.

    Args:
        head: who answers.
        asked: the request, which the answer repeats in part.
    """

    def __init__(self, head: Head, asked: Mapping[str, Any]) -> None:
        self._head = head
        self._asked = asked
        self._number = -1
        self._open: tuple[str, int] | None = None
        self._said: list[str] = []
        self._call: ToolCallPart | None = None
        self._calls: set[int] = set()
        self._done: list[dict[str, Any]] = []

    def start(self) -> bytes:
        """The events that begin the response."""
        begun = {"response": _base(self._head, self._asked)}
        return self._event("response.created", begun) + self._event("response.in_progress", begun)

    def event(self, event: ChatEvent) -> bytes:
        """The events of one event; nothing for those that show nothing.

        Raises:
            InterleavedError: a call goes on after another item began, which this format has no place for.
        """
        if isinstance(event, TextDelta) and event.text:
            return self._filled(("text", 0), event.text)
        if isinstance(event, ReasoningDelta) and event.text:
            return self._filled(("reasoning", 0), event.text)
        if isinstance(event, ToolCallDelta):
            if self._open != ("call", event.index):
                if event.index in self._calls:
                    raise InterleavedError
                self._calls.add(event.index)
                frames = self._close()
                self._call = ToolCallPart(event.id, event.name, "")
                return frames + self._filled(("call", event.index), event.arguments)
            return self._filled(("call", event.index), event.arguments)
        return b""

    def end(self, reply: ChatReply) -> bytes:
        """The events that end the response."""
        frames = [self._close()]
        if (refusal := refusal_of(reply)) is not None:
            frames.append(self._filled(("refusal", 0), refusal) + self._close())
        whole = {**_base(self._head, self._asked), **_end(reply), "usage": usage_body(reply.usage)}
        said = [block for item in self._done for block in item.get("content", ()) if block["type"] == "output_text"]
        if said:
            said[0]["logprobs"] = likely(reply.logprobs)
        # The items as they were shown, with what only came at the end: a vendor's own form of its thoughts.
        whole["output"] = self._finished(reply)
        frames.append(self._event(f"response.{whole['status']}", {"response": whole}))
        return b"".join(frames)

    def failed(self, fault: Fault, request_id: str) -> bytes:
        """The error that a stream ends with instead. The SDK raises what has a member `error`."""
        told = {"code": fault.code, "message": fault.message, "param": None}
        frame = self._event("error", {**told, **fault.body("openai", request_id)})
        failed = {**_base(self._head, self._asked), "status": "failed", "output": self._done}
        failed["error"] = {"code": "server_error", "message": fault.message}
        return self._event("response.failed", {"response": failed}) + frame

    def _finished(self, reply: ChatReply) -> list[dict[str, Any]]:
        kept = [
            part for part in reply.parts if isinstance(part, ReasoningPart) and part.vendor.get("type") == "reasoning"
        ]
        shown = [item for item in self._done if item["type"] != "reasoning"]
        return [*(dict(part.vendor) for part in kept), *shown] if kept else self._done

    def _filled(self, block: tuple[str, int], delta: str) -> bytes:
        """An item's beginning where it has none yet, and more of it."""
        frames: list[bytes] = []
        if self._open != block:
            frames.append(self._close())
            self._open, self._said = block, []
            frames.append(self._begin(block[0]))
        if delta:
            self._said.append(delta)
            frames.append(self._more(block[0], delta))
        return b"".join(frames)

    @property
    def _place(self) -> str:
        return f"{self._head.id}_{len(self._done)}"

    def _begin(self, kind: str) -> bytes:
        added = "response.output_item.added"
        where = {"output_index": len(self._done)}
        if kind == "call":
            assert self._call is not None
            return self._event(added, {**where, "item": _call(self._place, self._call, "in_progress")})
        if kind == "reasoning":
            item: dict[str, Any] = {"id": f"rs_{self._place}", "type": "reasoning", "summary": []}
            part: dict[str, Any] = {"type": "summary_text", "text": ""}
            more: dict[str, Any] = {**where, "item_id": item["id"], "summary_index": 0, "part": part}
            return self._event(added, {**where, "item": item}) + self._event(
                "response.reasoning_summary_part.added", more
            )
        item = _message(self._place, [], "in_progress")
        part = _text("") if kind == "text" else {"type": "refusal", "refusal": ""}
        more = {**where, "item_id": item["id"], "content_index": 0, "part": part}
        return self._event(added, {**where, "item": item}) + self._event("response.content_part.added", more)

    def _more(self, kind: str, delta: str) -> bytes:
        where: dict[str, Any] = {"output_index": len(self._done), "delta": delta}
        if kind == "call":
            return self._event("response.function_call_arguments.delta", {**where, "item_id": f"fc_{self._place}"})
        if kind == "reasoning":
            more = {**where, "item_id": f"rs_{self._place}", "summary_index": 0}
            return self._event("response.reasoning_summary_text.delta", more)
        where |= {"item_id": f"msg_{self._place}", "content_index": 0}
        if kind == "refusal":
            return self._event("response.refusal.delta", where)
        return self._event("response.output_text.delta", {**where, "logprobs": []})

    def _close(self) -> bytes:
        """The end of the open item."""
        if self._open is None:
            return b""
        kind, said = self._open[0], "".join(self._said)
        where: dict[str, Any] = {"output_index": len(self._done)}
        if kind == "call":
            assert self._call is not None
            item = _call(self._place, ToolCallPart(self._call.id, self._call.name, said))
            told = {**where, "item_id": item["id"], "name": item["name"], "arguments": said}
            frames = self._event("response.function_call_arguments.done", told)
        elif kind == "reasoning":
            item = _reasoning(self._place, ReasoningPart(said))
            told = {**where, "item_id": item["id"], "summary_index": 0}
            frames = self._event("response.reasoning_summary_text.done", {**told, "text": said})
            frames += self._event("response.reasoning_summary_part.done", {**told, "part": item["summary"][0]})
        else:
            part = _text(said) if kind == "text" else {"type": "refusal", "refusal": said}
            item = _message(self._place, [part])
            told = {**where, "item_id": item["id"], "content_index": 0}
            if kind == "refusal":
                frames = self._event("response.refusal.done", {**told, "refusal": said})
            else:
                frames = self._event("response.output_text.done", {**told, "text": said, "logprobs": []})
            frames += self._event("response.content_part.done", {**told, "part": part})
        frames += self._event("response.output_item.done", {**where, "item": item})
        self._done.append(item)
        self._open = None
        return frames

    def _event(self, name: str, value: Mapping[str, Any]) -> bytes:
        self._number += 1
        told = {"type": name, "sequence_number": self._number, **value}
        return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(told) + b"\n\n"
