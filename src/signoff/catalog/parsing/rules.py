"""`rules/*.yaml` into named rules."""

from __future__ import annotations

from typing import cast

from signoff.catalog.parsing.conditions import compile_condition
from signoff.catalog.parsing.fields import Fields
from signoff.catalog.rules import Condition, Rule, Severity

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
        expression = compile_condition(item, "assert", schema)
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
