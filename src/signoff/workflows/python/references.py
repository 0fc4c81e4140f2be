"""What the code of workflows in Python names: prompts, tools, indexes, rules, workflows, roles that are written out."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from signoff.core.errors import NotFoundError, Problem, did_you_mean
from signoff.core.values import value
from signoff.workflows.python.offered import INDEX_KEYS, TOOL_KEYS
from signoff.workflows.python.options import count_of, escalate_of, retry_of, role_of, seconds_of
from signoff.workflows.python.syntax import Source, context_names, workflow_call
from signoff.workflows.verbs import VERBS, Count

_DURATIONS = ("timeout", "expire")
_PROMPTED = ("ai", "agent", "plan")
_OFFERING = ("agent", "plan")


@value
class Known:
    """What a project has.

    Attributes:
        prompts: finds a prompt by a reference such as `classify@^3`, or raises NotFoundError.
        trusted: by tool, the arguments that take trusted values only.
    """

    prompts: Callable[[str], Any]
    tools: Sequence[str]
    indexes: Sequence[str]
    rules: Sequence[str]
    decisions: Sequence[str]
    workflows: Sequence[str]
    roles: Sequence[str]
    trusted: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])


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
            elif verb in _PROMPTED and isinstance(target, ast.Constant):
                yield from _prompt(source, target, known)
            elif verb == "outcome" and isinstance(target, ast.Constant):
                yield from _outcome(source, function, target)
            if verb in _OFFERING:
                yield from _offers(source, verb, call, known)
            yield from _keys(source, call, known)


def agents_of(source: Source) -> Iterator[tuple[int, str]]:
    """The line and the prompt of every agent whose prompt is written out."""
    for function in source.functions():
        contexts = context_names(source, function)
        for node in ast.walk(function):
            verb, call = _verb(node, contexts)
            if verb != "agent" or call is None or not call.args:
                continue
            prompt = _text(call.args[0])
            if prompt is not None:
                yield call.lineno, prompt


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


def _offers(source: Source, verb: str, call: ast.Call, known: Known) -> Iterator[Problem]:
    """The entries of `tools` and the bounds that are written out; what is not is looked at when the model is asked."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    listed = given.get("tools")
    if listed is None and None not in given:
        detail = f"'tools' is missing: ctx.{verb} needs what may be called."
        yield Problem(detail, source.file, call.lineno, call.col_offset + 1, code="missing-key")
    for item in listed.elts if isinstance(listed, (ast.List, ast.Tuple)) else ():
        entry = item if isinstance(item, ast.Dict) else ast.Dict([ast.Constant("tool")], [item])
        yield from _offer(source, item, entry, known)
    for key, kind in (VERBS[verb].settings or {}).items():  # pyright: ignore[reportArgumentType]  (one of _OFFERING)
        value = given.get(key)
        if isinstance(kind, Count) and isinstance(value, ast.Constant):
            try:
                count_of(key, value.value, kind.most)  # pyright: ignore[reportArgumentType]  (whatever stands there)
            except ValueError as error:
                yield Problem(f"{error}.", source.file, value.lineno, value.col_offset + 1, code="value")


def _offer(source: Source, item: ast.expr, entry: ast.Dict, known: Known) -> Iterator[Problem]:
    parts = {_text(key): value for key, value in zip(entry.keys, entry.values, strict=True)}
    if None in parts:
        return  # known only when it runs
    what, names = ("index", known.indexes) if "retrieve" in parts else ("tool", known.tools)
    allowed = INDEX_KEYS if "retrieve" in parts else TOOL_KEYS
    for key in parts:
        if key not in allowed:
            hint = did_you_mean(key or "", allowed) or f"It has {', '.join(allowed)}."
            yield _unknown(source, item, f"An entry of tools has no '{key}'.", hint, "unknown-key")
    named = parts.get("retrieve", parts.get("tool"))
    target = _text(named)
    if named is None or target is None:
        return
    if target not in names:
        yield _unknown(source, named, f"There is no {what} named '{target}'.", did_you_mean(target, tuple(names)))
    written = parts.get("with", ast.Dict([], []))
    fixed = {_text(key) for key in written.keys} if isinstance(written, ast.Dict) else {None}
    for name in sorted(known.trusted.get(target, frozenset()).difference(fixed)) if None not in fixed else ():
        detail = f"A model chooses '{name}' of '{target}', which takes trusted values only."
        hint = f'Write it in "with" of this entry: {{"tool": "{target}", "with": {{"{name}": …}}}}.'
        yield _unknown(source, item, detail, hint, "flow-argument")


def _text(node: ast.expr | None) -> str | None:
    """A text that is written out; none of anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


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


def _unknown(
    source: Source, node: ast.expr, detail: str, suggestion: str | None, code: str = "unknown-name"
) -> Problem:
    line, column = node.lineno, node.col_offset + 1
    return Problem(detail, source.file, line, column, suggestion=suggestion, code=code)
