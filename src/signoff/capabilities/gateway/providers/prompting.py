"""What every language model is told beside the prompt: labels, examples, and the schema where its API takes none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from signoff.capabilities.gateway.provider import ProviderRequest
from signoff.catalog.prompts import PromptMessage

MAX_SHOWN_EXAMPLES = 12
"""Examples shown to a language model: more make each call longer and dearer, and help little."""


def instructed(request: ProviderRequest, *, show_schema: bool) -> tuple[PromptMessage, ...]:
    """The messages, with one system message in front that ends in what the answer must be.

    The prompt's author wrote labels and examples, so they stand in the system message; the data stays in the user's.
    """
    parts = [message.content for message in request.messages if message.role == "system"]
    if request.labels:
        listed = "\n".join(f"- {label}: {about}" for label, about in request.labels.items())
        parts.append(f"The labels are:\n{listed}\n`confidence` is how likely the label is right, honestly.")
    examples = balanced(request, MAX_SHOWN_EXAMPLES)
    if examples:
        parts.append("Examples, input then answer:\n" + "\n".join(examples))
    if request.output_schema is not None:
        if show_schema:
            parts.append(f"The JSON Schema of the answer is:\n{_json(shown_schema(request.output_schema))}")
        parts.append("Answer with one JSON object and nothing else.")
    system = PromptMessage("system", "\n\n".join(parts))
    return (system, *(message for message in request.messages if message.role != "system"))


def balanced(request: ProviderRequest, most: int) -> list[str]:
    """Examples as lines of JSON, taken from each label in turn, so that cutting their number keeps them balanced."""
    by_label: dict[str, list[str]] = {}
    for example in request.examples:
        line = f"{_json(example.input)} -> {_json(example.output)}"
        by_label.setdefault(str(example.output.get("label", "")), []).append(line)
    rounds = max((len(lines) for lines in by_label.values()), default=0)
    turns = [lines[index] for index in range(rounds) for lines in by_label.values() if index < len(lines)]
    return turns[:most]


def shown_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as vendors take it: without our annotations (`x-…`), and lists of types spelt as `anyOf`."""
    shown = {key: _shown(value) for key, value in schema.items() if not key.startswith("x-")}
    types = shown.get("type")
    if not isinstance(types, list):
        return shown
    notes = {key: shown.pop(key) for key in ("title", "description") if key in shown}
    del shown["type"]
    branches = [{"type": kind} if kind == "null" else {"type": kind, **shown} for kind in cast("list[str]", types)]
    return {**notes, "anyOf": branches}


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return shown_schema(cast("Mapping[str, Any]", value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_shown(item) for item in cast("Sequence[Any]", value)]
    return value


def _json(value: Any) -> str:
    return orjson.dumps(value, default=dict).decode()
