"""Anthropic's messages as they are asked for: https://docs.anthropic.com/en/api/messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from signoff.api.compatible.chat_request import MAX_STOPS, Bounds, Reading, Wanted, dropping
from signoff.api.compatible.functions import COMMON_ONLY, only_tool
from signoff.api.compatible.media import document_at, image_at, image_of, no_upload
from signoff.api.compatible.members import (
    Known,
    a_count,
    a_flag,
    a_number,
    a_string,
    an_array,
    an_object,
    from_base64,
    screened,
    texts,
    unsupported,
    wrong,
)
from signoff.api.compatible.tuning import IN_MESSAGES, read_tuning
from signoff.capabilities.gateway.chat import (
    ChatMessage,
    ChatRequest,
    ChatTool,
    DocumentPart,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)

_VENDORS_OWN = "It runs at the vendor, past the gateway: declare a tool of your own."

KNOWN = Known(
    taken=frozenset(
        (
            "model",
            "messages",
            "max_tokens",
            "system",
            "stop_sequences",
            "temperature",
            "tools",
            "tool_choice",
            "output_config",
            "output_format",
            "stream",
        )
    )
    | IN_MESSAGES,
    neutral={
        "service_tier": ("auto", "standard_only"),
        "mcp_servers": ([],),
        "betas": ([],),
        "speed": ("standard",),
    },
    hints=frozenset(("metadata", "cache_control", "diagnostics", "user_profile_id", "workspace_id")),
    advice={
        "mcp_servers": _VENDORS_OWN,
        "container": _VENDORS_OWN,
        "context_management": "Shorten the conversation before you send it.",
        "inference_geo": "Send the header 'signoff-region'.",
        "compaction": "Shorten the conversation before you send it.",
        "thread": "This server keeps no answers: send the whole conversation as 'messages'.",
        "fallbacks": "Name a route of models.yaml as the 'model'.",
        "fallback_credit_token": "The gateway's own fallbacks need none.",
        "billing_policy": "Limits are those of models.yaml.",
        **dict.fromkeys(("service_tier", "betas", "speed", "prefill"), COMMON_ONLY),
    },
    droppable=frozenset(("service_tier", "betas", "speed", "fallback_credit_token", "billing_policy")),
)
COUNTED = Known(
    KNOWN.taken - {"stream", "max_tokens", "temperature", "stop_sequences"},
    KNOWN.neutral,
    KNOWN.hints,
    KNOWN.advice,
    KNOWN.droppable,
)
OUTPUT = Known(frozenset(("format", "effort")))
_MESSAGE = Known(frozenset(("role", "content")))
_TOOL = Known(
    frozenset(("type", "name", "description", "input_schema", "strict")),
    neutral={"defer_loading": (False,), "allowed_callers": (["direct"],)},
    hints=frozenset(("cache_control", "input_examples", "eager_input_streaming")),
)
_CHOICE = Known(frozenset(("type", "name", "disable_parallel_tool_use")))
_SOURCES = Known(frozenset(("type", "media_type", "data", "url")), advice={"file_id": "Give the bytes, or a URL."})


def read_messages(body: dict[str, Any], bounds: Bounds) -> Wanted:
    """The request of a message.

    Raises:
        RequestError: it is wrong, or asks for what is not supported.
    """
    most = a_count(body.get("max_tokens"), "max_tokens")
    if most is None:
        raise wrong("max_tokens", "'max_tokens' is missing.", "missing_required_parameter")
    return _read(body, KNOWN, bounds, most)


def read_counted(body: dict[str, Any], bounds: Bounds) -> Wanted:
    """The request whose tokens are to be counted.

    Raises:
        RequestError: it is wrong.
    """
    return _read(body, COUNTED, bounds, None)


def _read(body: dict[str, Any], known: Known, bounds: Bounds, most: int | None) -> Wanted:
    reading = Reading(bounds)
    body, drops = dropping(body, bounds)
    reading.ignored += screened(body, known, drops=drops)
    tools = _tools(body.get("tools"), reading)
    request = ChatRequest(
        messages=(*_system(body.get("system"), reading), *_messages(body.get("messages"), reading)),
        tools=tools,
        tool_choice=_choice(body.get("tool_choice"), tools),
        output_schema=_schema(body),
        stop=texts(body.get("stop_sequences"), "stop_sequences", MAX_STOPS),
        max_output_tokens=most,
        temperature=a_number(body.get("temperature"), "temperature", 0, 1),
        tuning=read_tuning(body, tools=bool(tools), drops=drops),
    )
    stream = a_flag(body.get("stream"), "stream")
    return Wanted(a_string(body.get("model"), "model"), request, stream, True, tuple(reading.ignored), body)


def _system(value: Any, reading: Reading) -> tuple[ChatMessage, ...]:
    if value is None:
        return ()
    return (ChatMessage("system", _texts(value, "system", reading)),)


def _messages(value: Any, reading: Reading) -> list[ChatMessage]:
    if value is None:
        raise wrong("messages", "'messages' is missing.", "missing_required_parameter")
    listed = an_array(value, "messages", reading.bounds.messages)
    if not listed:
        raise wrong("messages", "'messages' has to have at least one message.")
    found: list[ChatMessage] = []
    for index, item in enumerate(listed):
        where = f"messages[{index}]"
        message = an_object(item, where)
        screened(message, _MESSAGE, where)
        role = message.get("role")
        if role not in ("user", "assistant", "system"):
            raise wrong(f"{where}.role", f"'{where}.role' is user or assistant.")
        parts = _content(message.get("content"), f"{where}.content", role, reading)
        results = tuple(part for part in parts if isinstance(part, ToolResultPart))
        others = tuple(part for part in parts if not isinstance(part, ToolResultPart))
        found += [ChatMessage("tool", results)] if results else []
        found += [ChatMessage(role, others)] if others or not results else []
    return found


def _texts(value: Any, where: str, reading: Reading) -> tuple[TextPart, ...]:
    """Content that can be words only."""
    if isinstance(value, str):
        return (TextPart(value),)
    found: list[TextPart] = []
    for index, item in enumerate(an_array(value, where, reading.bounds.messages)):
        block = an_object(item, f"{where}[{index}]")
        if block.get("type") != "text":
            raise unsupported(f"{where}[{index}].type", "Only text can stand here.")
        found.append(_text(block, f"{where}[{index}]", reading))
    return tuple(found)


def _text(block: Mapping[str, Any], where: str, reading: Reading) -> TextPart:
    _hints(block, where, reading, "cache_control", "citations")
    return TextPart(a_string(block.get("text"), f"{where}.text"))


def _hints(block: Mapping[str, Any], where: str, reading: Reading, *names: str) -> None:
    reading.ignored += [f"{where}.{name}" for name in names if block.get(name)]


def _content(value: Any, where: str, role: Role, reading: Reading) -> tuple[Part, ...]:
    if isinstance(value, str):
        return (TextPart(value),)
    if value is None:
        raise wrong(where, f"'{where}' is missing.", "missing_required_parameter")
    return tuple(
        _block(an_object(item, f"{where}[{index}]"), f"{where}[{index}]", role, reading)
        for index, item in enumerate(an_array(value, where, reading.bounds.messages))
    )


def _block(  # noqa: PLR0911  (one per kind of block)
    block: dict[str, Any], where: str, role: Role, reading: Reading
) -> Part:
    kind = block.get("type")
    if kind == "text":
        return _text(block, where, reading)
    _hints(block, where, reading, "cache_control")
    if role == "assistant":
        if kind == "tool_use":
            given = an_object(block.get("input"), f"{where}.input")
            call = ToolCallPart(
                a_string(block.get("id"), f"{where}.id"),
                a_string(block.get("name"), f"{where}.name"),
                orjson.dumps(given).decode(),
            )
            reading.names[call.id] = call.name
            return call
        if kind == "thinking":
            return ReasoningPart(a_string(block.get("thinking"), f"{where}.thinking"), block)
        if kind == "redacted_thinking":
            return ReasoningPart("", block)
    elif role == "user":
        if kind == "image":
            return _image(an_object(block.get("source"), f"{where}.source"), f"{where}.source")
        if kind == "document":
            return _document(block, where, reading)
        if kind == "tool_result":
            return _result(block, where, reading)
    if isinstance(kind, str) and kind in ("search_result", "server_tool_use", "container_upload", "mcp_tool_use"):
        raise unsupported(f"{where}.type", _VENDORS_OWN)
    raise wrong(f"{where}.type", f"There is no content '{str(kind)[:40]}' in messages of the role {role}.")


def _image(source: dict[str, Any], where: str) -> Part:
    screened(source, _SOURCES, where)
    if source.get("type") == "url":
        return image_at(a_string(source.get("url"), f"{where}.url"), f"{where}.url")
    if source.get("type") != "base64":
        raise no_upload(f"{where}.type")
    data = from_base64(a_string(source.get("data"), f"{where}.data"), f"{where}.data")
    return image_of(a_string(source.get("media_type"), f"{where}.media_type"), data, where)


def _document(block: dict[str, Any], where: str, reading: Reading) -> DocumentPart:
    _hints(block, where, reading, "citations")
    if block.get("context") is not None:
        raise unsupported(f"{where}.context", "Say it in a text beside the document.")
    name = a_string(block.get("title") or "document", f"{where}.title")
    source = an_object(block.get("source"), f"{where}.source")
    place = f"{where}.source"
    screened(source, _SOURCES, place)
    if source.get("type") == "url":
        return document_at(a_string(source.get("url"), f"{place}.url"), name, f"{place}.url")
    if source.get("type") == "text":
        return DocumentPart("text/plain", a_string(source.get("data"), f"{place}.data").encode(), name=name)
    if source.get("type") != "base64":
        raise no_upload(f"{place}.type")
    data = from_base64(a_string(source.get("data"), f"{place}.data"), f"{place}.data")
    return DocumentPart(a_string(source.get("media_type"), f"{place}.media_type"), data, name=name)


def _result(block: dict[str, Any], where: str, reading: Reading) -> ToolResultPart:
    call = a_string(block.get("tool_use_id"), f"{where}.tool_use_id")
    if call not in reading.names:
        raise wrong(f"{where}.tool_use_id", f"No message before this one has a tool_use '{call[:60]}'.")
    content = block.get("content")
    shown = () if content is None else _texts(content, f"{where}.content", reading)
    failed = a_flag(block.get("is_error"), f"{where}.is_error")
    return ToolResultPart(call, reading.names[call], "".join(part.text for part in shown), failed)


def _tools(value: Any, reading: Reading) -> tuple[ChatTool, ...]:
    found: list[ChatTool] = []
    for index, item in enumerate([] if value is None else an_array(value, "tools", reading.bounds.tools)):
        where = f"tools[{index}]"
        tool = an_object(item, where)
        if tool.get("type") not in (None, "custom"):
            raise unsupported(f"{where}.type", _VENDORS_OWN)
        reading.ignored += screened(tool, _TOOL, where)
        strict = tool.get("strict")
        found.append(
            ChatTool(
                a_string(tool.get("name"), f"{where}.name"),
                a_string(tool.get("description") or "", f"{where}.description"),
                an_object(tool.get("input_schema"), f"{where}.input_schema"),
                None if strict is None else a_flag(strict, f"{where}.strict"),
            )
        )
    return tuple(found)


def _choice(value: Any, tools: tuple[ChatTool, ...]) -> ToolChoice:
    if value is None:
        return "auto"
    choice = an_object(value, "tool_choice")
    screened(choice, _CHOICE, "tool_choice")
    kind = choice.get("type")
    if kind == "tool":
        return only_tool(a_string(choice.get("name"), "tool_choice.name"), tools, "tool_choice.name")
    if kind == "any":
        if not tools:
            raise wrong("tool_choice", "'tool_choice' is for requests with 'tools'.")
        return "required"
    if kind in ("auto", "none"):
        return kind
    raise wrong("tool_choice.type", "'tool_choice.type' is one of auto, any, tool, none.")


def _schema(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    config = an_object(body.get("output_config") or {}, "output_config")
    screened(config, OUTPUT, "output_config")
    where, form = "output_config.format", config.get("format")
    if form is None:
        where, form = "output_format", body.get("output_format")
    if form is None:
        return None
    wanted = an_object(form, where)
    if wanted.get("type") != "json_schema":
        raise wrong(f"{where}.type", f"'{where}.type' is json_schema.")
    return an_object(wanted.get("schema"), f"{where}.schema")
