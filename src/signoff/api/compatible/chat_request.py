"""OpenAI's chat completions as they are asked for: https://platform.openai.com/docs/api-reference/chat/create."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from signoff.api.compatible.media import document_at, image_at, no_upload
from signoff.api.compatible.members import (
    Known,
    a_count,
    a_flag,
    a_number,
    a_string,
    an_array,
    an_object,
    screened,
    texts,
    unsupported,
    wrong,
)
from signoff.api.compatible.tuning import IN_CHATS, read_tuning
from signoff.capabilities.gateway.chat import (
    ChatMessage,
    ChatRequest,
    ChatTool,
    OnlyTool,
    Part,
    Role,
    TextPart,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)

MAX_STOPS = 16
_SETTING = "Leave it out: only what every vendor has can be asked of a route."
_FUNCTIONS = "Use 'tools' and 'tool_choice'."
_AUDIO = "Only text is answered."

KNOWN = Known(
    taken=frozenset(
        (
            "model",
            "messages",
            "tools",
            "tool_choice",
            "response_format",
            "stop",
            "max_tokens",
            "max_completion_tokens",
            "temperature",
            "stream",
            "stream_options",
        )
    )
    | IN_CHATS,
    neutral={
        "n": (1,),
        "logprobs": (False,),
        "top_logprobs": (0,),
        "logit_bias": ({},),
        "modalities": (["text"],),
        "service_tier": ("auto", "default"),
        "store": (False,),
    },
    hints=frozenset(
        (
            "user",
            "safety_identifier",
            "metadata",
            "prompt_cache_key",
            "prompt_cache_options",
            "prompt_cache_retention",
        )
    ),
    advice={
        "n": "Ask several times.",
        "logprobs": "No model behind this server reports them; leave it out.",
        "top_logprobs": "No model behind this server reports them; leave it out.",
        "store": "This server keeps no answers; the record of a call is under its 'signoff-call-id'.",
        "functions": _FUNCTIONS,
        "function_call": _FUNCTIONS,
        "audio": _AUDIO,
        "modalities": _AUDIO,
        "web_search_options": "Give the model a tool that searches.",
        "moderation": "Content filters are the project's own.",
        "logit_bias": "Each model has tokens of its own: say in words what to avoid.",
        **dict.fromkeys(("service_tier", "verbosity", "prediction"), _SETTING),
    },
)
_MESSAGE = Known(
    frozenset(("role", "content")),
    advice={"name": "Say in the text who speaks.", "audio": _AUDIO, "function_call": _FUNCTIONS},
)
_ASSISTANT = Known(
    frozenset(("role", "content", "refusal", "tool_calls")),
    neutral={"annotations": ([],)},
    hints=frozenset(("reasoning_content", "reasoning", "annotations")),
    advice=_MESSAGE.advice,
)
_TOOL_RESULT = Known(frozenset(("role", "content", "tool_call_id")), hints=frozenset(("name",)))
_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a conversation this server takes.

    Attributes:
        messages: turns, or items of one.
        tools: of one request.
    """

    messages: int
    tools: int


@dataclass(slots=True)
class Reading:
    """What is gathered while a request is read.

    Attributes:
        ignored: members that were taken without effect.
        names: of the functions called so far, by the calls' ids.
    """

    bounds: Bounds
    ignored: list[str] = field(default_factory=list[str])
    names: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Wanted:
    """A vendor's request, understood.

    Attributes:
        model: which model or route is to answer.
        request: what it is asked.
        stream: whether the answer is wanted as it comes.
        usage_in_stream: whether a stream ends with what it used.
        ignored: members that were taken without effect.
        body: the request itself, which some formats repeat in their answers.
    """

    model: str
    request: ChatRequest
    stream: bool
    usage_in_stream: bool
    ignored: tuple[str, ...]
    body: Mapping[str, Any]


def read_chat(body: dict[str, Any], bounds: Bounds) -> Wanted:
    """The request of a chat completion.

    Raises:
        RequestError: it is wrong, or asks for what is not supported.
    """
    reading = Reading(bounds)
    reading.ignored += screened(body, KNOWN)
    stream = a_flag(body.get("stream"), "stream")
    options = an_object(body.get("stream_options") or {}, "stream_options")
    reading.ignored += screened(
        options, Known(frozenset(("include_usage",)), hints=frozenset(("include_obfuscation",))), "stream_options"
    )
    if options and not stream:
        raise wrong("stream_options", "'stream_options' is for requests with 'stream': true.")
    tools = read_tools(body.get("tools"), bounds)
    schema, name = _format(body.get("response_format"))
    request = ChatRequest(
        messages=_messages(body.get("messages"), reading),
        tools=tools,
        tool_choice=_choice(body.get("tool_choice"), tools),
        output_schema=schema,
        output_name=name,
        stop=texts(body.get("stop"), "stop", MAX_STOPS),
        max_output_tokens=_limit(body),
        temperature=a_number(body.get("temperature"), "temperature", 0, 2),
        tuning=read_tuning(body, tools=bool(tools)),
    )
    usage_in_stream = a_flag(options.get("include_usage"), "stream_options.include_usage")
    return Wanted(a_string(body.get("model"), "model"), request, stream, usage_in_stream, tuple(reading.ignored), body)


def _limit(body: Mapping[str, Any]) -> int | None:
    newer = a_count(body.get("max_completion_tokens"), "max_completion_tokens")
    older = a_count(body.get("max_tokens"), "max_tokens")
    if newer is not None and older is not None and newer != older:
        raise wrong("max_tokens", "Give 'max_completion_tokens' or 'max_tokens', not both.")
    return older if newer is None else newer


def _messages(value: Any, reading: Reading) -> tuple[ChatMessage, ...]:
    if value is None:
        raise wrong("messages", "'messages' is missing.", "missing_required_parameter")
    listed = an_array(value, "messages", reading.bounds.messages)
    if not listed:
        raise wrong("messages", "'messages' has to have at least one message.", "empty_array")
    return tuple(
        _message(an_object(item, f"messages[{index}]"), f"messages[{index}]", reading)
        for index, item in enumerate(listed)
    )


def _message(message: dict[str, Any], where: str, reading: Reading) -> ChatMessage:
    said = a_string(message.get("role"), f"{where}.role")
    role = _ROLES.get(said)
    if role is None:
        raise wrong(f"{where}.role", f"'{where}.role' is one of {', '.join(_ROLES)}; not '{said[:40]}'.")
    content = message.get("content")
    if role == "assistant":
        reading.ignored += screened(message, _ASSISTANT, where)
        return ChatMessage(role, _assistant(message, where, reading))
    if role == "tool":
        reading.ignored += screened(message, _TOOL_RESULT, where)
        call = a_string(message.get("tool_call_id"), f"{where}.tool_call_id")
        if call not in reading.names:
            raise wrong(f"{where}.tool_call_id", f"No message before this one has a tool call '{call[:60]}'.")
        shown = "".join(part.text for part in _texts(content, f"{where}.content", reading))
        return ChatMessage(role, (ToolResultPart(call, reading.names[call], shown),))
    reading.ignored += screened(message, _MESSAGE, where)
    if role == "system":
        return ChatMessage(role, _texts(content, f"{where}.content", reading))
    return ChatMessage(role, _content(content, f"{where}.content", reading))


def _assistant(message: dict[str, Any], where: str, reading: Reading) -> tuple[Part, ...]:
    parts: list[Part] = []
    if message.get("content") is not None:
        parts += _texts(message["content"], f"{where}.content", reading)
    if message.get("refusal") is not None:
        parts.append(TextPart(a_string(message["refusal"], f"{where}.refusal")))
    calls = message.get("tool_calls")
    for index, item in enumerate(
        [] if calls is None else an_array(calls, f"{where}.tool_calls", reading.bounds.messages)
    ):
        place = f"{where}.tool_calls[{index}]"
        call = an_object(item, place)
        if call.get("type", "function") != "function":
            raise unsupported(f"{place}.type", "Only calls of functions can be sent back.")
        function = an_object(call.get("function"), f"{place}.function")
        made = ToolCallPart(
            a_string(call.get("id"), f"{place}.id"),
            a_string(function.get("name"), f"{place}.function.name"),
            a_string(function.get("arguments"), f"{place}.function.arguments"),
        )
        reading.names[made.id] = made.name
        parts.append(made)
    return tuple(parts)


def _texts(value: Any, where: str, reading: Reading) -> tuple[TextPart, ...]:
    """Content that can be words only."""
    parts = _content(value, where, reading)
    for index, part in enumerate(parts):
        if not isinstance(part, TextPart):
            raise wrong(f"{where}[{index}].type", f"'{where}' takes text only in this role.")
    return tuple(part for part in parts if isinstance(part, TextPart))


def _content(value: Any, where: str, reading: Reading) -> tuple[Part, ...]:
    if isinstance(value, str):
        return (TextPart(value),)
    if value is None:
        raise wrong(where, f"'{where}' is missing.", "missing_required_parameter")
    return tuple(
        _part(an_object(item, f"{where}[{index}]"), f"{where}[{index}]", reading)
        for index, item in enumerate(an_array(value, where, reading.bounds.messages))
    )


def _part(part: dict[str, Any], where: str, reading: Reading) -> Part:
    kind = part.get("type")
    if kind == "text":
        return TextPart(a_string(part.get("text"), f"{where}.text"))
    if kind == "refusal":
        return TextPart(a_string(part.get("refusal"), f"{where}.refusal"))
    if kind == "image_url":
        image = an_object(part.get("image_url"), f"{where}.image_url")
        if image.get("detail") not in (None, "auto"):
            reading.ignored.append(f"{where}.image_url.detail")
        return image_at(a_string(image.get("url"), f"{where}.image_url.url"), f"{where}.image_url.url")
    if kind == "file":
        file = an_object(part.get("file"), f"{where}.file")
        if file.get("file_data") is None:
            raise no_upload(f"{where}.file.file_id")
        name = a_string(file.get("filename") or "document", f"{where}.file.filename")
        return document_at(a_string(file.get("file_data"), f"{where}.file.file_data"), name, f"{where}.file.file_data")
    if kind == "input_audio":
        raise unsupported(f"{where}.type", "Transcribe it first.")
    raise wrong(f"{where}.type", f"'{where}.type' is one of text, image_url, file.")


def read_tools(value: Any, bounds: Bounds) -> tuple[ChatTool, ...]:
    """The tools of a chat completion.

    Raises:
        RequestError: one is no function.
    """
    if value is None:
        return ()
    found: list[ChatTool] = []
    for index, item in enumerate(an_array(value, "tools", bounds.tools)):
        where = f"tools[{index}]"
        tool = an_object(item, where)
        if tool.get("type") != "function":
            raise unsupported(f"{where}.type", "The gateway runs no tools of vendors: declare a function.")
        found.append(read_function(an_object(tool.get("function"), f"{where}.function"), f"{where}.function"))
    return tuple(found)


def read_function(function: Mapping[str, Any], where: str) -> ChatTool:
    """A function that the model may call.

    Raises:
        RequestError: it has no name, or no schema.
    """
    name = a_string(function.get("name"), f"{where}.name")
    about = a_string(function.get("description") or "", f"{where}.description")
    strict = function.get("strict")
    strict = None if strict is None else a_flag(strict, f"{where}.strict")
    schema = function.get("parameters")
    if schema is None:
        return ChatTool(name, about, strict=strict)
    return ChatTool(name, about, an_object(schema, f"{where}.parameters"), strict)


def _choice(value: Any, tools: tuple[ChatTool, ...]) -> ToolChoice:
    if value is None:
        return "auto"
    if isinstance(value, dict):
        choice = an_object(value, "tool_choice")
        if choice.get("type") != "function":
            raise unsupported("tool_choice.type", "Send only the tools that may be called.")
        name = a_string(an_object(choice.get("function"), "tool_choice.function").get("name"), "tool_choice.function")
        return only_tool(name, tools, "tool_choice.function.name")
    return tool_choice(a_string(value, "tool_choice"), tools)


def tool_choice(word: str, tools: tuple[ChatTool, ...]) -> ToolChoice:
    """A choice by its word.

    Raises:
        RequestError: it is none, or is made without tools.
    """
    if word in ("none", "auto"):
        return word
    if word == "required":
        if not tools:
            raise wrong("tool_choice", "'tool_choice' is for requests with 'tools'.")
        return word
    raise wrong("tool_choice", "'tool_choice' is none, auto, required, or names a function.")


def only_tool(name: str, tools: tuple[ChatTool, ...], where: str) -> OnlyTool:
    """The one tool that has to be called.

    Raises:
        RequestError: there is no such tool.
    """
    if all(tool.name != name for tool in tools):
        raise wrong(where, f"'tools' has no function '{name[:60]}'.")
    return OnlyTool(name)


def _format(value: Any) -> tuple[Mapping[str, Any] | None, str]:
    """The schema of the answer, and its name."""
    if value is None:
        return None, "answer"
    form = an_object(value, "response_format")
    kind = form.get("type")
    if kind == "json_schema":
        return read_schema(
            an_object(form.get("json_schema"), "response_format.json_schema"), "response_format.json_schema"
        )
    return plain_format(kind, "response_format.type")


def plain_format(kind: Any, where: str) -> tuple[Mapping[str, Any] | None, str]:
    """The schema of a format that brings none.

    Raises:
        RequestError: it is none.
    """
    if kind == "text":
        return None, "answer"
    if kind == "json_object":
        return {"type": "object"}, "answer"
    raise wrong(where, f"'{where}' is one of text, json_object, json_schema.")


def read_schema(form: Mapping[str, Any], where: str) -> tuple[Mapping[str, Any], str]:
    """A schema of the answer, and its name.

    Raises:
        RequestError: it has none.
    """
    name = a_string(form.get("name") or "answer", f"{where}.name")
    return an_object(form.get("schema"), f"{where}.schema"), name
