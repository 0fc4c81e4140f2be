"""Rule 4: CEL's `&&` and `||` absorb errors (`error || true` is true), ours never do.

The tree is rewritten before it is evaluated: `a && b` becomes `[a, b] == [true, true]`, `a || b` becomes
`[a, b] != [false, false]`. A list evaluates all its elements and fails with any of them. The same goes for the loops
behind `all` and `exists`, which also lose their early end: every element is looked at, whatever its place. The ternary
stays lazy, as only one of its branches is asked for.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from signoff.workflows.reads import children
from signoff.workflows.syntax import message

_BOOLEAN_CALLS = frozenset(
    {"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in", "!_", "_&&_", "_||_", "startsWith", "endsWith", "contains"}
)


def make_strict(expr: Any, mixed: Collection[int] = ()) -> None:
    """Rewrite a tree (`cel.expr.Expr`) in place.

    Args:
        expr: the tree.
        mixed: ids of operands to convert to a double, because the other operand is one: JSON does not tell 1 from 1.0.
    """
    kind = expr.WhichOneof("kind")
    if kind == "comprehension_expr":
        loop = expr.comprehension_expr
        if loop.loop_condition.call_expr.function == "@not_strictly_false":
            loop.loop_condition.Clear()
            loop.loop_condition.const_expr.bool_value = True
        for part in (loop.iter_range, loop.accu_init, loop.loop_step, loop.result):
            make_strict(part, mixed)
    elif kind == "call_expr" and expr.call_expr.function in ("_&&_", "_||_"):
        operator = expr.call_expr.function
        operands = _operands(expr, operator)
        for operand in operands:
            make_strict(operand, mixed)
        expr.CopyFrom(_joined(operands, all_true=operator == "_&&_"))
    else:
        for child in children(expr):
            make_strict(child, mixed)
    if expr.id in mixed and expr.id:
        converted = message("Expr")()
        converted.call_expr.function = "double"
        converted.call_expr.args.add().CopyFrom(expr)
        expr.CopyFrom(converted)


def _operands(expr: Any, operator: str) -> list[Any]:
    """The operands of a whole chain, left to right: the parser balances `a && b && c` into a tree."""
    if expr.WhichOneof("kind") == "call_expr" and expr.call_expr.function == operator:
        return [operand for side in expr.call_expr.args for operand in _operands(side, operator)]
    return [expr]


def _joined(operands: list[Any], *, all_true: bool) -> Any:
    joined = message("Expr")()
    joined.call_expr.function = "_==_" if all_true else "_!=_"
    given = joined.call_expr.args.add().list_expr.elements
    neutral = joined.call_expr.args.add().list_expr.elements
    for operand in operands:
        given.add().CopyFrom(_boolean(operand))
        neutral.add().const_expr.bool_value = all_true
    return joined


def _boolean(operand: Any) -> Any:
    """The operand, made to fail unless it is a boolean: lists would compare anything."""
    if operand.WhichOneof("kind") == "call_expr" and operand.call_expr.function in _BOOLEAN_CALLS:
        return operand
    checked = message("Expr")()
    checked.call_expr.function = "_?_:_"
    checked.call_expr.args.add().CopyFrom(operand)
    checked.call_expr.args.add().const_expr.bool_value = True
    checked.call_expr.args.add().const_expr.bool_value = False
    return checked
