"""OpenAI's chat completions as they are answered, whole and as a stream."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from signoff.api.compatible.faults import Fault
from signoff.capabilities.gateway.chat import (
    ChatEvent,
    ChatFinish,
    ChatReply,
    ChatUsage,
    ImagePart,
    ReasoningDelta,
    ReasoningPart,
    TextDelta,
    ToolCallDelta,
)
from signoff.core.values import value

DECLINED = "The model declined to answer."
"""What a refusal says where the model has no words of its own for it."""
_FINISH: dict[ChatFinish, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    # OpenAI's own models end so, with the words in `refusal`.
    "refusal": "stop",
    "content_filter": "content_filter",
}


@value
class Head:
    """What an answer begins with.

    Attributes:
        id: the call's, under which its record is found.
        created: when, as a Unix time in seconds.
        model: who answers, by the name in `models.yaml`.
    """

    id: str
    created: int
    model: str


def finish_of(reply: ChatReply) -> str:
    """OpenAI's word for why a reply ends; a vendor's own word stays: nobody may take it for a clean end."""
    return _FINISH.get(reply.finish_reason) or reply.vendor_finish or "error"


def refusal_of(reply: ChatReply) -> str | None:
    """The words of a refusal; none where there was none."""
    if reply.finish_reason == "refusal":
        return reply.refusal or DECLINED
    return reply.refusal or None


def chat_body(head: Head, reply: ChatReply) -> dict[str, Any]:
    """A whole answer."""
    text, refusal = reply.text, refusal_of(reply)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text if text or not (refusal or reply.tool_calls) else None,
        "refusal": refusal,
    }
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in reply.tool_calls
    ]
    if calls:
        message["tool_calls"] = calls
    thoughts = "".join(part.text for part in reply.parts if isinstance(part, ReasoningPart))
    if thoughts:
        message["reasoning_content"] = thoughts
    if images := images_of(reply):
        message["images"] = images
    return {
        "id": f"chatcmpl-{head.id}",
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": [{"index": 0, "message": message, "logprobs": _logprobs(reply), "finish_reason": finish_of(reply)}],
        "usage": usage_body(reply.usage),
    }


def _logprobs(reply: ChatReply) -> dict[str, Any] | None:
    """Of each token, where they were asked for; of a stream they come with its last chunk."""
    return {"content": likely(reply.logprobs), "refusal": None} if reply.logprobs else None


def likely(tokens: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Tokens with all members that SDKs read, which not every server gives."""
    return [
        {**_token(token), "top_logprobs": [_token(one) for one in token.get("top_logprobs") or ()]} for token in tokens
    ]


def _token(token: Mapping[str, Any]) -> dict[str, Any]:
    text = str(token.get("token", ""))
    data = token.get("bytes")
    return {"token": text, "logprob": token.get("logprob", 0), "bytes": list(text.encode()) if data is None else data}


def images_of(reply: ChatReply) -> list[dict[str, Any]]:
    """Pictures that the model made, as `data:` URLs."""
    found: list[dict[str, Any]] = []
    for part in reply.parts:
        if isinstance(part, ImagePart):
            url = part.url or f"data:{part.media_type};base64,{base64.b64encode(part.data or b'').decode()}"
            found.append({"type": "image_url", "image_url": {"url": url}})
    return found


def usage_body(usage: ChatUsage) -> dict[str, Any]:
    """What was used."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens, "audio_tokens": 0},
    }


def sse(value: Any) -> bytes:
    """An event without a name."""
    return b"data: " + orjson.dumps(value) + b"\n\n"


class ChatFrames:
    """One answer as a stream of chunks.

    Args:
        head: what every chunk repeats.
        usage: whether the stream ends with what it used.
    """

    def __init__(self, head: Head, *, usage: bool) -> None:
        self._usage = usage
        common = {
            "id": f"chatcmpl-{head.id}",
            "object": "chat.completion.chunk",
            "created": head.created,
            "model": head.model,
        }
        self._common = common
        # Of a chunk only the delta changes: the rest is written once.
        ending = ',"usage":null}\n\n' if usage else "}\n\n"
        start = orjson.dumps(common)[:-1].decode()
        self._before = f'data: {start},"choices":[{{"index":0,"delta":'.encode()
        self._after = f',"logprobs":null,"finish_reason":null}}]{ending}'.encode()

    def start(self) -> bytes:
        """The first chunk, which says who speaks."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def event(self, event: ChatEvent) -> bytes:
        """The chunk of one event; nothing for those that show nothing."""
        if isinstance(event, TextDelta):
            return self._chunk({"content": event.text}) if event.text else b""
        if isinstance(event, ReasoningDelta):
            return self._chunk({"reasoning_content": event.text}) if event.text else b""
        if isinstance(event, ToolCallDelta):
            call: dict[str, Any] = {"index": event.index, "function": {"arguments": event.arguments}}
            if event.id:
                call |= {"id": event.id, "type": "function"}
            if event.name:
                call["function"]["name"] = event.name
            return self._chunk({"tool_calls": [call]})
        return b""

    def end(self, reply: ChatReply) -> bytes:
        """The last chunks."""
        frames: list[bytes] = []
        if (refusal := refusal_of(reply)) is not None:
            frames.append(self._chunk({"refusal": refusal}))
        if images := images_of(reply):
            frames.append(self._chunk({"images": images}))
        last: dict[str, Any] = {
            "index": 0,
            "delta": {},
            "logprobs": _logprobs(reply),
            "finish_reason": finish_of(reply),
        }
        frames.append(sse({**self._common, "choices": [last], **({"usage": None} if self._usage else {})}))
        if self._usage:
            frames.append(sse({**self._common, "choices": [], "usage": usage_body(reply.usage)}))
        frames.append(b"data: [DONE]\n\n")
        return b"".join(frames)

    def failed(self, fault: Fault, request_id: str) -> bytes:
        """The error that a stream ends with instead: no `[DONE]` follows."""
        return sse(fault.body("openai", request_id))

    def _chunk(self, delta: dict[str, Any]) -> bytes:
        return self._before + orjson.dumps(delta) + self._after
