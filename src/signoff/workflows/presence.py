"""Which fields may be missing, and which a condition has found to be there: `has(a.b) ? a.b : …`."""

from __future__ import annotations

from typing import Any

from signoff.workflows.reads import field_of, is_optional
from signoff.workflows.shapes import Shape

Path = tuple[str, ...]


def may_lack(expr: Any, operand: Shape, name: str) -> bool:
    """Whether a selection needs a field that its operand, whose schema lists it, may not have."""
    if not operand.is_only("object") or name not in operand.fields or name in operand.required:
        return False
    if expr.WhichOneof("kind") == "select_expr" and expr.select_expr.test_only:
        return False
    at = expr
    while (selected := field_of(at)) is not None:
        if is_optional(at):  # what is selected of an optional value is optional as well
            return False
        at = selected[0]
    return True


def path_of(expr: Any) -> Path:
    """The name and the constant fields of a selection; empty of anything else."""
    fields: list[str] = []
    while (selected := field_of(expr)) is not None:
        fields.append(selected[1])
        expr = selected[0]
    return (expr.ident_expr.name, *reversed(fields)) if expr.WhichOneof("kind") == "ident_expr" else ()


def fields_found(condition: Any, *, holds: bool) -> frozenset[Path]:  # noqa: PLR0911  (one return per operator)
    """The fields that are there where a condition holds, or does not."""
    kind = condition.WhichOneof("kind")
    if kind == "select_expr" and condition.select_expr.test_only:
        return frozenset((path_of(condition),)) if holds else frozenset()
    if kind != "call_expr":
        return frozenset()
    call = condition.call_expr
    if call.function == "!_":
        return fields_found(call.args[0], holds=not holds)
    if call.function == "hasValue" and call.HasField("target"):
        return frozenset((path_of(call.target),)) if holds else frozenset()
    if call.function == "_&&_" and holds:
        return frozenset[Path]().union(*(fields_found(operand, holds=True) for operand in call.args))
    if call.function == "_||_" and not holds:
        return frozenset[Path]().union(*(fields_found(operand, holds=False) for operand in call.args))
    return frozenset()
