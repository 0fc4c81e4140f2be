"""JSON Schemas as vendors take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from signoff.capabilities.gateway.providers.prompting import shown_schema

_CONSTRAINTS = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "minItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "pattern",
)
_BRANCHES = ("anyOf", "oneOf", "allOf")
_BEYOND = ("patternProperties", "if", "not", "dependentSchemas", "dependentRequired", "propertyNames", "prefixItems")
"""What no vendor's structured output expresses."""
_OPENAI_BEYOND = (*_BEYOND, "oneOf", "allOf")


def without_annotations(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without our `x-…` members."""
    return shown_schema(schema)


def is_strict(schema: Mapping[str, Any]) -> bool:
    """Whether OpenAI's `strict` takes it: every object closed, every property required, nothing beyond its subset."""
    return all(
        not any(word in node for word in _OPENAI_BEYOND)
        and (("properties" not in node and node.get("type") != "object") or _closed(node))
        for node in _nodes(schema)
    )


def closed(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema as Anthropic's and Bedrock's structured output take it; none where they cannot express it.

    Objects must be closed. Limits of numbers, lengths and patterns are refused by the vendor, so they move into the
    description, where the model reads them; the gateway validates the answer against the whole schema anyway.
    """
    shown = shown_schema(schema)
    for node in _nodes(shown):
        is_object = node.get("type") == "object" or "properties" in node
        if any(word in node for word in _BEYOND) or (is_object and node.get("additionalProperties") is not False):
            return None
    return cast("dict[str, Any]", _described(shown))


def _described(node: Any) -> Any:
    if isinstance(node, list):
        return [_described(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    members = cast("dict[str, Any]", node)
    limits = {key: value for key, value in members.items() if key in _CONSTRAINTS and not isinstance(value, dict)}
    kept: dict[str, Any] = {}
    for key, value in members.items():
        if key in limits:
            continue
        if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
            kept[key] = {name: _described(child) for name, child in cast("dict[str, Any]", value).items()}
        elif key in ("enum", "const", "required", "default", "examples"):
            kept[key] = value
        else:
            kept[key] = _described(value)
    if limits:
        said = ", ".join(f"{key}: {value}" for key, value in limits.items())
        kept["description"] = f"{kept['description']} ({said})" if kept.get("description") else said
    return kept


def _closed(node: Mapping[str, Any]) -> bool:
    properties = cast("Mapping[str, Any]", node.get("properties") or {})
    required = cast("Sequence[str]", node.get("required") or ())
    return node.get("additionalProperties") is False and set(required) == set(properties)


def _nodes(schema: Any) -> list[Mapping[str, Any]]:
    """Every schema inside a schema."""
    found: list[Mapping[str, Any]] = []
    pending: list[Any] = [schema]
    while pending:
        node = pending.pop()
        if not isinstance(node, Mapping):
            continue
        members = cast("Mapping[str, Any]", node)
        found.append(members)
        for key in ("properties", "$defs", "definitions"):
            pending.extend(cast("Mapping[str, Any]", members.get(key) or {}).values())
        for key in _BRANCHES:
            pending.extend(cast("Sequence[Any]", members.get(key) or ()))
        pending.extend(members.get(key) for key in ("items", "additionalProperties"))
    return found
