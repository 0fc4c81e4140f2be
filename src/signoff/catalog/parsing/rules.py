"""`rules/*.yaml` into named rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from signoff.catalog.parsing.fields import Fields
from signoff.catalog.rules import Condition, Rule, Severity
from signoff.workflows.expressions import CelExpression, ExpressionCompiler, Faulty
from signoff.workflows.shapes import ANY, Shape, shape_of_schema

SEVERITIES = ("block", "review", "warn")


def parse_rule(fields: Fields, *, digest: str) -> Rule:
    """The rule that a file describes; what is wrong with it is reported."""
    fields.only("rule", "about", "input", "conditions")
    schema = fields.schema("input")
    conditions: list[Condition] = []
    taken: set[str] = set()
    for item in fields.items("conditions"):
        item.only("id", "assert", "severity", "message")
        name = item.text("id")
        if name in taken:
            item.problem("id", f"The id '{name}' is taken in this rule.", code="duplicate")
        taken.add(name)
        severity = cast("Severity", item.one_of("severity", SEVERITIES, "block"))
        message = item.text("message", "") or f"{name} is not met."
        expression = _expression(item, schema)
        if expression is not None:
            conditions.append(Condition(name, expression, severity, message, item.report.line(item.path)))
    if "conditions" not in fields or not fields.data["conditions"]:
        suggestion = "Add 'conditions: [{id: …, assert: \"…\", severity: block, message: …}]'."
        fields.problem(None, "A rule needs conditions.", suggestion=suggestion, code="missing-key")
    return Rule(
        name=fields.text("rule"),
        about=fields.text("about", ""),
        input_schema=schema,
        conditions=tuple(conditions),
        file=fields.report.file,
        digest=digest,
    )


def _expression(condition: Fields, input_schema: Mapping[str, Any]) -> CelExpression | None:
    source = condition.text("assert")
    if not source:
        return None
    compiled = ExpressionCompiler(_variables(input_schema), ()).compile(source)
    path = (*condition.path, "assert")
    if isinstance(compiled, Faulty):
        for finding in compiled.findings:
            detail = finding.detail.replace("step, function or input", "function or field of 'input'")
            condition.report.add_inside(
                path, finding.offset, detail, suggestion=finding.suggestion, code=f"expression-{finding.code}"
            )
        return None
    if not compiled.shape.may_be(("boolean",)):
        detail = f"The condition gives {compiled.shape}, not true or false."
        condition.problem("assert", detail, code="expression-type")
    return compiled


def _variables(input_schema: Mapping[str, Any]) -> dict[str, Callable[[], Shape]]:
    whole = shape_of_schema(input_schema)
    return {name: partial(_field, whole, name) for name in whole.names}


def _field(whole: Shape, name: str) -> Shape:
    return whole.get(name) or ANY
