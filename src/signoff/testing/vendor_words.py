"""What a vendor's model says, in the bytes of the vendors' formats: pieces of one answer, whole or as events."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Endpoint = Literal["chat", "responses", "embeddings", "messages"]
_PATHS: Mapping[str, Endpoint] = {
    "/chat/completions": "chat",
    "/responses": "responses",
    "/embeddings": "embeddings",
    "/messages": "messages",
}
INPUT_TOKENS, OUTPUT_TOKENS = 11, 7
CACHED_TOKENS = 4


def endpoint_of(path: str) -> Endpoint:
    """Which of the API's a path is.

    Raises:
        ValueError: none.
    """
    for ending, endpoint in _PATHS.items():
        if path.partition("?")[0].endswith(ending):
            return endpoint
    raise ValueError(path)


class Said:
    """One answer.

    Args:
        model: who says it.
        words: the text, in the pieces that a stream has.
        tool: a call of this tool instead.
        arguments: of the call, in pieces.
        finish: OpenAI's reason.
        refusal: the model declines in these words.
        thoughts: what it thought before.
    """

    def __init__(
        self,
        model: str,
        words: Sequence[str] = (),
        *,
        tool: str = "",
        arguments: Sequence[str] = ('{"city": ', '"Oslo"}'),
        finish: str = "stop",
        refusal: str = "",
        thoughts: str = "",
    ) -> None:
        self.model = model
        self.words = list(words)
        self.tool = tool
        self.arguments = list(arguments)
        self.finish = "tool_calls" if tool else finish
        self.refusal = refusal
        self.thoughts = thoughts

    @property
    def text(self) -> str:
        """All words."""
        return "".join(self.words)


def whole(endpoint: Endpoint, said: Said, inputs: int = 1) -> dict[str, Any]:
    """The answer at once. `inputs` counts the texts of which embeddings are wanted."""
    return {"chat": _chat, "responses": _responses, "messages": _messages, "embeddings": _embeddings}[endpoint](
        said, inputs
    )


def streamed(endpoint: Endpoint, said: Said) -> list[bytes]:
    """The answer as events; the last ones end it."""
    if endpoint == "messages":
        return _messages_events(said)
    if endpoint == "responses":
        return _responses_events(said)
    return _chat_events(said)


def error_body(endpoint: Endpoint, status: int) -> dict[str, Any]:
    """The vendor's words for an error status."""
    if endpoint == "messages":
        kinds = {429: "rate_limit_error", 529: "overloaded_error", 400: "invalid_request_error"}
        return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": "scripted"}}
    kinds = {429: "rate_limit_exceeded", 400: "context_length_exceeded"}
    return {"error": {"message": "scripted", "type": "api_error", "code": kinds.get(status, "server_error")}}


def error_event(endpoint: Endpoint) -> bytes:
    """An error in the middle of a stream."""
    body = error_body(endpoint, 529 if endpoint == "messages" else 500)
    if endpoint == "messages":
        return _event("error", body)
    if endpoint == "responses":
        return _event("error", {"type": "error", "code": "server_error", "message": "scripted", "param": None})
    return _data(body)


def _data(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _event(name: str, value: Any) -> bytes:
    return f"event: {name}\n".encode() + _data(value)


def _usage() -> dict[str, Any]:
    return {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
    }


def _call(said: Said) -> dict[str, Any]:
    function = {"name": said.tool, "arguments": "".join(said.arguments)}
    return {"id": "call_1", "type": "function", "function": function}


def _chat(said: Said, _inputs: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said.text or None, "refusal": said.refusal or None}
    if said.tool:
        message["tool_calls"] = [_call(said)]
    if said.thoughts:
        message["reasoning_content"] = said.thoughts
    choice = {"index": 0, "message": message, "finish_reason": said.finish}
    return {
        "id": "chatcmpl-stub",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": said.model,
        "choices": [choice],
        "usage": _usage(),
    }


def _chat_events(said: Said) -> list[bytes]:
    common = {"id": "chatcmpl-stub", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": said.model}

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        return _data({**common, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    events = [chunk({"role": "assistant", "content": ""})]
    if said.thoughts:
        events.append(chunk({"reasoning_content": said.thoughts}))
    events += [chunk({"content": word}) for word in said.words]
    if said.refusal:
        events.append(chunk({"refusal": said.refusal}))
    if said.tool:
        begun = {**_call(said), "index": 0, "function": {"name": said.tool, "arguments": ""}}
        events.append(chunk({"tool_calls": [begun]}))
        events += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": more}}]}) for more in said.arguments]
    ending = [chunk({}, said.finish), _data({**common, "choices": [], "usage": _usage()}), b"data: [DONE]\n\n"]
    return [*events, b"".join(ending)]


def _responses(said: Said, _inputs: int) -> dict[str, Any]:
    output: list[dict[str, Any]] = []
    if said.thoughts:
        summary = [{"type": "summary_text", "text": said.thoughts}]
        output.append({"type": "reasoning", "id": "rs_1", "summary": summary})
    content: list[dict[str, Any]] = []
    if said.words:
        content.append({"type": "output_text", "text": said.text, "annotations": []})
    if said.refusal:
        content.append({"type": "refusal", "refusal": said.refusal})
    if content:
        output.append(
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
        )
    if said.tool:
        arguments = "".join(said.arguments)
        output.append(
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": said.tool, "arguments": arguments}
        )
    cut = said.finish == "length"
    return {
        "id": "resp_stub",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "error": None,
        "model": said.model,
        "output": output,
        "usage": {
            "input_tokens": INPUT_TOKENS,
            "input_tokens_details": {"cached_tokens": CACHED_TOKENS},
            "output_tokens": OUTPUT_TOKENS,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        },
    }


def _responses_events(said: Said) -> list[bytes]:
    answer = _responses(said, 1)
    begun: dict[str, Any] = {**answer, "status": "in_progress", "output": [], "usage": None}
    events = [_event("response.created", {"type": "response.created", "response": begun})]
    for index, item in enumerate(answer["output"]):
        where = {"output_index": index}
        added: dict[str, Any] = {**item, "content": [], "summary": []}
        if item["type"] == "function_call":
            added = {**item, "arguments": ""}
        events.append(
            _event("response.output_item.added", {"type": "response.output_item.added", **where, "item": added})
        )
        name, pieces = {
            "message": ("response.output_text.delta", said.words),
            "function_call": ("response.function_call_arguments.delta", said.arguments),
            "reasoning": ("response.reasoning_summary_text.delta", [said.thoughts]),
        }[item["type"]]
        more = {**where, "item_id": item["id"], "content_index": 0, "summary_index": 0}
        events += [_event(name, {"type": name, **more, "delta": piece}) for piece in pieces]
        events.append(_event("response.output_item.done", {"type": "response.output_item.done", **where, "item": item}))
    ending = f"response.{answer['status']}"
    return [*events, _event(ending, {"type": ending, "response": answer})]


def _messages_usage() -> dict[str, Any]:
    # Here the cached input is counted apart.
    read = {"input_tokens": INPUT_TOKENS - CACHED_TOKENS, "cache_read_input_tokens": CACHED_TOKENS}
    return {**read, "output_tokens": OUTPUT_TOKENS}


def _messages_stop(said: Said) -> str:
    if said.refusal:
        return "refusal"
    return {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}.get(said.finish, said.finish)


def _messages(said: Said, _inputs: int) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if said.thoughts:
        content.append({"type": "thinking", "thinking": said.thoughts, "signature": "c2ln"})
    if said.words:
        content.append({"type": "text", "text": said.text})
    if said.tool:
        given = json.loads("".join(said.arguments))
        content.append({"type": "tool_use", "id": "call_1", "name": said.tool, "input": given})
    return {
        "id": "msg_stub",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": content,
        "stop_reason": _messages_stop(said),
        "stop_sequence": None,
        "usage": _messages_usage(),
    }


def _messages_events(said: Said) -> list[bytes]:
    answer = _messages(said, 1)
    begun: dict[str, Any] = {**answer, "content": [], "stop_reason": None}
    events = [_event("message_start", {"type": "message_start", "message": begun})]
    for index, block in enumerate(answer["content"]):
        kind = block["type"]
        shapes: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
            "text": ({"type": kind, "text": ""}, [{"type": "text_delta", "text": word} for word in said.words]),
            "thinking": (
                {"type": kind, "thinking": "", "signature": ""},
                [
                    {"type": "thinking_delta", "thinking": said.thoughts},
                    {"type": "signature_delta", "signature": "c2ln"},
                ],
            ),
            "tool_use": (
                {**block, "input": {}},
                [{"type": "input_json_delta", "partial_json": piece} for piece in said.arguments],
            ),
        }
        empty, deltas = shapes[kind]
        where = {"index": index}
        events.append(_event("content_block_start", {"type": "content_block_start", **where, "content_block": empty}))
        events += [
            _event("content_block_delta", {"type": "content_block_delta", **where, "delta": delta}) for delta in deltas
        ]
        events.append(_event("content_block_stop", {"type": "content_block_stop", **where}))
    delta = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    told = {"type": "message_delta", "delta": delta, "usage": answer["usage"]}
    return [*events, _event("message_delta", told) + _event("message_stop", {"type": "message_stop"})]


def _embeddings(said: Said, inputs: int) -> dict[str, Any]:
    data = [{"object": "embedding", "index": index, "embedding": [3.0, 4.0, float(index)]} for index in range(inputs)]
    usage = {"prompt_tokens": inputs, "total_tokens": inputs}
    return {"object": "list", "data": data, "model": said.model, "usage": usage}
