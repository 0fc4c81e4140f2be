"""`decisions/*.yaml`, and the same made of `*.csv`, into decision tables: types, cells, gaps and overlaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

from signoff.catalog.coverage import Finding, examine
from signoff.catalog.decisions import HIT_POLICIES, MATCHED, OTHERWISE, Column, DecisionTable, HitPolicy, Row
from signoff.core.errors import Problem, did_you_mean
from signoff.core.schemas import check_schema
from signoff.workflows.arguments import check_fields
from signoff.workflows.documents import Node
from signoff.workflows.expressions import CelExpression, ExpressionCompiler
from signoff.workflows.model import Expression
from signoff.workflows.reads import STATUS_FIELDS
from signoff.workflows.report import Report
from signoff.workflows.scopes import is_step_name
from signoff.workflows.shapes import ANY, Shape, object_shape, shape_of_schema, shape_of_value
from signoff.workflows.unary import Anything, Equal, Several, Test, UnaryError, parse_unary
from signoff.workflows.values import ValueCompiler, shape_of

MAX_ROWS = 2_000
"""Rows of one table."""

MAX_COLUMNS = 50
"""Columns of one table."""

_KEYS = ("decision", "about", "hit", "input", "output", "columns", "rules", "otherwise")


def parse_decision(node: Node, file: str, *, digest: str) -> DecisionTable:
    """The table that a document describes.

    Raises:
        DefinitionError: with every problem, each with file, line and column.
    """
    return _TableParser(node, file, digest).parse()


class _TableParser:
    def __init__(self, node: Node, file: str, digest: str) -> None:
        self._node = node
        self._file = file
        self._digest = digest
        self._report = Report(file)
        self._columns: dict[str, Column] = {}
        self._shapes: dict[str, Shape] = {}
        self._row_shape = ANY

    def parse(self) -> DecisionTable:
        report, failed = self._report, f"{self._file} is not a valid decision table"
        if not report.mapping(self._node, "A decision table"):
            report.raise_if_any(failed)
        report.unknown_keys(self._node, _KEYS, "a decision table")
        for key in ("decision", "input", "output", "rules"):
            if key not in self._node.entries:
                report.add(self._node, f"'{key}' is missing.", code="missing-key")
        report.raise_if_any(failed)
        hit = self._hit()
        input_schema, row_schema = self._schema("input"), self._schema("output")
        report.raise_if_any(failed)
        self._check_outputs(hit, row_schema)
        self._row_shape = shape_of_schema(row_schema)
        values = self._values(input_schema)
        self._read_columns(values, shape_of_schema(input_schema))
        rows = self._rows(values)
        table = DecisionTable(
            name=report.text(self._node.entries["decision"], "A decision's name"),
            about=report.text(self._node.entries["about"], "'about'") if "about" in self._node.entries else "",
            hit=hit,
            input_schema=input_schema,
            row_schema=row_schema,
            columns=tuple(self._columns.values()),
            rows=rows,
            otherwise=self._otherwise(values, hit),
            file=self._file,
            digest=self._digest,
        )
        report.raise_if_any(failed)
        warnings = self._examine(table)
        report.raise_if_any(failed)
        return replace(table, warnings=warnings)

    # --- the head ------------------------------------------------------------------------------------------------

    def _hit(self) -> HitPolicy:
        node = self._node.entries.get("hit")
        if node is None:
            return "unique"
        if node.value not in HIT_POLICIES:
            hint = did_you_mean(str(node.value), HIT_POLICIES)
            self._report.add(node, f"'hit' is one of {', '.join(HIT_POLICIES)}.", suggestion=hint, code="value")
            return "unique"
        return node.value

    def _schema(self, key: str) -> Mapping[str, Any]:
        node = self._node.entries[key]
        schema: Any = node.plain()
        for problem in check_schema(schema):
            self._report.add(node, f"'{key}' is not a sound JSON Schema: {problem.detail}", code="schema")
        if not isinstance(schema, dict) or cast("dict[str, Any]", schema).get("type") != "object":
            self._report.add(node, f"'{key}' describes an object.", suggestion="Add 'type: object'.", code="schema")
            return {}
        return cast("dict[str, Any]", schema)

    def _check_outputs(self, hit: HitPolicy, row_schema: Mapping[str, Any]) -> None:
        node = self._node.entries["output"]
        names = list(cast("Mapping[str, Any]", row_schema.get("properties") or {}))
        if not names:
            self._report.add(node, "A decision has at least one output.", code="missing-key")
        for name in names if hit != "collect" else ():
            if name in (MATCHED, *STATUS_FIELDS):
                self._report.add(node, f"'{name}' is a field that every decision has already.", code="name")

    def _values(self, input_schema: Mapping[str, Any]) -> ValueCompiler:
        whole = shape_of_schema(input_schema)
        variables: dict[str, Callable[[], Shape]] = {name: partial(_field, whole, name) for name in whole.names}
        return ValueCompiler(ExpressionCompiler(variables, ()), self._report)

    def _read_columns(self, values: ValueCompiler, whole: Shape) -> None:
        """The columns: fields of the input by their names, and those that `columns` says how to find."""
        for name in whole.names:
            self._columns[name] = Column(name, (name,))
            self._shapes[name] = whole.get(name) or ANY
        node = self._node.entries.get("columns")
        if node is None or not self._report.mapping(node, "'columns'"):
            return
        if len(node.entries) + len(self._columns) > MAX_COLUMNS:
            self._report.add(node, f"A table has at most {MAX_COLUMNS} columns.", code="limit")
            return
        for name, written in node.entries.items():
            if not is_step_name(name):
                self._report.add_key(node, name, f"'{name}' cannot be a column's name.", code="name")
            elif name in self._columns:
                self._report.add_key(node, name, f"'{name}' is a field of the input already.", code="duplicate")
            expression = values.expression(written)
            if expression is not None:
                path = _path(expression)
                self._columns[name] = Column(name, path) if path else Column(name, expression=expression)
                self._shapes[name] = expression.shape

    # --- the rows ------------------------------------------------------------------------------------------------

    def _rows(self, values: ValueCompiler) -> tuple[Row, ...]:
        node = self._node.entries["rules"]
        if node.kind != "list" or not 0 < len(node.items) <= MAX_ROWS:
            self._report.add(node, f"'rules' is a list of 1 to {MAX_ROWS} rows.", code="limit")
            return ()
        taken: set[str] = set()
        rows: list[Row] = []
        for number, item in enumerate(node.items, start=1):
            if not self._report.mapping(item, "A rule"):
                continue
            self._report.unknown_keys(item, ("id", "about", "when", "give"), "a rule")
            entries = item.entries
            name = self._report.text(entries["id"], "A rule's id") if "id" in entries else f"rule_{number}"
            if name in taken or name == OTHERWISE:
                why = "is taken in this table" if name in taken else "is what the table says where no rule is hit"
                self._report.add(entries.get("id", item), f"The id '{name}' {why}.", code="duplicate")
            taken.add(name)
            tests, conditions = self._cells(values, entries.get("when"))
            about = self._report.text(entries["about"], "'about'") if "about" in entries else ""
            rows.append(Row(name, tests, conditions, self._give(values, item, entries.get("give")), about, item.line))
        return tuple(rows)

    def _cells(self, values: ValueCompiler, node: Node | None) -> tuple[dict[str, Test], tuple[Expression, ...]]:
        tests: dict[str, Test] = {}
        conditions: list[Expression] = []
        if node is None or not self._report.mapping(node, "'when'"):
            return tests, ()
        for name, cell in node.entries.items():
            if name not in self._columns:
                hint = did_you_mean(name, list(self._columns)) or f"There are: {', '.join(self._columns)}."
                self._report.add_key(node, name, f"There is no column '{name}'.", suggestion=hint, code="unknown-name")
            elif cell.text is not None and cell.text.lstrip().startswith("${"):
                condition = values.template(cell)
                if not shape_of(condition).may_be(("boolean",)):
                    self._report.add(cell, f"A cell gives a boolean, and this is {shape_of(condition)}.", code="type")
                conditions.append(condition)
            elif (test := self._test(cell)) is not None:
                self._check_types(cell, name, test)
                tests[name] = test
        return tests, tuple(conditions)

    def _test(self, cell: Node) -> Test | None:  # noqa: PLR0911  (one return per kind of cell)
        if cell.kind == "mapping":
            self._report.add(cell, "A cell is a test, a constant, or a list of constants.", code="cell")
            return None
        if cell.kind == "list":
            if not cell.items or any(item.kind != "scalar" for item in cell.items):
                self._report.add(cell, "A list in a cell holds constants.", code="cell")
                return None
            return Several(tuple(Equal(item.value) for item in cell.items), every=False)
        if cell.value is None:
            return Anything()
        if cell.text is None:
            return Equal(cell.value)
        try:
            return parse_unary(cell.text)
        except UnaryError as error:
            self._report.add(cell, str(error), suggestion=error.suggestion, code="cell", offset=error.offset)
            return None

    def _check_types(self, cell: Node, name: str, test: Test) -> None:
        shape = self._shapes[name]
        for constant in test.constants():
            found = shape_of_value(constant)
            if constant is not None and not shape.may_be(found.kinds):
                detail = f"'{name}' is {shape}, so it is never {found}."
                self._report.add(cell, detail, code="type")
                return
            if isinstance(constant, str) and shape.constants is not None and constant not in shape.constants:
                known = sorted(shape.constants)
                detail = f"'{name}' is never '{constant}'; possible are: {', '.join(known[:12])}."
                self._report.add(cell, detail, suggestion=did_you_mean(constant, known), code="constant")
                return

    def _give(self, values: ValueCompiler, row: Node, node: Node | None) -> Mapping[str, Expression]:
        if node is None:
            self._report.add(row, "'give' is missing: what does this rule decide?", code="missing-key")
            return {}
        if not self._report.mapping(node, "'give'"):
            return {}
        given = {name: values.template(item) for name, item in node.entries.items()}
        shape = object_shape({name: shape_of(expression) for name, expression in given.items()})
        check_fields(self._report, node, shape, self._row_shape, "the output")
        return given

    def _otherwise(self, values: ValueCompiler, hit: HitPolicy) -> Mapping[str, Expression] | None:
        node = self._node.entries.get("otherwise")
        if node is None:
            return None
        if hit == "collect":
            hint = "Leave it out: where no rule is hit, 'items' is empty."
            self._report.add_key(self._node, OTHERWISE, "'collect' has no otherwise.", suggestion=hint, code="value")
        return self._give(values, node, node)

    # --- the whole -----------------------------------------------------------------------------------------------

    def _examine(self, table: DecisionTable) -> tuple[Problem, ...]:
        warnings: list[Problem] = []
        places = {row.id: item for row, item in zip(table.rows, self._node.entries["rules"].items, strict=True)}
        for finding in examine(table):
            node = places[finding.rows[-1]] if finding.rows else self._node.entries["rules"]
            detail, hint = _told(finding)
            if finding.certain:
                self._report.add(node, detail, suggestion=hint, code=finding.kind)
            else:
                warnings.append(Problem(detail, self._file, node.line, node.column, node.pointer, hint, finding.kind))
        return tuple(warnings)


def _told(finding: Finding) -> tuple[str, str]:
    may = "" if finding.certain else "may "
    match finding.kind:
        case "gap":
            sure = "No rule is" if finding.certain else "It may be that no rule is"
            return f"{sure} hit by {finding.shown()}.", "Add a rule for it, or 'otherwise'."
        case "overlap":
            first, second = finding.rows
            detail = f"'{first}' and '{second}' {may or 'are '}both {'be ' if may else ''}hit by {finding.shown()}."
            return detail, "Keep them apart, or write 'hit: first'."
        case "never":
            why = "what it asks for cannot come, or rules above it take it all"
            return f"The rule '{finding.rows[0]}' is never hit: {why}.", "Take it out, or move it up."
        case _:
            return "The table is too large to be searched for gaps and overlaps.", "Split it, or use fewer columns."


def _field(whole: Shape, name: str) -> Shape:
    return whole.get(name) or ANY


def _path(expression: CelExpression) -> tuple[str, ...]:
    """The field that an expression is, where it only follows fields; empty of any other."""
    if not expression.is_path:
        return ()
    read = expression.reads[0]
    return (read.root, *read.path)
