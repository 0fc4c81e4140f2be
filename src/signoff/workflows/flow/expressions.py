"""The flow of an expression, from its checked tree: what had a part in its value, field by field.

Selecting, choosing and putting into an object or a list keep what is known of each field. Everything else computes: its
result depends on the whole of what goes in, and lies no more where a check has put it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from signoff.workflows.expressions import CelExpression
from signoff.workflows.flow.model import KNOWN, NOTHING, Flow, Value, join_flows
from signoff.workflows.model import Expression
from signoff.workflows.reads import field_of, is_optional
from signoff.workflows.templates import Constant, ListTemplate, MappingTemplate, ShowTemplate, TextTemplate

MAX_ROUNDS = 6
"""How often the body of a comprehension is looked at; what has not settled by then is taken as a whole."""

_OPTIONAL = ("_?._", "_[?_]")
_NO_VALUE = ("optional.none",)
_KEPT = ("orValue", "or", "optional.of", "optional.ofNonZeroValue", "value", "dyn", "flatten")

Selection = tuple[str, tuple[str, ...]]


class Reading(Protocol):
    """Where an expression stands, as its evaluation sees it."""

    def read(self, root: str, path: tuple[str, ...], *, guarded: bool) -> Value:
        """What is known of a field; `guarded` where the step may as well have no data."""
        ...

    def knows(self, root: str) -> bool:
        """Whether a name is a step, the input or a variable of a group."""
        ...


def value_of(expression: Expression | None, place: Reading) -> Value:  # noqa: PLR0911  (one return per form)
    """The value of an expression or template; a constant where there is none."""
    match expression:
        case None | Constant():
            return KNOWN
        case MappingTemplate():
            return Value(NOTHING, {name: value_of(part, place) for name, part in expression.parts.items()})
        case ListTemplate():
            return Value(NOTHING, items=_join_values(value_of(item, place) for item in expression.items))
        case CelExpression():
            return _Evaluation(place).of(expression.tree, {})
        case ShowTemplate():
            return Value(join_flows(value_of(part, place).whole() for part in expression.reading))
        case TextTemplate():
            return Value(join_flows(value_of(part, place).whole() for part in expression.reading).computed())
        case _:
            flows = (place.read(read.root, read.path, guarded=read.status_only).whole() for read in expression.reads)
            return Value(join_flows(flows).computed())


def whole_of(expression: Expression | None, place: Reading) -> Flow:
    """Everything that had a part in an expression's value."""
    return value_of(expression, place).whole()


def flow_of_tree(tree: Any, place: Reading) -> Flow:
    """Everything that had a part in the value of a tree."""
    return _Evaluation(place).of(tree, {}).whole()


def selection_of(tree: Any) -> Selection | None:
    """The root and the fields, of a tree that only selects fields which must be there."""
    path: list[str] = []
    while (found := field_of(tree)) is not None:
        if tree.WhichOneof("kind") == "select_expr" and tree.select_expr.test_only:
            return None
        if tree.WhichOneof("kind") == "call_expr" and tree.call_expr.function in _OPTIONAL:
            return None
        path.append(found[1])
        tree = found[0]
    if tree.WhichOneof("kind") != "ident_expr":
        return None
    return tree.ident_expr.name, tuple(reversed(path))


def selected(expression: Expression | None) -> Selection | None:
    """The same of an expression; none where it is no plain selection."""
    return selection_of(expression.tree) if isinstance(expression, CelExpression) else None


def _join_values(values: Iterable[Value]) -> Value:
    result: Value | None = None
    for value in values:
        result = value if result is None else result.join(value)
    return result or KNOWN


class _Evaluation:
    def __init__(self, place: Reading) -> None:
        self._place = place

    def of(  # noqa: PLR0911  (one return per kind of node)
        self, tree: Any, bound: Mapping[str, Value], *, guarded: bool = False
    ) -> Value:
        kind = tree.WhichOneof("kind")
        if kind in ("const_expr", None):
            return KNOWN
        if kind == "ident_expr" or field_of(tree) is not None:
            return self._chain(tree, bound, guarded=guarded)
        if kind == "call_expr":
            return self._call(tree.call_expr, bound, guarded=guarded)
        if kind == "list_expr":
            return Value(NOTHING, items=_join_values(self.of(item, bound) for item in tree.list_expr.elements))
        if kind == "struct_expr":
            return self._struct(tree.struct_expr, bound)
        if kind == "select_expr":
            return self.of(tree.select_expr.operand, bound)
        return self._loop(tree.comprehension_expr, bound)

    def _chain(self, tree: Any, bound: Mapping[str, Value], *, guarded: bool) -> Value:
        path: list[str] = []
        tested = tree.WhichOneof("kind") == "select_expr" and tree.select_expr.test_only
        maybe = tested
        while (found := field_of(tree)) is not None:
            maybe = maybe or is_optional(tree)
            path.append(found[1])
            tree = found[0]
        path.reverse()
        if tree.WhichOneof("kind") == "ident_expr" and tree.ident_expr.name not in bound:
            name = tree.ident_expr.name
            value = self._place.read(name, tuple(path), guarded=guarded) if self._place.knows(name) else KNOWN
            # That a field may be missing tells something of what it stands in.
            start = self._place.read(name, (), guarded=guarded) if maybe and self._place.knows(name) else KNOWN
        else:
            start = bound[tree.ident_expr.name] if tree.WhichOneof("kind") == "ident_expr" else self.of(tree, bound)
            value = start.select(path)
        if maybe:
            value = value.joined(join_flows(start.select(path[:length]).flow for length in range(len(path))).computed())
        return Value(value.whole().computed()) if tested else value

    def _call(self, call: Any, bound: Mapping[str, Value], *, guarded: bool) -> Value:
        name, arguments = call.function, list(call.args)
        if name == "_?_:_":
            return self._choice(arguments, bound, guarded=guarded)
        if name == "_[_]":
            at = self.of(arguments[1], bound).whole()
            found = self.of(arguments[0], bound, guarded=guarded)
            # A key that is no constant may lead to any field of an object, or any item of a list.
            inside = found.item() if found.items is not None else Value(found.whole())
            return inside.joined(at).joined(found.flow)
        target = [call.target] if call.HasField("target") else []
        values = [self.of(part, bound, guarded=guarded or name == "orValue") for part in (*target, *arguments)]
        if name in _NO_VALUE:
            return KNOWN
        if name in _KEPT and values:
            return _join_values(values)
        if name == "_+_" and all(value.items is not None for value in values):
            return _join_values(values)  # lists, one after the other
        return Value(join_flows(value.whole() for value in values).computed())

    def _choice(self, arguments: list[Any], bound: Mapping[str, Value], *, guarded: bool) -> Value:
        condition, then, otherwise = arguments
        decided = self.of(condition, bound).whole().computed()
        first, second = (self.of(branch, bound, guarded=guarded) for branch in (then, otherwise))
        return first.join(second).joined(decided)

    def _struct(self, struct: Any, bound: Mapping[str, Value]) -> Value:
        fields: dict[str, Value] = {}
        rest = NOTHING
        for entry in struct.entries:
            value = self.of(entry.value, bound)
            key = entry.map_key
            constant = key.const_expr if key.WhichOneof("kind") == "const_expr" else None
            if constant is not None and constant.WhichOneof("kind") == "string_value" and not entry.optional_entry:
                fields[constant.string_value] = value
            else:
                rest = rest.join(value.whole()).join(self.of(key, bound).whole())
        return Value(NOTHING, fields).joined(rest)

    def _loop(self, loop: Any, bound: Mapping[str, Value]) -> Value:
        over = self.of(loop.iter_range, bound)
        gathered = self.of(loop.accu_init, bound)
        item = over.item().joined(over.flow) if over.items is not None else Value(over.whole())
        inner = {**bound, loop.iter_var: item, loop.iter_var2: Value(over.whole())}
        for _ in range(MAX_ROUNDS):
            inner[loop.accu_var] = gathered
            decided = self.of(loop.loop_condition, inner).whole()
            step = self.of(loop.loop_step, inner)
            following = gathered.join(step).joined(Flow(over.flow.atoms, over.flow.data_class, over.flow.residency))
            following = following.joined(decided.computed()) if decided.atoms else following.joined(decided)
            if following == gathered:
                break
            gathered = following
        else:
            gathered = Value(join_flows((gathered.whole(), over.whole())).computed())
        inner[loop.accu_var] = gathered
        return self.of(loop.result, inner)
