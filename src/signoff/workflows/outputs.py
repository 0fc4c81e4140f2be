"""What a step of each verb gives, as far as it is known before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from signoff.workflows.documents import Node
from signoff.workflows.model import Contract, Expression, Verb
from signoff.workflows.shapes import (
    ALL_KINDS,
    ANY,
    BOOLEAN,
    NULL,
    OBJECT,
    STRING,
    Shape,
    object_shape,
    shape_of_schema,
)
from signoff.workflows.values import shape_of
from signoff.workflows.waits import wait_kind

ENDS = ("done", "not_needed", "blocked", "failed", "cancelled", "bypassed")
"""What `.result` may be of a step that is no review."""

REVIEW_ENDS = ("approved", "rejected", "expired", *ENDS[1:])
"""What `.result` may be of a review."""

WAIT_ENDS = (*ENDS, "timed_out")
"""What `.result` may be of a wait."""

MAX_SCHEMA_NESTING = 8
"""Objects and lists inside each other of an output whose schema is written out; deeper ones may be anything."""


@cache
def status_shapes(verb: Verb) -> Mapping[str, Shape]:
    """The fields that every step has besides its data."""
    ends = REVIEW_ENDS if verb == "review" else WAIT_ENDS if verb == "wait" else ENDS
    return {"done": BOOLEAN, "result": _one_of(ends)}


def output_shape(node: Node, verb: Verb, contract: Contract | None, arguments: Mapping[str, Expression]) -> Shape:
    """The shape of a step's data, without its status; anything where the step is wrong. Groups have their own."""
    if verb == "review":
        proposed = shape_of(arguments["propose"]) if "propose" in arguments else ANY
        decided = {"comment": STRING.union(NULL), "decided_by": STRING}
        return proposed.with_fields(decided) if proposed != ANY else ANY
    if verb == "set":
        return shape_of(arguments["set"]) if "set" in arguments else ANY
    if verb == "emit":
        return object_shape({})
    if verb == "wait":
        return object_shape({"event": OBJECT} if wait_kind(node.entries["wait"]) == "event" else {})
    if contract is None:
        return ANY
    return _called(node, contract) if verb == "call" else shape_of_schema(contract.output_schema)


def _called(node: Node, contract: Contract) -> Shape:
    detach = node.entries.get("detach")
    if detach is not None and detach.value is True:
        return object_shape({"run_id": STRING})
    outcome = _one_of(contract.outcomes) if contract.outcomes else STRING
    return object_shape({"run_id": STRING, "outcome": outcome, "output": shape_of_schema(contract.output_schema)})


def _one_of(texts: tuple[str, ...]) -> Shape:
    return replace(STRING, constants=frozenset(texts))


def schema_of(shape: Shape, depth: int = MAX_SCHEMA_NESTING) -> dict[str, Any]:
    """A JSON Schema (2020-12) that says what a shape knows."""
    if shape.kinds == ALL_KINDS or not depth:
        return {}
    kinds = sorted(shape.kinds - ({"integer"} if "number" in shape.kinds else set()))
    schema: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    if shape.is_only("string") and shape.constants is not None:
        schema["enum"] = sorted(shape.constants)
    if "array" in kinds and shape.items is not None:
        schema["items"] = schema_of(shape.item(), depth - 1)
    if "object" in kinds and (shape.fields or not shape.open):
        schema["properties"] = {name: schema_of(shape.get(name) or ANY, depth - 1) for name in sorted(shape.names)}
        schema["required"] = sorted(shape.required)
        schema["additionalProperties"] = shape.open
    return schema
