"""What every language model is told beside the prompt: labels, examples, and the schema where its API takes none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from signoff.capabilities.gateway.provider import ProviderRequest
from signoff.catalog.prompts import Example, PromptMessage

MAX_SHOWN_EXAMPLES = 12
"""Examples shown to a language model: more make each call longer and dearer, and help little."""


def instructed(request: ProviderRequest, *, show_schema: bool) -> tuple[PromptMessage, ...]:
    """The messages, with one system message in front that ends in what the answer must be.

    The prompt's author wrote labels and examples, so they stand in the system message; the data stays in the user's.
    """
    parts = [message.content for message in request.messages if message.role == "system"]
    # A template that lists the labels itself need not say them twice.
    if any(f"{label}: {about}" not in "".join(parts) for label, about in request.labels.items()):
        listed = "\n".join(f"- {label}: {about}" for label, about in request.labels.items())
        parts.append(f"The labels are:\n{listed}\n`confidence` is how likely the label is right, honestly.")
    shown = [f"{_json(item.input)} -> {_json(item.output)}" for item in in_turn(request)[:MAX_SHOWN_EXAMPLES]]
    if shown:
        parts.append("Examples, input then answer:\n" + "\n".join(shown))
    if request.output_schema is not None:
        if show_schema:
            parts.append(f"The JSON Schema of the answer is:\n{_json(shown_schema(request.output_schema))}")
        parts.append("Answer with one JSON object and nothing else.")
    system = PromptMessage("system", "\n\n".join(parts))
    return (system, *(message for message in request.messages if message.role != "system"))


def in_turn(request: ProviderRequest) -> list[Example]:
    """The examples, one of each label in turn, so that cutting their number is fair to all labels."""
    by_label: dict[str, list[Example]] = {}
    for example in request.examples:
        by_label.setdefault(str(example.output.get("label", "")), []).append(example)
    rounds = max((len(examples) for examples in by_label.values()), default=0)
    return [examples[index] for index in range(rounds) for examples in by_label.values() if index < len(examples)]


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
