"""Decides by a decision table: which rows the values hit, and what these give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signoff.capabilities.validation.scopes import Values
from signoff.catalog.decisions import MATCHED, OTHERWISE, Column, DecisionTable, Row
from signoff.core.errors import Problem, StepError
from signoff.core.schemas import validate
from signoff.workflows.errors import Blocked, ExpressionError
from signoff.workflows.model import Expression


@dataclass(frozen=True, slots=True)
class Decided:
    """What a table decided.

    Attributes:
        output: as the `decide` verb gives it, `matched` among its fields.
        matched: ids of the rows that were hit, in order; `otherwise` where none was.
    """

    output: Mapping[str, Any]
    matched: tuple[str, ...]


def decide(table: DecisionTable, values: Mapping[str, Any]) -> Decided:
    """What a table gives for values.

    Raises:
        StepError: kind `arguments`: the values break the input schema. `decision`: no row is hit and nothing is said
            for that, or several of a table where one may be. `decision_error`: a cell cannot be evaluated, or gives no
            boolean. `contract`: what a row gives breaks the output schema.
    """
    problems = validate(table.input_schema, values)
    if problems:
        detail = f"The values break the input schema of decision '{table.name}'."
        raise StepError(detail, kind="arguments", problems=problems)
    scope = Values(values)
    found = {column.name: _find(table, column, scope) for column in table.columns}
    hit = _hit(table, found, scope)
    if table.hit == "collect":
        items = [_give(table, row.id, row.give, scope) for row in hit]
        matched = tuple(row.id for row in hit)
        return Decided({"items": items, "count": len(items), MATCHED: list(matched)}, matched)
    if len(hit) > 1 and table.hit == "unique":
        names = " and ".join(f"'{row.id}'" for row in hit)
        raise StepError(f"Decision '{table.name}': {names} are hit, and one rule may be.", kind="decision")
    if not hit and table.otherwise is None:
        raise StepError(f"Decision '{table.name}': no rule is hit.", kind="decision")
    name, give = (hit[0].id, hit[0].give) if hit else (OTHERWISE, table.otherwise or {})
    return Decided({**_give(table, name, give, scope), MATCHED: [name]}, (name,))


def _hit(table: DecisionTable, found: Mapping[str, Any], scope: Values) -> list[Row]:
    """The rows that are hit; of `first` at most one: rows behind it are not looked at."""
    hit: list[Row] = []
    for row in table.rows:
        if all(test.matches(found[name]) for name, test in row.tests.items()) and all(
            _holds(table, row, condition, scope) for condition in row.conditions
        ):
            hit.append(row)
            if table.hit == "first":
                break
    return hit


def _find(table: DecisionTable, column: Column, scope: Values) -> Any:
    """A column's value; what is missing is null."""
    if column.expression is not None:
        return _evaluate(table, column.name, column.expression, scope)
    value: Any = scope.values
    for name in column.path:
        value = value.get(name) if isinstance(value, Mapping) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  (JSON)
    return value  # pyright: ignore[reportUnknownVariableType]  (JSON)


def _holds(table: DecisionTable, row: Row, condition: Expression, scope: Values) -> bool:
    value = _evaluate(table, row.id, condition, scope)
    if not isinstance(value, bool):
        detail = f"Decision '{table.name}': a cell of '{row.id}' gives {type(value).__name__}, not true or false."
        raise StepError(detail, kind="decision_error", problems=[Problem(detail, table.file or None, row.line or None)])
    return value


def _give(table: DecisionTable, name: str, give: Mapping[str, Expression], scope: Values) -> dict[str, Any]:
    output = {key: _evaluate(table, name, expression, scope) for key, expression in give.items()}
    problems = validate(table.row_schema, output)
    if problems:
        detail = f"Decision '{table.name}': what '{name}' gives breaks the output schema."
        raise StepError(detail, kind="contract", problems=problems)
    return output


def _evaluate(table: DecisionTable, name: str, expression: Expression, scope: Values) -> Any:
    try:
        return expression.evaluate(scope)
    except Blocked as error:
        detail = f"Decision '{table.name}', '{name}': the field '{error.by}' is not there."
    except ExpressionError as error:
        detail = f"Decision '{table.name}', '{name}': {error.detail}"
    raise StepError(detail, kind="decision_error", problems=[Problem(detail, table.file or None)])
