"""What requests of OpenAI's two chat interfaces share: functions, formats, hints; and some of it Anthropic's too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signoff.api.compatible.members import a_flag, a_string, an_array, an_object, unsupported, wrong
from signoff.capabilities.gateway.chat import ChatTool, OnlyTool, ToolChoice

COMMON_ONLY = "Leave it out: only what every vendor has can be asked of a route."
"""What to do about a member that only some vendors have."""
OTHER_TIERS = "Only `flex` is passed on: other tiers cost more than the price list says, and limits would not count it."
"""What to do about tiers of service."""
HINTS = frozenset(
    ("user", "safety_identifier", "metadata", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention")
)
"""Members that change no answer: they are not passed on, and named in `signoff-ignored`."""


def read_tools(value: Any, most: int) -> tuple[ChatTool, ...]:
    """The tools of a chat completion.

    Raises:
        RequestError: one is no function.
    """
    if value is None:
        return ()
    found: list[ChatTool] = []
    for index, item in enumerate(an_array(value, "tools", most)):
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


def read_choice(value: Any, tools: tuple[ChatTool, ...]) -> ToolChoice:
    """Whether the model must call a function, and which.

    Raises:
        RequestError: it is no choice among the tools.
    """
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


def read_format(value: Any) -> tuple[Mapping[str, Any] | None, str]:
    """The schema of the answer, and its name.

    Raises:
        RequestError: it is no format.
    """
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
