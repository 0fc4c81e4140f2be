"""Prompts from and to Langfuse and LangSmith, by their public JSON forms.

Langfuse: a prompt as its API gives it (`GET /api/public/v2/prompts/{name}`): `type` text or chat, `{{variable}}`.
LangSmith: a commit's manifest: LangChain's serialised `ChatPromptTemplate`, in f-strings or mustache.

What either cannot say (contracts, owners, tests) travels as our own file in Langfuse's `config` and in the manifest's
`metadata`, so that what we exported comes back as it was. What ours cannot say is an error, never dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from signoff.catalog.prompts import Prompt
from signoff.catalog.registry.versions import parse_source
from signoff.catalog.templates import DATA_NOTICE, exported
from signoff.core.errors import DefinitionError, InvalidError

Form = Literal["langfuse", "langsmith"]

LANGFUSE_TEXT_ROLE = "user"
CARRIED = "signoff"
"""The member that carries the front matter."""
MAX_BYTES = 1_048_576
"""Largest file that is read."""

_MUSTACHE = re.compile(r"\{\{\{?\s*(?P<name>[A-Za-z_][\w.]*)\s*\}?\}\}")
_SECTION_TAG = re.compile(r"\{\{\s*[#/^>!&][^}]*\}\}")
_FSTRING = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]*)\}")
_OUR_DATA = re.compile(r'<data name="[^"]*">(\{\{\s*[A-Za-z_]\w*\s*\}\})</data>')
_CLASSES = {
    "SystemMessagePromptTemplate": "system",
    "HumanMessagePromptTemplate": "user",
    "AIMessagePromptTemplate": "assistant",
}
_MESSAGES = {"SystemMessage": "system", "HumanMessage": "user", "AIMessage": "assistant"}
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}
_BACK = {
    "system": "SystemMessagePromptTemplate",
    "user": "HumanMessagePromptTemplate",
    "assistant": "AIMessagePromptTemplate",
}


@dataclass(frozen=True, slots=True)
class Imported:
    """A prompt's file, and what about it a person should look at."""

    name: str
    text: str
    notes: tuple[str, ...]


def import_prompt(data: Any, form: Form, *, name: str | None = None) -> Imported:
    """A prompt of another registry as a file of ours.

    Raises:
        InvalidError: it is not of that form, or says what ours cannot.
    """
    if not isinstance(data, Mapping):
        raise InvalidError(f"This is no prompt of {form}: it is no JSON object.")
    given = cast("Mapping[str, Any]", data)
    messages, found, carried = _from_langfuse(given) if form == "langfuse" else _from_langsmith(given)
    if not messages:
        raise InvalidError(f"The prompt of {form} has no messages.")
    chosen = _name(name or str(found or "imported"))
    return _file(chosen, messages, carried)


def export_prompt(prompt: Prompt, text: str, form: Form) -> dict[str, Any]:
    """A prompt of ours for another registry. Values stay between `<data>` tags, and the notice about them goes along.

    Args:
        prompt: the prompt.
        text: its file.
        form: the other registry.

    Raises:
        InvalidError: its templates do more than print variables (conditions, loops over them), or it has variants.
    """
    if prompt.dimensions:
        raise InvalidError(f"Prompt {prompt.name}@{prompt.version} has variants, which {form} does not know.")
    messages, variables = _exported(prompt)
    carried = {"file": text}
    if form == "langfuse":
        return {
            "name": prompt.name,
            "type": "chat",
            "prompt": [{"type": "chatmessage", "role": role, "content": content} for role, content in messages],
            "config": {CARRIED: carried},
            "labels": [],
            "tags": [],
            "commitMessage": f"{prompt.name}@{prompt.version}",
        }
    return _langsmith(prompt, messages, variables, carried)


def _exported(prompt: Prompt) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    authored = {
        "labels": prompt.labels,
        "examples": [{"input": example.input, "output": example.output} for example in prompt.examples],
    }
    variables = tuple(cast("Mapping[str, Any]", prompt.input_schema.get("properties") or {}))
    return exported(prompt.sections, variables, authored), variables


def _from_langfuse(data: Mapping[str, Any]) -> tuple[list[tuple[str, str]], str, Any]:
    carried = _carried(data.get("config"))
    body = data.get("prompt")
    if isinstance(body, str):
        return [(LANGFUSE_TEXT_ROLE, body)], str(data.get("name", "")), carried
    if not isinstance(body, list):
        raise InvalidError("This is no prompt of Langfuse: 'prompt' is neither a text nor a list of messages.")
    messages: list[tuple[str, str]] = []
    for item in cast("list[Any]", body):
        message = cast("Mapping[str, Any]", item if isinstance(item, Mapping) else {})
        if message.get("type") == "placeholder":
            detail = (
                f"The placeholder '{message.get('name')}' stands for messages, which a prompt of ours does not take."
            )
            raise InvalidError(detail)
        messages.append((_role(message.get("role")), _text(message.get("content"))))
    return messages, str(data.get("name", "")), carried


def _from_langsmith(data: Mapping[str, Any]) -> tuple[list[tuple[str, str]], str, Any]:
    manifest = cast("Mapping[str, Any]", data.get("manifest") or data)
    name = str(data.get("repo") or data.get("name") or data.get("repo_handle") or "")
    kind, kwargs = _constructor(manifest)
    if kind == "PromptTemplate":
        return [("user", _template(kwargs))], name, _carried(kwargs.get("metadata"))
    if kind not in ("ChatPromptTemplate", "StructuredPrompt"):
        raise InvalidError(f"This is no prompt of LangSmith: its manifest is a '{kind}'.")
    messages: list[tuple[str, str]] = []
    for item in cast("list[Any]", kwargs.get("messages") or []):
        inner, arguments = _constructor(item)
        if inner in _CLASSES:
            _, template = _constructor(arguments.get("prompt"))
            messages.append((_CLASSES[inner], _template(template)))
        elif inner in _MESSAGES:
            messages.append((_MESSAGES[inner], _literal(_text(arguments.get("content")))))
        else:
            raise InvalidError(f"A message of the kind '{inner}' cannot be taken over.")
    return messages, name, _carried(kwargs.get("metadata"))


def _constructor(value: Any) -> tuple[str, Mapping[str, Any]]:
    """The class and arguments of what LangChain serialised (`lc`, `type: constructor`)."""
    item = cast("Mapping[str, Any]", value if isinstance(value, Mapping) else {})
    path = cast("Sequence[Any]", item.get("id") or [""])
    kwargs = item.get("kwargs")
    return str(path[-1]), cast("Mapping[str, Any]", kwargs if isinstance(kwargs, Mapping) else {})


def _template(kwargs: Mapping[str, Any]) -> str:
    source, form = _text(kwargs.get("template")), kwargs.get("template_format", "f-string")
    if form == "mustache":
        return source
    if form != "f-string":
        raise InvalidError(f"A template in '{form}' cannot be taken over.")

    def replaced(found: re.Match[str]) -> str:
        if found["name"] is None:
            return found.group(0)[0]
        if not re.fullmatch(r"[A-Za-z_]\w*", found["name"]):
            raise InvalidError(f"'{found.group(0)}' is more than a variable.")
        return f"{{{{ {found['name']} }}}}"

    return _FSTRING.sub(replaced, source)


def _literal(text: str) -> str:
    """Text that no template may read anything into."""
    if "{{" in text or "{%" in text or "{#" in text:
        raise InvalidError("A fixed message holds braces of a template; write it by hand.")
    return text


def _role(value: Any) -> str:
    if value not in _ROLES:
        raise InvalidError(f"A message has the role '{value}', which a prompt of ours does not know.")
    return _ROLES[value]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidError("A message holds more than text.")
    if len(value.encode()) > MAX_BYTES:
        raise InvalidError(f"A message is larger than {MAX_BYTES} bytes.")
    return value


def _carried(value: Any) -> Any:
    return cast("Mapping[str, Any]", value).get(CARRIED) if isinstance(value, Mapping) else None


def _name(text: str) -> str:
    name = re.sub(r"[^a-z0-9_/-]+", "-", text.lower().removeprefix("-")).strip("-/")
    return name if re.match(r"^[a-z]", name) else f"p-{name}"


def _file(name: str, messages: list[tuple[str, str]], carried: Any) -> Imported:
    kept = _kept(name, messages, carried)
    if kept is not None:
        return kept
    notes: list[str] = []
    sections: list[str] = []
    names: dict[str, None] = {}
    for role, source in messages:
        body, found = _converted(source, notes)
        names |= dict.fromkeys(found)
        if body.strip():
            sections.append(f"# {role}\n{body.strip()}\n")
    if not any(section.startswith("# user") for section in sections):
        sections.append("# user\nGo on.\n")
        notes.append("It had no user message; one was added.")
    front = {
        "name": name,
        "version": "1.0.0",
        "purpose": "Imported; say what it is for.",
        "task": "generate",
        "input": {
            "type": "object",
            "properties": {item: {"type": "string", "maxLength": 20_000} for item in names},
            "required": list(names),
            "additionalProperties": False,
        },
        "output": {
            "type": "object",
            "properties": {"text": {"type": "string", "maxLength": 8_000}},
            "required": ["text"],
            "additionalProperties": False,
        },
    }
    notes.append("Its output contract is one text; say what the answer must be.")
    # Each value as JSON, which YAML 1.2 reads as it is.
    head = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front.items())
    return Imported(name, f"---\n{head}\n---\n{chr(10).join(sections)}", tuple(notes))


def _kept(name: str, messages: list[tuple[str, str]], carried: Any) -> Imported | None:
    """Our own file where it came along: as it was, or with the templates as somebody edited them there."""
    text = cast("Mapping[str, Any]", carried).get("file") if isinstance(carried, Mapping) else None
    if not isinstance(text, str):
        return None
    file = f"prompts/{name}.md"
    try:
        prompt = parse_source(file, text)
    except DefinitionError as error:
        raise InvalidError("The file that it carries is no prompt of ours.", problems=error.problems) from error
    if _exported(prompt)[0] == messages:
        return Imported(prompt.name, text, ())
    notes = ["Its templates were edited there; the front matter is as it was exported. Give it another version."]
    sections = [f"# {role}\n{_converted(source, notes)[0].strip()}\n" for role, source in messages]
    head = text.split("\n---", 1)[0]
    return Imported(prompt.name, f"{head}\n---\n{chr(10).join(sections)}", tuple(notes))


def _converted(source: str, notes: list[str]) -> tuple[str, list[str]]:
    """A mustache template in ours, and its variables."""
    if _SECTION_TAG.search(source) or "{%" in source or "{#" in source:
        raise InvalidError("The template has conditions or sections; write them by hand.")
    source = source.replace(DATA_NOTICE, "")
    source = _OUR_DATA.sub(r"\1", source)
    names: list[str] = []

    def replaced(found: re.Match[str]) -> str:
        plain = found["name"].replace(".", "_")
        if plain != found["name"]:
            notes.append(f"'{found['name']}' is called '{plain}'.")
        names.append(plain)
        return f"{{{{ {plain} }}}}"

    body = _MUSTACHE.sub(replaced, source)
    if "{{" in _MUSTACHE.sub("", body):
        raise InvalidError("The template has braces that are no variable; write it by hand.")
    # A line that would begin a section of ours is text there.
    lines = [f" {line}" if re.match(r"^#[ \t]+(system|user|assistant)\b", line) else line for line in body.splitlines()]
    return "\n".join(lines), names


def _langsmith(
    prompt: Prompt, messages: list[tuple[str, str]], variables: tuple[str, ...], carried: Any
) -> dict[str, Any]:
    def built(*path: str, **kwargs: Any) -> dict[str, Any]:
        return {"lc": 1, "type": "constructor", "id": ["langchain_core", "prompts", *path], "kwargs": kwargs}

    def used(content: str) -> list[str]:
        return list(_variables(content, variables))

    templates = [
        built(
            "chat",
            _BACK[role],
            prompt=built(
                "prompt",
                "PromptTemplate",
                template=content,
                template_format="mustache",
                input_variables=used(content),
            ),
        )
        for role, content in messages
    ]
    manifest = built(
        "chat",
        "ChatPromptTemplate",
        messages=templates,
        input_variables=list(variables),
        metadata={CARRIED: carried},
    )
    return {"name": prompt.name, "manifest": manifest}


def _variables(content: str, known: tuple[str, ...]) -> Iterator[str]:
    yield from dict.fromkeys(found["name"] for found in _MUSTACHE.finditer(content) if found["name"] in known)
