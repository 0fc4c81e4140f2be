"""Prompts from and to Langfuse and LangSmith, by their public JSON forms (`foreign.py` reads them).

What either cannot say (contracts, owners, tests) travels as our own file in Langfuse's `config` and in the manifest's
`metadata`, so that what we exported comes back as it was. What ours cannot say in the messages is an error; what else
stands there (models and their settings, labels) is told, never dropped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import orjson

from signoff.catalog.prompts import Prompt
from signoff.catalog.registry.foreign import (
    CARRIED,
    Foreign,
    ForeignMessage,
    Syntax,
    from_langfuse,
    from_langsmith,
)
from signoff.catalog.registry.front_matter import written
from signoff.catalog.registry.versions import parse_source
from signoff.catalog.templates import AUTHORED_VARIABLES, DATA_NOTICE, exported
from signoff.core.errors import DefinitionError, InvalidError

__all__ = ["Form", "Imported", "export_prompt", "import_prompt"]

Form = Literal["langfuse", "langsmith"]

MOST_OUTPUT_TOKENS = 32_000
"""The longest answer that a prompt of ours may allow."""

_NAME = re.compile(r"[^\W\d][\w. -]*")
_VARIABLES: Mapping[Syntax, re.Pattern[str]] = {
    # Langfuse replaces {{name}} wherever it stands; mustache knows {{{name}}} and {{&name}} for the same besides. What
    # is between the braces is looked at apart: a pattern that did so here would go back and forth over blanks.
    "langfuse": re.compile(r"\{\{(?P<name>[^{}]*)\}\}"),
    "mustache": re.compile(r"\{\{\{(?P<name>[^{}]*)\}\}\}|\{\{&?(?P<bare>[^{}]*)\}\}"),
    "f-string": re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<name>[^{}]*)\}"),
}
_MORE = "The template has conditions, sections, or braces that are no variable; write it by hand."
_OUR_DATA = re.compile(r'<data name="[^"]*">(\{\{\s*[A-Za-z_]\w*\s*\}\})</data>')
_PRINTED = re.compile(r"\{\{\s*(?P<name>\w+)\s*\}\}")
_BRACE = re.compile("\\{(?=[{%#\ue000])")
_MARK = re.compile("\ue000(\\w+)\ue001")
_HEADING = re.compile(r"^#(?=[ \t]+\S+(?:[ \t]+\([^()]*\))?[ \t]*$)", re.MULTILINE)
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
    try:
        orjson.dumps(given)  # which refuses half characters and nesting without end
    except orjson.JSONEncodeError as error:
        raise InvalidError(f"This prompt of {form} is no sound JSON: {error}.") from None
    foreign = from_langfuse(given) if form == "langfuse" else from_langsmith(given)
    if not foreign.messages:
        raise InvalidError(f"The prompt of {form} has no messages.")
    return _kept(foreign) or _file(_name(name or foreign.name or "imported"), foreign)


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


def _name(text: str) -> str:
    name = re.sub(r"[^a-z0-9_/-]+", "-", text.lower().removeprefix("-")).strip("-/")
    return name if re.match(r"^[a-z]", name) else f"p-{name}"


def _file(name: str, foreign: Foreign) -> Imported:
    notes: list[str] = []
    sections: list[str] = []
    names: dict[str, None] = {}
    for message in foreign.messages:
        body, found = _converted(message, notes)
        names |= dict.fromkeys(found)
        if body.strip():
            sections.append(f"# {message.role}\n{_trimmed(body)}\n")
    if not any(section.startswith("# user") for section in sections):
        sections.append("# user\nGo on.\n")
        notes.append("It had no user message; one was added.")
    if foreign.left:
        notes.append(f"Not taken over: {'; '.join(foreign.left)}. Models and their settings stand in models.yaml.")
    front: dict[str, Any] = {
        "name": name,
        "version": "1.0.0",
        "purpose": f"Imported from {foreign.origin}; say what it is for.",
        "task": "generate",
        "input": {
            "type": "object",
            "properties": {item: {"type": "string", "maxLength": 20_000} for item in names},
            "required": list(names),
            "additionalProperties": False,
        },
    }
    if foreign.max_output_tokens and 0 < foreign.max_output_tokens <= MOST_OUTPUT_TOKENS:
        front["limits"] = {"max_output_tokens": foreign.max_output_tokens}
    body = "\n".join(sections)
    if foreign.output is not None:
        text = written({**front, "output": foreign.output}, body)
        try:
            parse_source(f"prompts/{name}.md", text)
        except DefinitionError as error:
            notes.append(f"Its output schema cannot be taken over: {error.problems[0].detail}")
        else:
            return Imported(name, text, tuple(dict.fromkeys(notes)))
    front["output"] = {
        "type": "object",
        "properties": {"text": {"type": "string", "maxLength": 8_000}},
        "required": ["text"],
        "additionalProperties": False,
    }
    notes.append("Its output contract is one text; say what the answer must be.")
    text = written(front, body)
    try:
        parse_source(f"prompts/{name}.md", text)
    except DefinitionError as error:
        raise InvalidError("It cannot be written as a prompt of ours.", problems=error.problems) from error
    return Imported(name, text, tuple(dict.fromkeys(notes)))


def _kept(foreign: Foreign) -> Imported | None:
    """Our own file where it came along: as it was, or with the templates as somebody edited them there."""
    carried: Any = foreign.carried
    text = cast("Mapping[str, Any]", carried).get("file") if isinstance(carried, Mapping) else None
    if not isinstance(text, str):
        return None
    try:
        prompt = parse_source("prompts/imported.md", text)
    except DefinitionError as error:
        raise InvalidError("The file that it carries is no prompt of ours.", problems=error.problems) from error
    if _exported(prompt)[0] == [(message.role, message.source) for message in foreign.messages]:
        return Imported(prompt.name, text, ())
    notes = ["Its templates were edited there; the front matter is as it was exported. Give it another version."]
    sections = [f"# {message.role}\n{_trimmed(_converted(message, notes)[0])}\n" for message in foreign.messages]
    head = text.split("\n---", 1)[0]
    return Imported(prompt.name, f"{head}\n---\n{chr(10).join(sections)}", tuple(dict.fromkeys(notes)))


def _converted(message: ForeignMessage, notes: list[str]) -> tuple[str, list[str]]:
    """A template of theirs in ours, and its variables."""
    source = message.source.replace(DATA_NOTICE, "")
    if message.syntax in ("langfuse", "mustache"):
        source = _OUR_DATA.sub(r"\1", source)
    names: list[str] = []
    text = ""
    for literal, name in _pieces(source, message.syntax):
        text += literal
        if name is None:
            continue
        if name in message.fixed:
            text += message.fixed[name]
            continue
        plain = re.sub(r"\W", "_", name)
        plain = f"{plain}_given" if plain in AUTHORED_VARIABLES else plain
        if plain != name:
            notes.append(f"'{name}' is called '{plain}'.")
        names.append(plain)
        text += f"\ue000{plain}\ue001"
    # A brace that would begin a tag of ours, also together with that of a variable behind it, is text there.
    text = _MARK.sub(r"{{ \1 }}", _BRACE.sub("{{ '{' }}", text))
    # So is a line that would begin a section of ours, or look like one.
    return _HEADING.sub(" #", text), names


def _trimmed(text: str) -> str:
    """Without blank lines around it; the blank before a heading that is none stays."""
    return text.strip("\n").rstrip()


def _pieces(source: str, syntax: Syntax) -> Iterator[tuple[str, str | None]]:
    """Texts, each with the variable that follows it."""
    if syntax == "fixed":
        yield source, None
        return
    at, text = 0, ""
    for found in _VARIABLES[syntax].finditer(source):
        text += _plain(source[at : found.start()], syntax)
        at = found.end()
        groups = found.groupdict()
        if groups.get("brace"):
            text += groups["brace"][0]
            continue
        name = groups.get("name") or groups.get("bare") or ""
        if syntax == "f-string" and not re.fullmatch(r"[^\W\d]\w*", name):
            raise InvalidError(f"'{found.group(0)[:80]}' is more than a variable.")
        if not _NAME.fullmatch(name.strip()):
            raise InvalidError(_MORE)
        yield text, name.strip()
        text = ""
    yield text + _plain(source[at:], syntax), None


def _plain(text: str, syntax: Syntax) -> str:
    """Text between variables, in which nothing may be left that means more."""
    if syntax != "f-string" and ("{{" in text or "{%" in text or "{#" in text):
        raise InvalidError(_MORE)
    return text


def _langsmith(
    prompt: Prompt, messages: list[tuple[str, str]], variables: tuple[str, ...], carried: Any
) -> dict[str, Any]:
    def built(*path: str, **kwargs: Any) -> dict[str, Any]:
        return {"lc": 1, "type": "constructor", "id": ["langchain_core", "prompts", *path], "kwargs": kwargs}

    def used(content: str) -> list[str]:
        return list(dict.fromkeys(found["name"] for found in _PRINTED.finditer(content) if found["name"] in variables))

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
