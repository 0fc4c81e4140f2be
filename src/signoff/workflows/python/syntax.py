"""A project's Python files as text: what their names mean, and where things stand. No code of them runs here."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping

from signoff.core.values import value
from signoff.workflows.documents import Node, Path

ROOM = "signoff.workflows.python"

Function = ast.FunctionDef | ast.AsyncFunctionDef


class NotConstantError(Exception):
    """An expression that is no constant; `where` is the part that is none."""

    def __init__(self, detail: str, where: ast.expr) -> None:
        super().__init__(detail)
        self.detail = detail
        self.where = where


@value
class Source:
    """A file, parsed.

    Attributes:
        file: its path in the project.
        tree: its syntax tree.
        lines: its text.
        names: what each imported name means, in full: `dt` is `datetime.datetime`.
    """

    file: str
    tree: ast.Module
    lines: tuple[str, ...]
    names: Mapping[str, str]

    def meaning(self, node: ast.expr) -> str | None:
        """The full name of an imported thing that an expression such as `dt.now` is; none where it is no such thing."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.names:
            return None
        return ".".join([self.names[node.id], *reversed(parts)])

    def functions(self) -> Iterator[Function]:
        """Every function of the file, also in classes and in other functions."""
        return (node for node in ast.walk(self.tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def parse(content: bytes, file: str) -> Source | None:
    """A file as a tree; none where it is no Python, which others tell."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python says of a file's style is its author's affair
            tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return Source(file, tree, tuple(content.decode("utf-8-sig", "replace").splitlines()), _imports(tree))


def workflow_call(source: Source, function: Function) -> ast.Call | None:
    """The `@workflow(…)` of a function; none of a function that is no workflow."""
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and source.meaning(decorator.func) == f"{ROOM}.workflow":
            return decorator
    return None


def context_names(source: Source, function: Function) -> set[str]:
    """The names of a function's parameters that are a workflow's context."""
    parameters = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    found = {parameter.arg for parameter in parameters if _is_context(source, parameter)}
    if parameters and workflow_call(source, function) is not None:
        found.add(parameters[0].arg)
    return found


def node_of(value: ast.expr, path: Path = ()) -> Node:
    """A constant as a document's node, with its place.

    Raises:
        NotConstantError: it is none.
    """
    line, column = value.lineno, value.col_offset + 1
    if isinstance(value, ast.Dict):
        entries: dict[str, Node] = {}
        keys: dict[str, tuple[int, int]] = {}
        for key, item in zip(value.keys, value.values, strict=True):
            if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
                raise NotConstantError("This is no constant text.", key or item)
            entries[key.value] = node_of(item, (*path, key.value))
            keys[key.value] = (key.lineno, key.col_offset + 1)
        return Node("mapping", path, line, column, entries=entries, keys=keys)
    if isinstance(value, (ast.List, ast.Tuple)):
        items = tuple(node_of(item, (*path, index)) for index, item in enumerate(value.elts))
        return Node("list", path, line, column, items=items)
    try:
        constant = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise NotConstantError("This is no constant.", value) from None
    if not isinstance(constant, (str, int, float, bool, type(None))):
        raise NotConstantError("This is no text, number, list or dict.", value)
    return Node(
        "scalar", path, line, column, value=constant, raw=constant if isinstance(constant, str) else str(constant)
    )


def _is_context(source: Source, parameter: ast.arg) -> bool:
    annotation = parameter.annotation
    if annotation is None:
        return parameter.arg == "ctx"
    if isinstance(annotation, ast.Constant):
        return annotation.value in ("Context", "python.Context")
    return source.meaning(annotation) in (f"{ROOM}.Context", f"{ROOM}.context.Context")


def _imports(tree: ast.Module) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names
