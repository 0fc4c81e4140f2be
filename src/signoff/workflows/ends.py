"""Compiles what a document says of the whole run: its outcomes with what they give, and what it is searched by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import reduce
from typing import Any, cast, get_args

from signoff.core.errors import did_you_mean
from signoff.workflows.documents import Node
from signoff.workflows.model import Attribute, AttributeType, Expression, Outcome
from signoff.workflows.outputs import schema_of
from signoff.workflows.report import Report
from signoff.workflows.shapes import ANY, NUMERIC, Kind, Shape, object_shape
from signoff.workflows.values import ValueCompiler, shape_of

MAX_OUTCOMES = 50
"""Outcomes of one workflow."""

MAX_ATTRIBUTES = 30
"""Search attributes of one workflow."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NAME_HINT = "Write lower case letters, digits and '_', beginning with a letter."
_TYPES: Mapping[Kind, AttributeType] = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
}
_KINDS: Mapping[AttributeType, tuple[Kind, ...]] = {
    "text": ("string",),
    "integer": ("integer",),
    "number": ("number",),
    "boolean": ("boolean",),
    "timestamp": ("string",),
}


def compile_outcomes(report: Report, values: ValueCompiler, node: Node | None) -> tuple[Outcome, ...]:
    """The ends of the workflow, in document order: a condition each, or `{when, give}`."""
    if node is None or not report.mapping(node, "'outcome'"):
        return ()
    if not 0 < len(node.entries) <= MAX_OUTCOMES:
        report.add(node, f"A workflow has 1 to {MAX_OUTCOMES} outcomes.", code="limit")
        return ()
    outcomes: list[Outcome] = []
    for name, written in node.entries.items():
        if not _NAME.fullmatch(name):
            report.add_key(node, name, f"'{name}' cannot be an outcome's name.", suggestion=_NAME_HINT, code="name")
        found = _outcome(report, values, name, written)
        if found is not None:
            outcomes.append(found)
    return tuple(outcomes)


def _outcome(report: Report, values: ValueCompiler, name: str, node: Node) -> Outcome | None:
    if node.kind != "mapping":
        condition = values.condition(node)
        return None if condition is None else Outcome(name, condition)
    report.unknown_keys(node, ("when", "give"), "an outcome")
    when, give = node.entries.get("when"), node.entries.get("give")
    if when is None:
        hint = "Write a condition, or 'true' for an end that always fits."
        report.add(node, "'when' is missing: when is this the run's end?", suggestion=hint, code="missing-key")
    condition = None if when is None else values.condition(when)
    given = None if give is None else _given(report, values, give)
    return None if condition is None else Outcome(name, condition, given)


def _given(report: Report, values: ValueCompiler, node: Node) -> Expression | None:
    return values.template(node) if report.mapping(node, "'give'") else None


def output_schema(outcomes: tuple[Outcome, ...]) -> dict[str, Any]:
    """JSON Schema of what a run gives: of one of its outcomes."""
    shapes = [object_shape({}) if outcome.give is None else shape_of(outcome.give) for outcome in outcomes]
    return schema_of(reduce(Shape.union, shapes)) if shapes else {}


def compile_attributes(report: Report, values: ValueCompiler, node: Node | None) -> tuple[Attribute, ...]:
    """What runs are searched by: a template each, or `{value, type}`."""
    if node is None or not report.mapping(node, "'attributes'"):
        return ()
    if len(node.entries) > MAX_ATTRIBUTES:
        report.add(node, f"A workflow has at most {MAX_ATTRIBUTES} attributes.", code="limit")
        return ()
    found: list[Attribute] = []
    for name, written in node.entries.items():
        if not _NAME.fullmatch(name):
            report.add_key(node, name, f"'{name}' cannot be an attribute's name.", suggestion=_NAME_HINT, code="name")
        attribute = _attribute(report, values, name, written)
        if attribute is not None:
            found.append(attribute)
    return tuple(found)


def _attribute(report: Report, values: ValueCompiler, name: str, node: Node) -> Attribute | None:
    if node.kind == "list":
        report.add(node, "An attribute is one value.", code="type")
        return None
    if node.kind != "mapping":
        value = values.template(node)
        kind = _inferred(report, node, value)
        return None if kind is None else Attribute(name, value, kind)
    report.unknown_keys(node, ("value", "type"), "an attribute")
    written, named = node.entries.get("value"), node.entries.get("type")
    for key in ("value", "type"):
        if key not in node.entries:
            report.add(node, f"'{key}' is missing.", code="missing-key")
    kind = None if named is None else _type(report, named)
    if written is None or kind is None:
        return None
    value = values.template(written)
    if not shape_of(value).may_be(_KINDS[kind]):
        report.add(written, f"An attribute of type {kind} cannot be {shape_of(value)}.", code="type")
    return Attribute(name, value, kind)


def _type(report: Report, node: Node) -> AttributeType | None:
    known = get_args(AttributeType)
    if node.value in known:
        return cast("AttributeType", node.value)
    hint = did_you_mean(str(node.value), known)
    report.add(node, f"A type is one of {', '.join(known)}.", suggestion=hint, code="value")
    return None


def _inferred(report: Report, node: Node, value: Expression) -> AttributeType | None:
    shape = shape_of(value)
    kinds = shape.kinds - {"null"}
    if kinds == NUMERIC:
        return "number"
    if len(kinds) == 1 and (found := _TYPES.get(next(iter(kinds)))) is not None:
        return found
    if shape == ANY or len(kinds) > 1:
        hint = "Write {value: …, type: …} with one of text, integer, number, boolean, timestamp."
        report.add(node, "The type of this value is not known.", suggestion=hint, code="type")
    else:
        report.add(node, f"An attribute is a text, number or boolean, and this is {shape}.", code="type")
    return None
