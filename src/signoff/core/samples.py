"""A value that a JSON Schema (2020-12) allows, for whoever needs any such value: an example where it has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

DEEPEST = 16


def sample_of(schema: Mapping[str, Any], *, depth: int = 0) -> Any:
    """A small value by a schema; not for every schema one that it allows, so validate where that matters."""
    given = _given(schema)
    if given:
        return given[0]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = cast("list[str]", kind)[0]
    if kind == "object" or "properties" in schema:
        return _object(schema, depth)
    if kind == "array":
        items, least = cast("Mapping[str, Any]", schema.get("items") or {}), schema.get("minItems", 0)
        return [sample_of(items, depth=depth + 1)] * least if depth < DEEPEST else []
    least_of: Mapping[str, Any] = {
        "string": "x" * schema.get("minLength", 0),
        "integer": schema.get("minimum", 0),
        "number": schema.get("minimum", 0),
        "boolean": False,
    }
    return least_of.get(str(kind))


def _given(schema: Mapping[str, Any]) -> list[Any]:
    """What the schema itself names."""
    named = [schema[name] for name in ("default", "const") if name in schema]
    examples, enum = schema.get("examples"), schema.get("enum")
    lists = [cast("list[Any]", values) for values in (examples, enum) if isinstance(values, list) and values]
    return [*(values[0] for values in lists[:1] if values is examples), *named, *(values[0] for values in lists)]


def _object(schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
    if depth >= DEEPEST:
        return {}
    return {name: sample_of(properties.get(name, {}), depth=depth + 1) for name in schema.get("required", ())}
