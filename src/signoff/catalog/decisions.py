"""Decision tables for `decide`: `decisions/*.yaml` and `*.csv`. Rows of tests on columns, and what they give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from signoff.core.errors import Problem
from signoff.core.values import value
from signoff.workflows.model import Contract, Expression
from signoff.workflows.unary import Test

HitPolicy = Literal["unique", "first", "collect"]
HIT_POLICIES: tuple[HitPolicy, ...] = ("unique", "first", "collect")

MATCHED = "matched"
"""The field of a decision's output that names the rows that were hit."""

OTHERWISE = "otherwise"
"""What `matched` says where no row was hit and the table says what then."""


@value
class Column:
    """What the cells of a column are about.

    Attributes:
        name: as the rows name it.
        path: where in the input it is.
        expression: CEL over the input's fields that computes it; none of a column that is a field.
    """

    name: str
    path: tuple[str, ...] = ()
    expression: Expression | None = None


@value
class Row:
    """One rule of the table: it is hit when all of its cells hold.

    Attributes:
        id: stable name, for journals and reports.
        tests: unary tests by column; a column that is not there may be anything.
        conditions: cells that are CEL over the input, whose truth only values tell.
        give: the output by field.
        line: its line in the file, from 1.
    """

    id: str
    tests: Mapping[str, Test]
    conditions: tuple[Expression, ...]
    give: Mapping[str, Expression]
    about: str = ""
    line: int = 0


@value
class DecisionTable:
    """A named table of rules.

    Attributes:
        name: as documents name it.
        about: one sentence for people.
        hit: unique: at most one row is hit; first: the first that is hit counts; collect: all that are hit.
        input_schema: JSON Schema of what it decides on, an object.
        row_schema: JSON Schema of what a row gives, an object.
        columns: in order.
        rows: in order.
        otherwise: what it gives where no row is hit; none means that the step fails then. Not of `collect`.
        file: its file in the project.
        digest: SHA-256 of that file, hexadecimal.
        warnings: gaps and overlaps that may be there, where that cannot be known before.
    """

    name: str
    about: str
    hit: HitPolicy
    input_schema: Mapping[str, Any]
    row_schema: Mapping[str, Any]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    otherwise: Mapping[str, Expression] | None = None
    file: str = ""
    digest: str = ""
    warnings: tuple[Problem, ...] = ()

    @property
    def contract(self) -> Contract:
        """The part that the language must know."""
        return Contract(self.input_schema, output_schema_of(self.hit, self.row_schema))


_MATCHED_SCHEMA: Mapping[str, Any] = {"type": "array", "items": {"type": "string"}}


def output_schema_of(hit: HitPolicy, row_schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a `decide` step gives: the row's fields and `matched`; of `collect` `items`, `count` and `matched`."""
    if hit == "collect":
        properties: dict[str, Any] = {
            "items": {"type": "array", "items": row_schema},
            "count": {"type": "integer"},
            MATCHED: _MATCHED_SCHEMA,
        }
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
    properties = {**cast("Mapping[str, Any]", row_schema.get("properties") or {}), MATCHED: _MATCHED_SCHEMA}
    required = [*cast("list[str]", row_schema.get("required") or []), MATCHED]
    return {**row_schema, "properties": properties, "required": required}
