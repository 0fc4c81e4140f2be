"""OpenAI's responses as they are asked for: https://platform.openai.com/docs/api-reference/responses/create."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from signoff.api.compatible.chat_request import Bounds, Reading, Wanted, dropping
from signoff.api.compatible.functions import (
    COMMON_ONLY,
    HINTS,
    OTHER_TIERS,
    only_tool,
    plain_format,
    read_function,
    read_schema,
    tool_choice,
)
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
    unsupported,
    wrong,
)
from signoff.api.compatible.tuning import IN_RESPONSES, read_tuning
from signoff.capabilities.gateway.chat import (
    ChatMessage,
    ChatRequest,
    ChatTool,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)

_STORED = "This server keeps no answers: send the whole conversation as 'input'."
_LIKELY = "message.output_text.logprobs"
_VENDORS_OWN = "The gateway runs no tools of vendors: declare a function."

KNOWN = Known(
    taken=frozenset(
        (
            "model",
            "input",
            "instructions",
            "tools",
            "tool_choice",
            "text",
            "max_output_tokens",
            "temperature",
            "stream",
            "stream_options",
        )
    )
    | IN_RESPONSES,
    neutral={
        "store": (False,),
        "background": (False,),
        "include": ([], ["reasoning.encrypted_content"]),
        "truncation": ("disabled",),
        "service_tier": ("auto", "default", "flex"),
    },
    hints=HINTS,
    advice={
        "store": _STORED,
        "previous_response_id": _STORED,
        "conversation": _STORED,
        "background": "Start a run of a workflow for work that nobody waits for.",
        "include": "Only 'reasoning.encrypted_content' and 'message.output_text.logprobs' can be included.",
        "truncation": "Shorten the conversation before you send it.",
        "prompt": "Send the rendered prompt as 'input'.",
        "max_tool_calls": "The gateway runs no tools of vendors: count the calls where you run them.",
        "context_management": "Shorten the conversation before you send it.",
        "moderation": "Content filters are the project's own.",
        "service_tier": OTHER_TIERS,
        "background_options": "Start a run of a workflow for work that nobody waits for.",
        "image": "Only text is answered.",
        "access_programs": COMMON_ONLY,
    },
    droppable=frozenset(("store", "include", "max_tool_calls", "service_tier", "truncation", "access_programs")),
)
TEXT = Known(frozenset(("format", "verbosity")))
_ROLES: Mapping[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def read_response(body: dict[str, Any], bounds: Bounds) -> Wanted:
    """The request of a response.

    Raises:
        RequestError: it is wrong, or asks for what is not supported.
    """
    reading = Reading(bounds)
    body, drops = dropping(body, bounds)
    likely, shown = _including(body)
    reading.ignored += screened(shown, KNOWN, drops=drops)
    options = an_object(body.get("stream_options") or {}, "stream_options")
    reading.ignored += screened(
        options, Known(frozenset(), hints=frozenset(("include_obfuscation",))), "stream_options"
    )
    tools = _tools(body.get("tools"), bounds)
    schema, name = _format(body.get("text"))
    instructions = body.get("instructions")
    first = () if instructions is None else (_said("system", a_string(instructions, "instructions")),)
    request = ChatRequest(
        messages=(*first, *_input(body.get("input"), reading)),
        tools=tools,
        tool_choice=_choice(body.get("tool_choice"), tools),
        output_schema=schema,
        output_name=name,
        max_output_tokens=a_count(body.get("max_output_tokens"), "max_output_tokens"),
        temperature=a_number(body.get("temperature"), "temperature", 0, 2),
        tuning=read_tuning({**body, "logprobs": likely}, tools=bool(tools), drops=drops),
    )
    stream = a_flag(body.get("stream"), "stream")
    return Wanted(a_string(body.get("model"), "model"), request, stream, True, tuple(reading.ignored), body)


def _including(body: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Whether how likely each token was is to be included, and the body without that wish."""
    include: Any = body.get("include")
    if not isinstance(include, list) or _LIKELY not in include:
        return False, body
    return True, {**body, "include": [one for one in cast("list[Any]", include) if one != _LIKELY]}


def _said(role: Role, text: str) -> ChatMessage:
    return ChatMessage(role, (TextPart(text),))


def _input(value: Any, reading: Reading) -> list[ChatMessage]:
    if isinstance(value, str):
        return [_said("user", value)]
    if value is None:
        raise wrong("input", "'input' is missing.", "missing_required_parameter")
    listed = an_array(value, "input", reading.bounds.messages)
    if not listed:
        raise wrong("input", "'input' has to have at least one item.", "empty_array")
    found: list[ChatMessage] = []
    for index, item in enumerate(listed):
        where = f"input[{index}]"
        message = _item(an_object(item, where), where, reading)
        # Thoughts, words and calls of one turn are items of their own here, and one message elsewhere.
        if found and message.role == found[-1].role and message.role in ("assistant", "tool"):
            found[-1] = ChatMessage(message.role, (*found[-1].parts, *message.parts))
        else:
            found.append(message)
    return found


def _item(item: dict[str, Any], where: str, reading: Reading) -> ChatMessage:
    kind = item.get("type", "message")
    if kind == "message":
        role = _ROLES.get(a_string(item.get("role"), f"{where}.role"))
        if role is None:
            raise wrong(f"{where}.role", f"'{where}.role' is one of {', '.join(_ROLES)}.")
        return ChatMessage(role, _content(item.get("content"), f"{where}.content", role, reading))
    if kind == "function_call":
        call = ToolCallPart(
            a_string(item.get("call_id"), f"{where}.call_id"),
            a_string(item.get("name"), f"{where}.name"),
            a_string(item.get("arguments"), f"{where}.arguments"),
        )
        reading.names[call.id] = call.name
        return ChatMessage("assistant", (call,))
    if kind == "function_call_output":
        called = a_string(item.get("call_id"), f"{where}.call_id")
        if called not in reading.names:
            raise wrong(f"{where}.call_id", f"No item before this one has a function call '{called[:60]}'.")
        parts = _content(item.get("output"), f"{where}.output", "system", reading)
        shown = "".join(part.text for part in parts if isinstance(part, TextPart))
        return ChatMessage("tool", (ToolResultPart(called, reading.names[called], shown),))
    if kind == "reasoning":
        summary = an_array(item.get("summary") or [], f"{where}.summary", reading.bounds.messages)
        shown = "\n".join(a_string(an_object(one, where).get("text"), f"{where}.summary") for one in summary)
        return ChatMessage("assistant", (ReasoningPart(shown, item),))
    if kind == "item_reference":
        raise unsupported(f"{where}.type", _STORED)
    raise unsupported(f"{where}.type", "Input is messages, function calls with their outputs, and reasoning.")


def _content(value: Any, where: str, role: Role, reading: Reading) -> tuple[Part, ...]:
    if isinstance(value, str):
        return (TextPart(value),)
    if value is None:
        raise wrong(where, f"'{where}' is missing.", "missing_required_parameter")
    return tuple(
        _part(an_object(item, f"{where}[{index}]"), f"{where}[{index}]", role, reading)
        for index, item in enumerate(an_array(value, where, reading.bounds.messages))
    )


def _part(part: dict[str, Any], where: str, role: Role, reading: Reading) -> Part:
    kind = part.get("type")
    if kind in ("input_text", "output_text"):
        return TextPart(a_string(part.get("text"), f"{where}.text"))
    if kind == "refusal":
        return TextPart(a_string(part.get("refusal"), f"{where}.refusal"))
    if role == "user" and kind == "input_image":
        if part.get("detail") not in (None, "auto"):
            reading.ignored.append(f"{where}.detail")
        if part.get("image_url") is None:
            raise no_upload(f"{where}.file_id")
        return image_at(a_string(part.get("image_url"), f"{where}.image_url"), f"{where}.image_url")
    if role == "user" and kind == "input_file":
        member = next((name for name in ("file_data", "file_url") if part.get(name) is not None), None)
        if member is None:
            raise no_upload(f"{where}.file_id")
        name = a_string(part.get("filename") or "document", f"{where}.filename")
        return document_at(a_string(part.get(member or ""), f"{where}.{member}"), name, f"{where}.{member}")
    raise wrong(f"{where}.type", f"There is no content '{str(kind)[:40]}' in this place.")


def _tools(value: Any, bounds: Bounds) -> tuple[ChatTool, ...]:
    found: list[ChatTool] = []
    for index, item in enumerate([] if value is None else an_array(value, "tools", bounds.tools)):
        tool = an_object(item, f"tools[{index}]")
        if tool.get("type") != "function":
            raise unsupported(f"tools[{index}].type", _VENDORS_OWN)
        found.append(read_function(tool, f"tools[{index}]"))
    return tuple(found)


def _choice(value: Any, tools: tuple[ChatTool, ...]) -> ToolChoice:
    if value is None:
        return "auto"
    if isinstance(value, dict):
        choice = an_object(value, "tool_choice")
        if choice.get("type") != "function":
            raise unsupported("tool_choice.type", "Send only the tools that may be called.")
        return only_tool(a_string(choice.get("name"), "tool_choice.name"), tools, "tool_choice.name")
    return tool_choice(a_string(value, "tool_choice"), tools)


def _format(value: Any) -> tuple[Mapping[str, Any] | None, str]:
    config = an_object(value or {}, "text")
    screened(config, TEXT, "text")
    if config.get("format") is None:
        return None, "answer"
    form = an_object(config["format"], "text.format")
    if form.get("type") == "json_schema":
        return read_schema(form, "text.format")
    return plain_format(form.get("type"), "text.format.type")
