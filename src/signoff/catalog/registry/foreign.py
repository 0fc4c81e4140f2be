"""Prompts as Langfuse and LangSmith give them, read without a judgement of what ours could say of it.

Langfuse: a prompt as its API gives it (`GET /api/public/v2/prompts/{name}`): `type` text or chat, `{{variable}}`, and a
`config` of the user's own, in which the form of the answer and the model's settings usually stand.
LangSmith: a commit (`GET /api/v1/commits/{owner}/{repo}/{commit}`) or its manifest alone: LangChain's serialised
`ChatPromptTemplate`, `StructuredPrompt` or `PromptTemplate`, in f-strings or mustache, perhaps with a model behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from signoff.catalog.templates import MAX_TEMPLATES_CHARACTERS
from signoff.core.errors import InvalidError

Syntax = Literal["langfuse", "mustache", "f-string", "fixed"]
"""How a message's template is written: with what a variable looks like, or without any."""

CARRIED = "signoff"
"""The member that carries our own file."""

_TEMPLATES = {
    "SystemMessagePromptTemplate": "system",
    "HumanMessagePromptTemplate": "user",
    "AIMessagePromptTemplate": "assistant",
}
_MESSAGES = {"SystemMessage": "system", "HumanMessage": "user", "AIMessage": "assistant"}
_SEQUENCES = frozenset({"RunnableSequence", "PromptPlayground"})
"""A prompt with the model that it was tried with behind it."""
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}


@dataclass(frozen=True, slots=True)
class ForeignMessage:
    """One message: its template as it was written there."""

    role: str
    source: str
    syntax: Syntax
    fixed: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables that have a value already."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A prompt of another registry.

    Attributes:
        name: as it is called there; empty where that is not said.
        messages: in order.
        carried: our own file, where it came from us.
        output: JSON Schema of the answer, where it says one.
        max_output_tokens: how long the answer may be, where it says so.
        origin: which version it was there, in words.
        left: what else it says and no prompt of ours does, a phrase each.
    """

    name: str
    messages: tuple[ForeignMessage, ...]
    carried: Any = None
    output: Mapping[str, Any] | None = None
    max_output_tokens: int | None = None
    origin: str = ""
    left: tuple[str, ...] = ()


def from_langfuse(data: Mapping[str, Any]) -> Foreign:
    """A prompt of Langfuse.

    Raises:
        InvalidError: it is none, or has messages that ours cannot say.
    """
    config = _members(data.get("config"))
    asked = _members(config.get("response_format"))
    output = _members(asked.get("json_schema")).get("schema") or config.get("json_schema") or config.get("schema")
    most = config.get("max_tokens") or config.get("max_completion_tokens")
    taken = {CARRIED, "response_format", "json_schema", "schema", "max_tokens", "max_completion_tokens"}
    left = [f"'{name}' of its config" for name in config if name not in taken]
    for name in ("labels", "tags"):
        values = [str(value) for value in _list(data.get(name)) if value != "latest"]
        left += [f"its {name} {', '.join(values)}"] if values else []
    version = data.get("version")
    return Foreign(
        name=str(data.get("name") or ""),
        messages=tuple(_langfuse_messages(data.get("prompt"))),
        carried=config.get(CARRIED),
        output=cast("Mapping[str, Any]", output) if isinstance(output, Mapping) else None,
        max_output_tokens=most if isinstance(most, int) and not isinstance(most, bool) else None,
        origin=f"version {version} of Langfuse" if version is not None else "Langfuse",
        left=tuple(left),
    )


def _langfuse_messages(body: Any) -> Iterator[ForeignMessage]:
    if isinstance(body, str):
        yield _langfuse_message("user", body)
        return
    if body is None:
        detail = "It is listed without its text."
        raise InvalidError(f"{detail} Ask Langfuse for it by its name: GET /api/public/v2/prompts/NAME.")
    if not isinstance(body, list):
        raise InvalidError("This is no prompt of Langfuse: 'prompt' is neither a text nor a list of messages.")
    for item in cast("list[Any]", body):
        message = _members(item)
        if message.get("type") == "placeholder":
            raise _placeholder(message.get("name"))
        yield _langfuse_message(_role(message.get("role")), _text(message.get("content")))


def _langfuse_message(role: str, source: str) -> ForeignMessage:
    if "@@@langfusePrompt:" in source:
        detail = "The prompt refers to another one (@@@langfusePrompt:…@@@), which is not in this file."
        raise InvalidError(f"{detail} Ask Langfuse for it with 'resolve=true', which puts the other one in.")
    return ForeignMessage(role, _text(source), "langfuse")


def from_langsmith(data: Mapping[str, Any]) -> Foreign:
    """A prompt of LangSmith.

    Raises:
        InvalidError: it is none, or has messages that ours cannot say.
    """
    if data.get("repo_handle") and not data.get("latest_commit_manifest"):
        detail = "It is listed without its text."
        raise InvalidError(f"{detail} Ask LangSmith with 'with_latest_manifest=true', or for its latest commit.")
    kind, kwargs = _constructor(data.get("manifest") or data.get("latest_commit_manifest") or data)
    left: list[str] = []
    if kind in _SEQUENCES:
        left.append("the model that it was tried with")
        kind, kwargs = _constructor(kwargs.get("first"))
    if kind not in ("PromptTemplate", "ChatPromptTemplate", "StructuredPrompt"):
        raise InvalidError(f"This is no prompt of LangSmith: its manifest is a '{kind or 'thing without an id'}'.")
    known = _members(kwargs.get("metadata"))
    name = data.get("repo") or data.get("name") or data.get("repo_handle") or known.get("lc_hub_repo")
    commit = str(data.get("commit_hash") or data.get("last_commit_hash") or known.get("lc_hub_commit_hash") or "")
    output = kwargs.get("schema_") or kwargs.get("schema")
    messages = [_templated("user", kwargs)] if kind == "PromptTemplate" else list(_langsmith_messages(kwargs))
    left += [f"its {name}" for name in ("tools", "output_parser", "tags") if kwargs.get(name)]
    return Foreign(
        name=str(name or ""),
        messages=tuple(messages),
        carried=known.get(CARRIED),
        output=cast("Mapping[str, Any]", output) if isinstance(output, Mapping) else None,
        origin=f"commit {commit[:8]} of LangSmith" if commit else "LangSmith",
        left=tuple(left),
    )


def _langsmith_messages(kwargs: Mapping[str, Any]) -> Iterator[ForeignMessage]:
    partial = kwargs.get("partial_variables")
    for item in _list(kwargs.get("messages")):
        kind, arguments = _constructor(item)
        if kind in _TEMPLATES or kind == "ChatMessagePromptTemplate":
            role = _TEMPLATES[kind] if kind in _TEMPLATES else _role(arguments.get("role"))
            yield _joined(role, arguments.get("prompt"), partial)
        elif kind in _MESSAGES:
            yield ForeignMessage(_MESSAGES[kind], _text(arguments.get("content")), "fixed")
        elif kind == "MessagesPlaceholder":
            raise _placeholder(arguments.get("variable_name"))
        else:
            raise InvalidError(f"A message of the kind '{kind}' cannot be taken over.")


def _joined(role: str, prompt: Any, partial: Any) -> ForeignMessage:
    """A message of one template, or of several texts one after the other."""
    parts = [_templated(role, _constructor(item)[1], partial) for item in (_list(prompt) or [prompt])]
    first = parts[0]
    if any(part.syntax != first.syntax for part in parts):
        raise InvalidError("A message mixes templates of two kinds.")
    return ForeignMessage(role, "\n".join(part.source for part in parts), first.syntax, first.fixed)


def _templated(role: str, kwargs: Mapping[str, Any], partial: Any = None) -> ForeignMessage:
    form = kwargs.get("template_format", "f-string")
    if form not in ("mustache", "f-string"):
        raise InvalidError(f"A template in '{form}' cannot be taken over.")
    fixed = {**_members(partial), **_members(kwargs.get("partial_variables"))}
    texts = {name: _text(value) for name, value in fixed.items()}
    return ForeignMessage(role, _text(kwargs.get("template")), form, texts)


def _constructor(value: Any) -> tuple[str, Mapping[str, Any]]:
    """The class and arguments of what LangChain serialised (`lc`, `type: constructor`)."""
    item = _members(value)
    path = _list(item.get("id")) or [""]
    return str(path[-1]), _members(item.get("kwargs"))


def _placeholder(name: Any) -> InvalidError:
    return InvalidError(f"The placeholder '{name}' stands for messages, which a prompt of ours does not take.")


def _role(value: Any) -> str:
    if not isinstance(value, str) or value not in _ROLES:
        raise InvalidError(f"A message has the role '{str(value)[:80]}', which a prompt of ours does not know.")
    return _ROLES[value]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidError("A message holds more than text.")
    if len(value) > MAX_TEMPLATES_CHARACTERS:
        raise InvalidError(f"A message is longer than {MAX_TEMPLATES_CHARACTERS:,} characters.")
    return value


def _members(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
