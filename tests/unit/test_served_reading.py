"""Requests of vendors' SDKs as the served gateway reads them: what is not carried out is told by its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from signoff.api.compatible.chat_request import Bounds, Wanted, read_chat
from signoff.api.compatible.members import MAX_DEPTH, RequestError, read_body
from signoff.api.compatible.messages_request import read_messages
from signoff.api.compatible.responses_request import read_response
from signoff.capabilities.gateway.chat import ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from signoff.capabilities.gateway.tuning import Tuning

BOUNDS = Bounds(messages=4, tools=1)
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
MESSAGE = {**ASK, "max_tokens": 9}
RESPONSE: dict[str, Any] = {"model": "m", "input": "Hello"}


def _picture(url: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


def _told(read: Callable[[dict[str, Any], Bounds], Wanted], body: dict[str, Any]) -> tuple[str | None, str]:
    with pytest.raises(RequestError) as raised:
        read(body, BOUNDS)
    return raised.value.param, raised.value.reason


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"max_tokens": 2**31}, "max_tokens", "integer_above_max_value"),
    ({"messages": [_picture("https://[::1")]}, "messages[0].content[0].image_url.url", "invalid_value"),
    ({"n": 2}, "n", "unsupported_parameter"),
    ({"logprobs": "yes"}, "logprobs", "invalid_type"),
    ({"top_logprobs": 3}, "top_logprobs", "invalid_value"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_value"),
    ({"logit_bias": {"the": -100}}, "logit_bias", "invalid_value"),
    ({"logit_bias": {"50256": -101}}, "logit_bias.50256", "invalid_value"),
    ({"verbosity": "very"}, "verbosity", "invalid_value"),
    ({"service_tier": "priority"}, "service_tier", "unsupported_parameter"),
    ({"drop_params": "yes"}, "drop_params", "invalid_type"),
    ({"seed": "1"}, "seed", "invalid_type"),
    ({"top_p": 2}, "top_p", "invalid_value"),
    ({"presence_penalty": -3}, "presence_penalty", "invalid_value"),
    ({"reasoning_effort": "most"}, "reasoning_effort", "invalid_value"),
    ({"thinking": {"type": "between_tools"}}, "thinking.type", "invalid_value"),
    ({"reasoning_effort": "low", "thinking": {"type": "enabled", "budget_tokens": 9}}, "thinking", "invalid_value"),
    ({"store": True}, "store", "unsupported_parameter"),
    ({"functions": []}, "functions", "unsupported_parameter"),
    ({"modalities": ["audio"]}, "modalities", "unsupported_parameter"),
    ({"colour": "red"}, "colour", "unknown_parameter"),
    ({"temperature": 3}, "temperature", "invalid_value"),
    ({"temperature": True}, "temperature", "invalid_type"),
    ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
    ({"stream": "yes"}, "stream", "invalid_type"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
    ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type", "unsupported_parameter"),
    ({"tools": [{}, {}]}, "tools", "array_above_max_length"),
    ({"messages": []}, "messages", "empty_array"),
    ({"messages": None}, "messages", "missing_required_parameter"),
    ({"messages": ASK["messages"] * 5}, "messages", "array_above_max_length"),
    ({"messages": [{"role": "user", "content": "x", "name": "a"}]}, "messages[0].name", "unsupported_parameter"),
    (
        {"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]},
        "messages[0].tool_call_id",
        "invalid_value",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
        "messages[0].content[0].type",
        "unsupported_parameter",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
        "messages[0].content[0].file.file_id",
        "unsupported_parameter",
    ),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "invalid_type"),
]


@pytest.mark.parametrize(("more", "param", "reason"), REFUSED)
def test_what_a_chat_completion_cannot_have_is_told_by_its_place(more: dict[str, Any], param: str, reason: str) -> None:
    assert _told(read_chat, {**ASK, **more}) == (param, reason)


def test_what_asks_for_the_default_is_taken_and_hints_are_named() -> None:
    defaults = {"n": 1, "logprobs": False, "top_p": 1, "store": False, "seed": None, "parallel_tool_calls": True}
    defaults |= {"frequency_penalty": 0, "thinking": {"type": "disabled"}}
    wanted = read_chat({**ASK, **defaults, "user": "u", "metadata": {}}, BOUNDS)
    assert wanted.ignored == ("metadata", "user")
    assert wanted.request.tuning == Tuning()


def test_chats_are_tuned_in_each_vendors_words() -> None:
    tools = [{"type": "function", "function": {"name": "weather"}}]
    drawn: dict[str, Any] = {"top_p": 0.5, "top_k": 4, "seed": 7, "frequency_penalty": 0.5, "presence_penalty": -0.5}
    more = {**drawn, "reasoning_effort": "low", "parallel_tool_calls": False, "tools": tools}
    assert read_chat({**ASK, **more}, BOUNDS).request.tuning == Tuning(**drawn, effort="low", parallel_tools=False)
    for likely, most in (({"logprobs": True}, 0), ({"logprobs": True, "top_logprobs": 3}, 3)):
        assert read_chat({**ASK, **likely}, BOUNDS).request.tuning == Tuning(logprobs=most)
    included = {"include": ["reasoning.encrypted_content", "message.output_text.logprobs"], "top_logprobs": 2}
    assert read_response({"model": "m", "input": "x", **included}, BOUNDS).request.tuning == Tuning(logprobs=2)
    own = {"model": "m", "input": "x", "top_p": 0.5, "reasoning": {"effort": "high", "summary": "auto"}}
    assert read_response(own, BOUNDS).request.tuning == Tuning(top_p=0.5, effort="high")
    thinking = {"top_k": 4, "thinking": {"type": "enabled", "budget_tokens": 2000}}
    assert read_messages({**MESSAGE, **thinking}, BOUNDS).request.tuning == Tuning(top_k=4, thinking_tokens=2000)
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    called = {"tools": [{"name": "weather", "input_schema": {"type": "object"}}], "tool_choice": choice}
    assert read_messages({**MESSAGE, **called}, BOUNDS).request.tuning == Tuning(parallel_tools=False)
    effort = {"output_config": {"effort": "medium"}}
    assert read_messages({**MESSAGE, **effort}, BOUNDS).request.tuning == Tuning(effort="medium")
    adaptive = {**effort, "thinking": {"type": "adaptive", "display": "summarized"}}
    wanted = Tuning(effort="medium", adaptive_thinking=True)
    assert read_messages({**MESSAGE, **adaptive}, BOUNDS).request.tuning == wanted
    assert wanted.thinks


UNSUPPORTED: list[tuple[dict[str, Any], str]] = [
    ({"mcp_servers": [{}]}, "mcp_servers"),
    ({"service_tier": "priority"}, "service_tier"),
    ({"fallbacks": [{}]}, "fallbacks"),
    ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
]


@pytest.mark.parametrize(("more", "param"), UNSUPPORTED)
def test_what_a_message_cannot_have_is_told_by_its_place(more: dict[str, Any], param: str) -> None:
    assert _told(read_messages, {**MESSAGE, **more}) == (param, "unsupported_parameter")


def test_results_of_tools_and_thoughts_keep_their_turns() -> None:
    turns = [
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, _use()]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "ok"}, _text("And?")]},
    ]
    messages = read_messages({**MESSAGE, "messages": turns}, BOUNDS).request.messages
    assert [message.role for message in messages] == ["assistant", "tool", "user"]
    assert [type(part) for part in messages[0].parts] == [ReasoningPart, ToolCallPart]
    assert messages[1].parts == (ToolResultPart("c1", "f", "ok"),)
    items: list[dict[str, Any]] = [
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "ok"},
        {"role": "user", "content": "And?"},
    ]
    messages = read_response({**RESPONSE, "input": items}, BOUNDS).request.messages
    assert [message.role for message in messages] == ["assistant", "tool", "user"]
    assert messages[2].parts == (TextPart("And?"),)


def _use() -> dict[str, Any]:
    return {"type": "tool_use", "id": "c1", "name": "f", "input": {}}


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"a": NaN}'])
def test_a_body_that_is_no_json_object_is_told(data: bytes) -> None:
    with pytest.raises(RequestError) as raised:
        read_body(data)
    assert raised.value.reason == "invalid_json"


def test_a_body_that_could_not_be_written_again_is_told() -> None:
    """A schema of a tool, for one, goes to the vendor as it came."""
    deepest = b'{"a": ' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    assert read_body(deepest).keys() == {"a"}
    assert read_body(b'{"a": [' + b",".join([b"[]"] * 200) + b"]}").keys() == {"a"}
    with pytest.raises(RequestError, match="deeper than 128 levels") as raised:
        read_body(deepest.replace(b"]}", b"]]}").replace(b": [", b": [["))
    assert raised.value.reason == "invalid_json"
