"""A CEL condition over the fields of a JSON Schema: of a rule over its input, of a prompt's test over the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from signoff.catalog.parsing.fields import Fields
from signoff.workflows.expressions import CelExpression, ExpressionCompiler, Faulty
from signoff.workflows.shapes import ANY, Shape, shape_of_schema


def compile_condition(fields: Fields, name: str, schema: Mapping[str, Any]) -> CelExpression | None:
    """The condition at a member, type-checked against the schema's properties; what is wrong with it is reported."""
    source = fields.text(name)
    if not source:
        return None
    compiled = ExpressionCompiler(_variables(schema), ()).compile(source)
    path = (*fields.path, name)
    if isinstance(compiled, Faulty):
        for finding in compiled.findings:
            detail = finding.detail.replace("step, function or input", "function or field")
            fields.report.add_inside(
                path, finding.offset, detail, suggestion=finding.suggestion, code=f"expression-{finding.code}"
            )
        return None
    if not compiled.shape.may_be(("boolean",)):
        detail = f"The condition gives {compiled.shape}, not true or false."
        fields.problem(name, detail, code="expression-type")
    return compiled


def _variables(schema: Mapping[str, Any]) -> dict[str, Callable[[], Shape]]:
    whole = shape_of_schema(schema)
    return {name: partial(_field, whole, name) for name in whole.names}


def _field(whole: Shape, name: str) -> Shape:
    return whole.get(name) or ANY
