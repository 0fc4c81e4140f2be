"""Compiled expressions: CEL, evaluated strictly (rule 4), from plain data, knowing what they read.

Two deviations from CEL, both because documents are read by people who think in JSON: `&&` and `||` never absorb an
error, and arithmetic between an integer and a number is done in numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from math import isfinite
from typing import Any, cast

from signoff.core.errors import closest
from signoff.core.labels import Labels, join_all
from signoff.core.values import value
from signoff.workflows.checking import Checked, Finding, check_tree
from signoff.workflows.errors import Blocked, ExpressionError
from signoff.workflows.faults import not_cel, written_elsewhere
from signoff.workflows.model import Expression, Read, Scope
from signoff.workflows.possible import ends_asked_for
from signoff.workflows.presence import fields_found
from signoff.workflows.reads import STATUS_FIELDS, ReadSite, find_reads
from signoff.workflows.shapes import ANY, Shape
from signoff.workflows.strict import make_strict
from signoff.workflows.syntax import CelSyntaxError, Checker, Fault, Tree, message, program

MAX_EXPRESSION_BYTES = 4096
"""Length of one expression as UTF-8."""

MAX_VALUE_NESTING = 100
"""Objects and lists inside each other in a value that CEL is given; it has no bound of its own."""

MAX_SHOWN_SOURCE = 120
"""Characters of an expression that an error quotes."""

_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_UNBOUND = re.compile(r'No value with name "([^"]*)" found in Activation')
_NO_OVERLOAD = re.compile(r"[Ff]ound no matching overload for '([^']*)' applied to '([^']*)'")
_MISSING = object()


@value
class _Variable:
    """A value that a program is given: as little of the scope as the expression needs, since CEL copies it.

    Attributes:
        name: in the rewritten tree.
        root: whose value.
        path: which field of it.
        status: it stands for a step that is only asked for its status or under `.orValue(…)`.
    """

    name: str
    root: str
    path: tuple[str, ...]
    status: bool


class CelExpression:
    """One CEL expression (`Expression` of the model).

    Args:
        source: as written.
        reads: what it names.
        definite: roots whose data it reads whichever way evaluation goes.
        lazy: roots whose data it reads in a branch of a ternary.
        variables: what the program is given.
        evaluable: the program; none where the expression is its only variable.
        shape: what is known of its value.
        tree: as checked, for the analysis of data flow.
    """

    __slots__ = ("_definite", "_lazy", "_program", "_reads", "_source", "_variables", "shape", "tree")

    def __init__(
        self,
        source: str,
        sites: list[ReadSite],
        variables: list[_Variable],
        evaluable: Any,
        *,
        shape: Shape,
        tree: Any,
    ) -> None:
        self._source = source
        self._program = evaluable
        self._variables = tuple(variables)
        self.shape = shape
        self.tree = tree
        self._reads = tuple(dict.fromkeys(Read(site.root, site.path, status_only=site.status_only) for site in sites))
        data = [site for site in sites if not site.status_only]
        self._definite = tuple(dict.fromkeys(site.root for site in data if not site.lazy))
        self._lazy = frozenset(site.root for site in data).difference(self._definite)

    def shaped(self, shape: Shape) -> CelExpression:
        """The same with another shape."""
        made = CelExpression.__new__(CelExpression)
        made._definite, made._lazy, made._program = self._definite, self._lazy, self._program  # noqa: SLF001  (of its own kind)
        made._reads, made._source, made._variables = self._reads, self._source, self._variables  # noqa: SLF001  (the same)
        made.shape, made.tree = shape, self.tree
        return made

    @property
    def source(self) -> str:
        """As written in the document."""
        return self._source

    @property
    def reads(self) -> tuple[Read, ...]:
        """Everything it names."""
        return self._reads

    @property
    def parts(self) -> Mapping[str, Expression]:
        """None: it is one value."""
        return {}

    @property
    def is_path(self) -> bool:
        """Whether it only follows fields that must be there, such as `input.ticket.text`."""
        return self._program is None

    @property
    def definite(self) -> tuple[str, ...]:
        """The roots whose data it reads whichever way evaluation goes: without one of them it is blocked (rule 3)."""
        return self._definite

    def evaluate(self, scope: Scope) -> Any:
        """The plain value; see `Expression.evaluate` for what it raises."""
        for root in self._definite:
            if not scope.readable(root):
                raise Blocked(root)
        if self._program is None:
            return self._follow(self._variables[0], scope)
        data: dict[str, Any] = {}
        for variable in self._variables:
            value = self._find(variable, scope)
            if value is not _MISSING:
                if isinstance(value, (dict, list, str)) and not _fits(value):
                    raise self._error(
                        f"a value is nested more than {MAX_VALUE_NESTING} deep, or one of its texts holds NUL"
                    )
                data[variable.name] = value
        try:
            result = self._program.eval(data=data)
            plain = result.plain_value()
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            raise self._failure(str(error), scope) from None
        if plain is None or isinstance(plain, (bool, int)):
            return plain
        if isinstance(plain, str) and result.type().name() == "ERROR":
            raise self._failure(plain, scope)
        return self._json(plain)

    def labels(self, scope: Scope) -> Labels:
        """The join of the labels of everything it reads."""
        if len(self._reads) == 1:
            return scope.labels(self._reads[0].root, self._reads[0].path)
        return join_all(scope.labels(read.root, read.path) for read in self._reads)

    def _follow(self, variable: _Variable, scope: Scope) -> Any:
        value = scope.value(variable.root)
        try:
            for name in variable.path:
                value = value[name]
        except (KeyError, TypeError, IndexError):
            raise self._absent(variable, scope) from None
        return value

    def _find(self, variable: _Variable, scope: Scope) -> Any:
        root, path = variable.root, variable.path
        if not scope.readable(root):
            if not variable.status:
                return _MISSING
            status = scope.value(root)
            value: Any = {name: status[name] for name in STATUS_FIELDS}
        else:
            value = scope.value(root)
        for name in path:
            if not isinstance(value, dict) or name not in value:
                return _MISSING
            value = cast("dict[str, Any]", value)[name]
        return value

    def _absent(self, variable: _Variable, scope: Scope) -> ExpressionError | Blocked:
        if not variable.status and not scope.readable(variable.root):
            return Blocked(variable.root)
        value, at = scope.value(variable.root), variable.root
        for name in variable.path:
            if not isinstance(value, dict):
                return self._error(f"'{at}' is not an object and has no fields")
            if name not in value:
                return self._error(f"'{at}' has no field '{name}'")
            value, at = cast("dict[str, Any]", value)[name], f"{at}.{name}"
        return self._error(f"'{at}' is not there")

    def _json(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._json(item) for item in cast("list[Any]", value)]
        if isinstance(value, dict):
            entries = cast("dict[Any, Any]", value)
            if not all(isinstance(key, str) for key in entries):
                raise self._error("the keys of an object are texts")
            return {key: self._json(item) for key, item in entries.items()}
        if isinstance(value, float) and not isfinite(value):
            raise self._error("the result is not a finite number")
        if value is not None and not isinstance(value, (bool, int, float, str)):
            raise self._error(f"the result is no JSON data but {type(value).__name__}; wrap it in string(…)")
        return value

    def _failure(self, text: str, scope: Scope) -> ExpressionError | Blocked:
        unbound = _UNBOUND.search(text)
        if unbound:
            for variable in self._variables:
                if variable.name == unbound[1]:
                    return self._absent(variable, scope)
        return self._error(_explained(text))

    def _error(self, why: str) -> ExpressionError:
        shown = self._source if len(self._source) <= MAX_SHOWN_SOURCE else f"{self._source[:MAX_SHOWN_SOURCE]}…"
        return ExpressionError(f"`{shown}` failed: {why}")


def _fits(value: Any, depth: int = MAX_VALUE_NESTING) -> bool:
    """Whether CEL sees a value as it is: the library ends texts at a NUL, so that two become one."""
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        if any(isinstance(key, str) and "\0" in key for key in entries):
            return False
        inner = list(entries.values())
    else:
        inner = cast("list[Any]", value)
    return depth > 0 and all(_fits(item, depth - 1) for item in inner if isinstance(item, (dict, list, str)))


_EXPLANATIONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r".*<jump_condition>.*", re.DOTALL), "a condition is not a boolean"),
    (re.compile(r'Key not found in map : "?([^"]*)"?'), r"there is no field '\1'"),
    (re.compile(r"Applying SELECT to non-message type"), "a value that is not an object has no fields"),
    (re.compile(r"No matching overloads found : (\S+)\s*\((.*)\)"), r"'\1' cannot be applied to (\2)"),
    (re.compile(r"Index error: index=(-?\d+) size=(\d+)"), r"the list has \2 items, so none at \1"),
    (re.compile(r"Integer value '.*' out of range.*", re.DOTALL), "an integer has more than 64 bits"),
    (re.compile(r"Non-CEL value type.*", re.DOTALL), "a value is not JSON data"),
    (
        re.compile(r"Unable to convert function return value.*", re.DOTALL),
        "the result is optional; end with .orValue(…)",
    ),
)


def _explained(text: str) -> str:
    for pattern, meaning in _EXPLANATIONS:
        match = pattern.search(text)
        if match:
            return match.expand(meaning).replace("'_", "'").replace("_'", "'")
    return re.sub(r"^[A-Z_]+: | \[[A-Z_]+\]$", "", text)


@value
class Faulty:
    """An expression that cannot be compiled: everything that is wrong with it."""

    findings: tuple[Finding, ...]


class ExpressionCompiler:
    """Compiles the expressions of one document.

    Args:
        variables: what each root is, made when asked for: `input`, and the steps by name.
        steps: the roots that have a status.
        hidden: names of steps that cannot be seen from here, and the group that each is in.

    Attributes:
        there: fields that a condition around what is compiled has found to be there.
    """

    def __init__(
        self,
        variables: Mapping[str, Callable[[], Shape]],
        steps: Collection[str],
        hidden: Mapping[str, str] | None = None,
    ) -> None:
        self._variables = variables
        self._steps = frozenset(steps)
        self._hidden = hidden or {}
        self._checker = Checker(variables)
        self.there: frozenset[tuple[str, ...]] = frozenset()

    def compile(self, source: str, shapes: Mapping[str, Callable[[], Shape]] | None = None) -> CelExpression | Faulty:
        """Compile one expression.

        Args:
            source: CEL.
            shapes: shapes that hold here instead of the document's, such as `result` in an undo.
        """
        if len(source.encode("utf-8", "replace")) > MAX_EXPRESSION_BYTES:
            text = f"An expression has at most {MAX_EXPRESSION_BYTES} bytes."
            return Faulty((Finding(text, 0, "Move parts into `set` steps.", "limit"),))
        try:
            tree = self._checker.parse(source)
        except CelSyntaxError as error:
            return Faulty(tuple(self._finding(source, fault) for fault in error.faults))
        known = {**self._variables, **(shapes or {})}
        checked: Checked = check_tree(tree, known, self.there)
        if checked.findings:
            return Faulty(tuple(checked.findings))
        # The same source means the same to all to whom its names are the same kind of thing: all but its value's shape.
        key = (tree.names.intersection(known), tree.names & self._steps, frozenset(checked.mixed))
        prepared = tree.prepared.get(key)
        if prepared is None:
            try:
                prepared = tree.prepared[key] = self._prepared(tree, *key)
            except CelSyntaxError as error:
                return Faulty(tuple(self._finding(source, fault) for fault in error.faults))
        return prepared.shaped(checked.shape)

    def _prepared(
        self, tree: Tree, roots: frozenset[str], steps: frozenset[str], mixed: frozenset[int]
    ) -> CelExpression:
        """A tree as a program over the values that it reads.

        Raises:
            CelSyntaxError: it nests deeper than protocol buffers can.
        """
        root = message("Expr")()
        root.CopyFrom(tree.root)
        sites = find_reads(root, roots, steps)
        variables: dict[tuple[str, tuple[str, ...], bool], _Variable] = {}
        for site in sites:
            key = (site.root, site.prefix, site.status_only)
            variable = variables.setdefault(key, _Variable(f"@{len(variables)}", *key))
            identity = site.node.id
            site.node.Clear()
            site.node.id = identity
            site.node.ident_expr.name = variable.name
        evaluable = None
        if root.WhichOneof("kind") != "ident_expr":
            make_strict(root, mixed)
            evaluable = program(root)
        return CelExpression(tree.source, sites, list(variables.values()), evaluable, shape=ANY, tree=tree.root)

    def found_by(self, source: str) -> frozenset[tuple[str, ...]]:
        """The fields that are there where a condition holds; none of a source that is no CEL."""
        try:
            return fields_found(self._checker.parse(source).root, holds=True)
        except CelSyntaxError:
            return frozenset()

    def ends_asked_for(self, source: str, ends: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
        """How steps must have ended for a condition to hold, as far as it says so."""
        try:
            return ends_asked_for(self._checker.parse(source).root, ends)
        except CelSyntaxError:
            return {}

    def _finding(self, source: str, fault: Fault) -> Finding:
        undeclared = _UNDECLARED.search(fault.text)
        if undeclared:
            name = undeclared[1].split(".")[0]
            near = closest(name, sorted(self._variables))
            hint = f"Did you mean '{near}'?" if near else None
            if near is None:
                hint = written_elsewhere(name)
            if name in self._hidden:
                hint = f"It is a step inside '{self._hidden[name]}', whose 'give' says what is seen of it."
            # The checker points behind the name where a field or a call follows it.
            offset = fault.offset - (len(name) if source[: fault.offset].endswith(name) else 0)
            return Finding(f"There is no step, function or input named '{name}'.", offset, hint, "name")
        overload = _NO_OVERLOAD.search(fault.text)
        if overload:
            operator = overload[1].strip("_")
            hint = (
                "Wrap the integer in double(…)." if {"int", "double"} <= set(re.findall(r"\w+", overload[2])) else None
            )
            return Finding(f"'{operator}' cannot be applied to {overload[2]}.", fault.offset, hint)
        return not_cel(source, fault)
