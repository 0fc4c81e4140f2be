"""OpenAI's chat completions as they are asked for: https://platform.openai.com/docs/api-reference/chat/create."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from signoff.api.compatible.functions import COMMON_ONLY, HINTS, OTHER_TIERS, read_choice, read_format, read_tools
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
    Part,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from signoff.core.values import value

MAX_STOPS = 16
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
        "modalities": (["text"],),
        "service_tier": ("auto", "default", "flex"),
        "store": (False,),
    },
    hints=HINTS,
    advice={
        "n": "Ask several times.",
        "store": "This server keeps no answers; the record of a call is under its 'signoff-call-id'.",
        "functions": _FUNCTIONS,
        "function_call": _FUNCTIONS,
        "audio": _AUDIO,
        "modalities": _AUDIO,
        "web_search_options": "Give the model a tool that searches.",
        "moderation": "Content filters are the project's own.",
        "service_tier": OTHER_TIERS,
        "prediction": COMMON_ONLY,
    },
    droppable=frozenset(("store", "service_tier", "prediction")),
)
MESSAGE = Known(
    frozenset(("role", "content")),
    advice={"name": "Say in the text who speaks.", "audio": _AUDIO, "function_call": _FUNCTIONS},
)
ASSISTANT = Known(
    frozenset(("role", "content", "refusal", "tool_calls")),
    neutral={"annotations": ([],)},
    hints=frozenset(("reasoning_content", "reasoning", "annotations")),
    advice=MESSAGE.advice,
)
STREAM_OPTIONS = Known(frozenset(("include_usage",)), hints=frozenset(("include_obfuscation",)))
TOOL_RESULT = Known(frozenset(("role", "content", "tool_call_id")), hints=frozenset(("name",)))
_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


@value
class Bounds:
    """How much of a conversation this server takes.

    Attributes:
        messages: turns, or items of one.
        tools: of one request.
        drops: whether what is not supported, and can be done without, is left out rather than refused.
    """

    messages: int
    tools: int
    drops: bool = False

    def dropping(self, drops: bool) -> Bounds:
        """These, with what is not supported left out or not."""
        return self if drops == self.drops else replace(self, drops=drops)


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


@value
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


def dropping(body: dict[str, Any], bounds: Bounds) -> tuple[dict[str, Any], bool]:
    """A body without LiteLLM's `drop_params`, and whether what is not supported is to be left out."""
    if "drop_params" not in body:
        return body, bounds.drops
    said = a_flag(body["drop_params"], "drop_params")
    return {name: value for name, value in body.items() if name != "drop_params"}, said or bounds.drops


def read_chat(body: dict[str, Any], bounds: Bounds) -> Wanted:
    """The request of a chat completion.

    Raises:
        RequestError: it is wrong, or asks for what is not supported.
    """
    reading = Reading(bounds)
    body, drops = dropping(body, bounds)
    reading.ignored += screened(body, KNOWN, drops=drops)
    stream = a_flag(body.get("stream"), "stream")
    options = an_object(body.get("stream_options") or {}, "stream_options")
    reading.ignored += screened(options, STREAM_OPTIONS, "stream_options")
    if options and not stream:
        raise wrong("stream_options", "'stream_options' is for requests with 'stream': true.")
    tools = read_tools(body.get("tools"), bounds.tools)
    schema, name = read_format(body.get("response_format"))
    request = ChatRequest(
        messages=_messages(body.get("messages"), reading),
        tools=tools,
        tool_choice=read_choice(body.get("tool_choice"), tools),
        output_schema=schema,
        output_name=name,
        stop=texts(body.get("stop"), "stop", MAX_STOPS),
        max_output_tokens=_limit(body),
        temperature=a_number(body.get("temperature"), "temperature", 0, 2),
        tuning=read_tuning(body, tools=bool(tools), drops=drops),
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
        reading.ignored += screened(message, ASSISTANT, where)
        return ChatMessage(role, _assistant(message, where, reading))
    if role == "tool":
        reading.ignored += screened(message, TOOL_RESULT, where)
        call = a_string(message.get("tool_call_id"), f"{where}.tool_call_id")
        if call not in reading.names:
            raise wrong(f"{where}.tool_call_id", f"No message before this one has a tool call '{call[:60]}'.")
        shown = "".join(part.text for part in _texts(content, f"{where}.content", reading))
        return ChatMessage(role, (ToolResultPart(call, reading.names[call], shown),))
    reading.ignored += screened(message, MESSAGE, where)
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
