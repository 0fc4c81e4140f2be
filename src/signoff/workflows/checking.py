"""Static checking of an expression against shapes: misspelt fields, impossible comparisons, unknown labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from signoff.core.errors import did_you_mean
from signoff.core.values import value
from signoff.workflows.presence import fields_found, may_lack, path_of
from signoff.workflows.reads import field_of
from signoff.workflows.shapes import (
    ANY,
    BOOLEAN,
    INTEGER,
    LIST,
    NULL,
    NUMBER,
    NUMERIC,
    STRING,
    Kind,
    Shape,
    list_shape,
    object_shape,
    shape_of_value,
)
from signoff.workflows.syntax import Tree

MAX_LOOP_NESTING = 2
"""`all`, `exists`, `map`, `filter` inside each other: their cost multiplies."""

_ORDERED: tuple[frozenset[Kind], ...] = (NUMERIC, frozenset(("string",)), frozenset(("boolean",)))
_ARITHMETIC = ("_+_", "_-_", "_*_", "_/_", "_%_")
_RESULTS: Mapping[str, Shape] = {
    "size": INTEGER,
    "int": INTEGER,
    "double": NUMBER,
    "string": STRING,
    "startsWith": BOOLEAN,
    "endsWith": BOOLEAN,
    "contains": BOOLEAN,
    "matches": BOOLEAN,
    "hasValue": BOOLEAN,
    "lowerAscii": STRING,
    "upperAscii": STRING,
    "trim": STRING,
    "replace": STRING,
    "substring": STRING,
    "join": STRING,
    "format": STRING,
    "split": replace(LIST, items=STRING),
}
# Primitive types of cel.expr.Type: bool, int64, uint64, double, string.
_PRIMITIVES = {1: BOOLEAN, 2: INTEGER, 3: INTEGER, 4: NUMBER, 5: STRING}
_BYTES = 6
_AT_FIELDS = ("field", "missing")
"""Codes of findings that are about a field, and stand where its name does."""


@value
class Finding:
    """Something wrong in an expression, at an offset into its source."""

    detail: str
    offset: int
    suggestion: str | None = None
    code: str = "type"


@dataclass(slots=True)
class Checked:
    """What checking found.

    Attributes:
        shape: of the expression's value.
        findings: what is wrong.
        mixed: ids of operands to convert to a double, as the other operand is one.
    """

    shape: Shape = ANY
    findings: list[Finding] = field(default_factory=list[Finding])
    mixed: set[int] = field(default_factory=set[int])


def check_tree(
    tree: Tree, variables: Mapping[str, Callable[[], Shape]], there: frozenset[tuple[str, ...]] = frozenset()
) -> Checked:
    """Check a tree against the shapes of its variables (made when asked for: a step's shape may need another's).

    Fields that are `there` are so although their schema leaves it open: a condition has found them.
    """
    checked = Checked()
    checked.shape = _Inference(tree, variables, checked, there).of(tree.root, {}, 0)
    unfit = _not_json(tree)
    if unfit:
        checked.findings.append(Finding(unfit[0], 0, unfit[1]))
    return checked


def _not_json(tree: Tree) -> tuple[str, str] | None:
    made = tree.types.get(tree.root.id)
    if made is None:
        return None
    kind = made.WhichOneof("kind")
    if kind == "abstract_type" and "optional" in made.abstract_type.name:
        return "This gives an optional value, which may be absent.", "End it with .orValue(…)."
    if kind in ("well_known", "type") or (kind == "primitive" and made.primitive == _BYTES):
        return "This gives a value that is not JSON data.", "Wrap it in string(…)."
    return None


class _Inference:
    def __init__(
        self,
        tree: Tree,
        variables: Mapping[str, Callable[[], Shape]],
        checked: Checked,
        there: frozenset[tuple[str, ...]],
    ) -> None:
        self._tree = tree
        self._variables = variables
        self._checked = checked
        self._there = there

    def of(  # noqa: PLR0911  (one return per kind of node)
        self, expr: Any, bound: Mapping[str, Shape], loops: int
    ) -> Shape:
        kind = expr.WhichOneof("kind")
        if kind == "const_expr":
            return _constant(expr.const_expr)
        if kind == "ident_expr":
            name = expr.ident_expr.name
            made = self._variables.get(name)
            return bound[name] if name in bound else made() if made is not None else ANY
        selected = field_of(expr)
        if selected is not None:
            return self._select(expr, self.of(selected[0], bound, loops), selected[1])
        if kind == "call_expr":
            return self._call(expr, bound, loops)
        if kind == "list_expr":
            return list_shape(self.of(item, bound, loops) for item in expr.list_expr.elements)
        if kind == "struct_expr":
            return self._struct(expr.struct_expr, bound, loops)
        return self._loop(expr, bound, loops)

    def _select(self, expr: Any, operand: Shape, name: str) -> Shape:
        if expr.WhichOneof("kind") == "select_expr" and expr.select_expr.test_only:
            self._field(expr, operand, name)
            return BOOLEAN
        return self._field(expr, operand, name)

    def _field(self, expr: Any, operand: Shape, name: str) -> Shape:
        if not operand.may_be(("object",)):
            self._find(expr, f"{operand} has no fields, so no '{name}'.", code="field")
            return ANY
        found = operand.get(name)
        if found is None:
            known = operand.names
            listed = ", ".join(sorted(known)[:12])
            self._find(expr, f"There is no field '{name}'; known are: {listed}.", did_you_mean(name, known), "field")
            return ANY
        if may_lack(expr, operand, name) and path_of(expr) not in self._there:
            hint = f"Write .?{name}.orValue(…), or has(…) ? … : …; or list it under 'required' in its schema."
            self._find(expr, f"'{name}' may be missing here.", hint, "missing")
        return found

    def _call(  # noqa: PLR0911  (one return per family of operators)
        self, expr: Any, bound: Mapping[str, Shape], loops: int
    ) -> Shape:
        call = expr.call_expr
        name = call.function
        shapes = self._arguments(call, bound, loops)
        target = self.of(call.target, bound, loops) if call.HasField("target") else ANY
        if name in ("_==_", "_!=_"):
            self._equality(expr, shapes[0], shapes[1])
        elif name == "@in":
            self._membership(expr, *shapes)
        elif name in ("_<_", "_<=_", "_>_", "_>=_"):
            if not any(shapes[0].may_be(group) and shapes[1].may_be(group) for group in _ORDERED):
                self._find(expr, f"{shapes[0]} cannot be compared with {shapes[1]}.")
        elif name in ("_&&_", "_||_", "!_"):
            self._need_booleans(call.args, shapes)
        elif name in _ARITHMETIC:
            return self._arithmetic(expr, *shapes)
        elif name == "-_":
            return shapes[0] if shapes[0].kinds <= NUMERIC else ANY
        elif name == "_?_:_":
            self._need_booleans(call.args[:1], shapes[:1])
            return shapes[1].union(shapes[2])
        elif name == "_[_]":
            return shapes[0].item() if shapes[0].is_only("array") else ANY
        elif name == "orValue":
            self._need_optional(call.target)
            return target.union(shapes[0])
        else:
            return self._known_result(expr, name)
        return BOOLEAN

    def _arguments(self, call: Any, bound: Mapping[str, Shape], loops: int) -> list[Shape]:
        """The shapes of what a call is given; a branch of a ternary knows of the fields that its condition found."""
        if call.function != "_?_:_":
            return [self.of(argument, bound, loops) for argument in call.args]
        condition, *branches = call.args
        shapes, before = [self.of(condition, bound, loops)], self._there
        for branch, holds in zip(branches, (True, False), strict=True):
            self._there = before | fields_found(condition, holds=holds)
            shapes.append(self.of(branch, bound, loops))
        self._there = before
        return shapes

    def _known_result(self, expr: Any, name: str) -> Shape:
        made = self._tree.types.get(expr.id)
        if made is not None and made.WhichOneof("kind") == "primitive":
            return _PRIMITIVES.get(made.primitive, ANY)
        return _RESULTS.get(name, ANY)

    def _need_optional(self, expr: Any) -> None:
        """A plain path has no `.orValue`: it blocks the reader, or is an error, before that is asked."""
        inner = expr
        while inner.WhichOneof("kind") == "select_expr":
            inner = inner.select_expr.operand
        if inner is not expr and inner.WhichOneof("kind") == "ident_expr":
            name = expr.select_expr.field
            self._find(expr, f"'{name}' is not optional here.", f"Write .?{name}.orValue(…).", "missing")

    def _equality(self, expr: Any, left: Shape, right: Shape) -> None:
        if left.is_only("null") or right.is_only("null"):
            return
        if not left.may_be(right.kinds):
            self._find(expr, f"{left} is never equal to {right}.")
        elif left.constants is not None and right.constants is not None and not left.constants & right.constants:
            known, given = (
                (left.constants, right.constants) if len(right.constants) == 1 else (right.constants, left.constants)
            )
            self._unknown_constant(expr, min(given), known)

    def _membership(self, expr: Any, item: Shape, container: Shape) -> None:
        if not container.may_be(("array", "object")):
            self._find(expr, f"'in' needs a list, and this is {container}.")
            return
        if not container.is_only("array") or container.items is None:
            return
        listed = container.item()
        if not item.may_be(listed.kinds):
            self._find(expr, f"{item} is never in a list of {listed}s.")
        elif item.constants is not None and listed.constants is not None:
            for constant in sorted(listed.constants - item.constants):
                self._unknown_constant(expr, constant, item.constants)

    def _unknown_constant(self, expr: Any, given: str, known: frozenset[str]) -> None:
        listed = ", ".join(f"'{one}'" for one in sorted(known)[:12])
        self._find(
            expr, f"It is never '{given}'; possible are: {listed}.", did_you_mean(given, sorted(known)), "constant"
        )

    def _need_booleans(self, operands: Any, shapes: list[Shape]) -> None:
        for operand, shape in zip(operands, shapes, strict=True):
            if not shape.may_be(("boolean",)):
                self._find(operand, f"This is {shape}, and a condition needs a boolean.")

    def _arithmetic(self, expr: Any, left: Shape, right: Shape) -> Shape:
        if left.kinds <= NUMERIC and right.kinds <= NUMERIC:
            if "number" not in left.kinds | right.kinds:
                return INTEGER
            if expr.call_expr.function == "_%_":
                self._find(expr, "'%' needs integers on both sides.", "Wrap the number in int(…).")
            self._checked.mixed |= {operand.id for operand in expr.call_expr.args}
            return NUMBER
        groups: list[frozenset[Kind]] = [NUMERIC]
        if expr.call_expr.function == "_+_":
            groups += [frozenset(("string",)), frozenset(("array",))]
        if not any(left.may_be(group) and right.may_be(group) for group in groups):
            sign = expr.call_expr.function.strip("_")
            hint = 'Put both into a text: "${a} ${b}", or wrap one in string(…).' if sign == "+" else None
            self._find(expr, f"'{sign}' cannot join {left} and {right}.", hint)
        return STRING if left.is_only("string") and right.is_only("string") else ANY

    def _struct(self, struct: Any, bound: Mapping[str, Shape], loops: int) -> Shape:
        fields: dict[str, Shape] = {}
        constant = True
        for entry in struct.entries:
            value = self.of(entry.value, bound, loops)
            key = self.of(entry.map_key, bound, loops)
            if key.constants and not entry.optional_entry:
                fields[min(key.constants)] = value
            else:
                constant = False
        return object_shape(fields) if constant else replace(object_shape(fields), open=True)

    def _loop(self, expr: Any, bound: Mapping[str, Shape], loops: int) -> Shape:
        loop = expr.comprehension_expr
        # The optional macros expand to a loop over nothing, which binds a value.
        nesting = loops + (0 if loop.iter_var == "#unused" else 1)
        if nesting > MAX_LOOP_NESTING:
            self._find(expr, f"Loops are nested more than {MAX_LOOP_NESTING} deep.", "Move a part into a step.")
            return ANY
        over = self.of(loop.iter_range, bound, loops)
        if loop.iter_var != "#unused" and not over.may_be(("array", "object")):
            self._find(expr, f"A loop needs a list, and this is {over}.")
        start = self.of(loop.accu_init, bound, loops)
        item = over.item() if over.is_only("array") else ANY
        gathers = start.is_only("array")
        inner = {**bound, loop.iter_var: item, loop.accu_var: ANY if gathers else start}
        for part in (loop.loop_condition, loop.loop_step):
            self.of(part, inner, nesting)
        return LIST if gathers else self.of(loop.result, inner, nesting)

    def _find(self, expr: Any, detail: str, suggestion: str | None = None, code: str = "type") -> None:
        while code not in _AT_FIELDS and (selected := field_of(expr)) is not None:
            expr = selected[0]
        offset = self._tree.positions.get(expr.id, 0)
        if code in _AT_FIELDS and self._tree.source[offset : offset + 1] == ".":
            offset += 2 if self._tree.source[offset + 1 : offset + 2] == "?" else 1
        finding = Finding(detail[0].upper() + detail[1:], offset, suggestion, code)
        if finding not in self._checked.findings:
            self._checked.findings.append(finding)


def _constant(constant: Any) -> Shape:
    kind = constant.WhichOneof("kind")
    if kind == "string_value":
        return shape_of_value(constant.string_value)
    return {"bool_value": BOOLEAN, "null_value": NULL, "double_value": NUMBER, "bytes_value": ANY}.get(kind, INTEGER)
