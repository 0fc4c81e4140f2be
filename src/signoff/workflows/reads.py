"""What an expression names, from its checked tree: the ground of waiting (rule 2), blocking (rule 3) and data flow."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from signoff.core.values import value

STATUS_FIELDS = ("done", "result")
"""Fields that may be asked of any ended step (rule 3), and that no contract may therefore define."""

_OPTIONAL_SELECTS = ("_?._", "_[?_]")
_SELECTS = frozenset((*_OPTIONAL_SELECTS, "_[_]"))


@value
class ReadSite:
    """One place of an expression that names a root.

    Attributes:
        root: `input`, `result` or a step.
        path: the fields behind it, as far as they are constant.
        status_only: `.done`, `.result`, or an optional field under `.orValue(…)`.
        lazy: it stands in a branch of a ternary, which evaluation may not take.
        node: the tree's largest node that only selects fields which must be there.
        prefix: the path that this node selects.
    """

    root: str
    path: tuple[str, ...]
    status_only: bool
    lazy: bool
    node: Any
    prefix: tuple[str, ...]


def find_reads(expr: Any, roots: Collection[str], steps: Collection[str]) -> list[ReadSite]:
    """Every place where a tree (`cel.expr.Expr`) names one of the roots; `steps` are the roots that have a status."""
    return list(_Finder(roots, steps).visit(expr, frozenset(), lazy=False, guarded=False))


def field_of(expr: Any) -> tuple[Any, str] | None:
    """What is selected from, and the constant field, for `x.f`, `x['f']`, `x.?f` and `x[?'f']`; none for others."""
    kind = expr.WhichOneof("kind")
    if kind == "select_expr":
        return expr.select_expr.operand, expr.select_expr.field
    if kind == "call_expr" and expr.call_expr.function in _SELECTS:
        operand, key = expr.call_expr.args
        if key.WhichOneof("kind") == "const_expr" and key.const_expr.WhichOneof("kind") == "string_value":
            return operand, key.const_expr.string_value
    return None


def children(expr: Any) -> Iterator[Any]:
    """The direct parts of a node, except of a comprehension."""
    kind = expr.WhichOneof("kind")
    if kind == "select_expr":
        yield expr.select_expr.operand
    elif kind == "call_expr":
        if expr.call_expr.HasField("target"):
            yield expr.call_expr.target
        yield from expr.call_expr.args
    elif kind == "list_expr":
        yield from expr.list_expr.elements
    elif kind == "struct_expr":
        for entry in expr.struct_expr.entries:
            if entry.WhichOneof("kind") == "map_key":
                yield entry.map_key
            yield entry.value


class _Finder:
    def __init__(self, roots: Collection[str], steps: Collection[str]) -> None:
        self._roots = roots
        self._steps = steps

    def visit(self, expr: Any, bound: frozenset[str], *, lazy: bool, guarded: bool) -> Iterator[ReadSite]:
        site = self._chain(expr, bound, lazy=lazy, guarded=guarded)
        if site is not None:
            yield site
            return
        kind = expr.WhichOneof("kind")
        if kind == "comprehension_expr":
            yield from self._comprehension(expr.comprehension_expr, bound, lazy=lazy, guarded=guarded)
        elif kind == "call_expr" and expr.call_expr.function == "_?_:_":
            condition, *branches = expr.call_expr.args
            yield from self.visit(condition, bound, lazy=lazy, guarded=guarded)
            for branch in branches:
                yield from self.visit(branch, bound, lazy=True, guarded=guarded)
        elif kind == "call_expr" and expr.call_expr.function == "orValue" and expr.call_expr.HasField("target"):
            yield from self.visit(expr.call_expr.target, bound, lazy=lazy, guarded=True)
            for argument in expr.call_expr.args:
                yield from self.visit(argument, bound, lazy=lazy, guarded=guarded)
        else:
            for child in children(expr):
                yield from self.visit(child, bound, lazy=lazy, guarded=guarded)

    def _comprehension(self, loop: Any, bound: frozenset[str], *, lazy: bool, guarded: bool) -> Iterator[ReadSite]:
        for part in (loop.iter_range, loop.accu_init):
            yield from self.visit(part, bound, lazy=lazy, guarded=guarded)
        inner = bound | {loop.iter_var, loop.iter_var2, loop.accu_var}
        for part in (loop.loop_condition, loop.loop_step, loop.result):
            yield from self.visit(part, inner, lazy=lazy, guarded=guarded)

    def _chain(self, expr: Any, bound: frozenset[str], *, lazy: bool, guarded: bool) -> ReadSite | None:
        links: list[tuple[Any, str]] = []
        while (field := field_of(expr)) is not None:
            links.append((expr, field[1]))
            expr = field[0]
        if expr.WhichOneof("kind") != "ident_expr":
            return None
        root = expr.ident_expr.name
        if root in bound or root not in self._roots:
            return None
        links.reverse()
        path = tuple(name for _, name in links)
        plain = next((at for at, (link, _) in enumerate(links) if not _must_be_there(link)), len(links))
        status = root in self._steps and bool(path)
        if status and path[0] not in STATUS_FIELDS:
            status = guarded and is_optional(links[0][0])
        node = links[plain - 1][0] if plain else expr
        return ReadSite(root, path, status, lazy, node, path[:plain])


def is_optional(expr: Any) -> bool:
    """Whether a selection gives nothing, and no error, where its field is missing."""
    return expr.WhichOneof("kind") == "call_expr" and expr.call_expr.function in _OPTIONAL_SELECTS


def _must_be_there(expr: Any) -> bool:
    if expr.WhichOneof("kind") == "select_expr":
        return not expr.select_expr.test_only
    return not is_optional(expr)
