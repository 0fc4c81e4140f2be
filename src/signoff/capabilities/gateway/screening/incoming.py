"""The untrusted texts of a request: what tools gave, what users attached, what a step's untrusted values hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import orjson

from signoff.capabilities.gateway.chat import ChatRequest, DocumentPart, ToolResultPart
from signoff.capabilities.gateway.model import ModelTask
from signoff.core.json_texts import told_by_value
from signoff.core.labels import Trust

MAX_DEPTH = 64
"""What is nested deeper is not looked at by its value; whatever reads such a value refuses it."""


def untrusted_of_chat(request: ChatRequest) -> list[str]:
    """Results of tools and attached texts, the newest first. What the caller says is its own word."""
    found: list[str] = []
    for message in reversed(request.messages):
        for part in message.parts:
            if isinstance(part, ToolResultPart):
                found.append(texts_of_json(part.content))
            elif isinstance(part, DocumentPart) and part.data is not None and part.media_type.startswith("text/"):
                found.append(part.data.decode("utf-8", "replace"))
    return [text for text in found if text]


def untrusted_of_task(task: ModelTask) -> list[str]:
    """The texts of variables whose labels say that nobody vouches for them; none where nothing is shown in words."""
    if not task.messages:
        return []
    named = task.untrusted
    if named is None:
        named = frozenset(task.variables) if task.data_labels.trust is Trust.UNTRUSTED else frozenset[str]()
    found = [all_texts(value) for name, value in task.variables.items() if name in named]
    return [text for text in found if text]


def texts_of(value: Any, depth: int = 0) -> Iterator[str]:
    """Every text of a JSON value."""
    if isinstance(value, str):
        yield value
    elif depth < MAX_DEPTH and isinstance(value, Mapping):
        for key, member in cast("Mapping[str, Any]", value).items():
            yield str(key)
            yield from texts_of(member, depth + 1)
    elif depth < MAX_DEPTH and isinstance(value, list | tuple):
        for member in cast("list[Any]", value):
            yield from texts_of(member, depth + 1)


def texts_of_json(text: str) -> str:
    """The texts of what may be JSON, one below the other; all of it too where it says more than its value."""
    value = _json_or_text(text)
    found = all_texts(value)
    return found if value is text or told_by_value(text, value, depth=MAX_DEPTH) else f"{found}\n{text}"


def all_texts(value: Any) -> str:
    """Every text of a JSON value, one below the other."""
    return "\n".join(texts_of(value))


def _json_or_text(text: str) -> Any:
    """JSON by its values: an escape would hide words from who reads it as text."""
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
