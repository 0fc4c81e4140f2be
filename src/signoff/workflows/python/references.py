"""What the code of workflows in Python names: prompts, tools, indexes, rules, workflows, roles that are written out."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from signoff.core.errors import NotFoundError, Problem, did_you_mean
from signoff.workflows.python.options import escalate_of, retry_of, role_of, seconds_of
from signoff.workflows.python.syntax import Source, context_names, workflow_call

_DURATIONS = ("timeout", "expire")


@dataclass(frozen=True, slots=True)
class Known:
    """What a project has.

    Attributes:
        prompts: finds a prompt by a reference such as `classify@^3`, or raises NotFoundError.
    """

    prompts: Callable[[str], Any]
    tools: Sequence[str]
    indexes: Sequence[str]
    rules: Sequence[str]
    decisions: Sequence[str]
    workflows: Sequence[str]
    roles: Sequence[str]


def unknown_names(source: Source, known: Known) -> Iterator[Problem]:
    """Every constant that a verb is given and that names nothing, or that the verb would refuse when it runs."""
    kinds = {
        "tool": ("tool", known.tools),
        "retrieve": ("index", known.indexes),
        "check": ("rule set", known.rules),
        "decide": ("decision", known.decisions),
        "call": ("workflow", known.workflows),
    }
    for function in source.functions():
        contexts = context_names(source, function)
        for node in ast.walk(function):
            verb, call = _verb(node, contexts)
            if call is None:
                continue
            target = call.args[0] if call.args else None
            if verb in kinds and isinstance(target, ast.Constant) and target.value not in kinds[verb][1]:
                what, names = kinds[verb]
                detail = f"There is no {what} named '{target.value}'."
                yield _unknown(source, target, detail, did_you_mean(str(target.value), tuple(names)))
            elif verb == "ai" and isinstance(target, ast.Constant):
                yield from _prompt(source, target, known)
            elif verb == "outcome" and isinstance(target, ast.Constant):
                yield from _outcome(source, function, target)
            yield from _keys(source, call, known)


def _verb(node: ast.AST, contexts: set[str]) -> tuple[str, ast.Call | None]:
    called = node.func if isinstance(node, ast.Call) else None
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id in contexts:
        return called.attr, node if isinstance(node, ast.Call) else None
    return "", None


def _prompt(source: Source, target: ast.Constant, known: Known) -> Iterator[Problem]:
    try:
        known.prompts(str(target.value))
    except NotFoundError as error:
        yield _unknown(source, target, error.detail, None)


def _outcome(
    source: Source, function: ast.FunctionDef | ast.AsyncFunctionDef, target: ast.Constant
) -> Iterator[Problem]:
    """Of a workflow itself; a helper may end any."""
    head = workflow_call(source, function)
    declared = None if head is None else next((key.value for key in head.keywords if key.arg == "outcomes"), None)
    if isinstance(declared, (ast.List, ast.Tuple)):
        names = [item.value for item in declared.elts if isinstance(item, ast.Constant)]
        if target.value not in names:
            hint = did_you_mean(str(target.value), [str(name) for name in names])
            yield _unknown(source, target, f"The workflow has no outcome '{target.value}'.", hint)


def _keys(source: Source, call: ast.Call, known: Known) -> Iterator[Problem]:
    """Constants behind keys, held against what the verbs take."""
    for keyword in call.keywords:
        try:
            value = ast.literal_eval(keyword.value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue  # known only when it runs
        if value is None:
            continue
        try:
            if keyword.arg == "retry":
                retry_of(value)
            elif keyword.arg in _DURATIONS:
                seconds_of(value, keyword.arg)
            elif keyword.arg == "escalate":
                escalate_of(value, None)
                yield from _role(source, keyword.value, str(value.get("also", "")), known)
            elif keyword.arg == "by":
                role_of(value, "by")
                yield from _role(source, keyword.value, value, known)
        except (ValueError, TypeError, AttributeError) as error:
            line, column = keyword.value.lineno, keyword.value.col_offset + 1
            yield Problem(f"{error}.", source.file, line, column, code="value")


def _role(source: Source, node: ast.expr, text: str, known: Known) -> Iterator[Problem]:
    name = text.removeprefix("role/")
    if name not in known.roles:
        detail = f"It names the role '{name}', which signoff.yaml does not list."
        hint = did_you_mean(name, tuple(known.roles)) or f"Add '{name}' under 'roles' in signoff.yaml."
        yield _unknown(source, node, detail, hint)


def _unknown(source: Source, node: ast.expr, detail: str, suggestion: str | None) -> Problem:
    line, column = node.lineno, node.col_offset + 1
    return Problem(detail, source.file, line, column, suggestion=suggestion, code="unknown-name")
