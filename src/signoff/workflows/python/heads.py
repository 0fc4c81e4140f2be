"""Reads what `@workflow(…)` says of a workflow from its file's text, so that a project is known without running it."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from signoff.core.errors import DefinitionError, Problem, did_you_mean
from signoff.core.ids import digest as sha256
from signoff.workflows.compiler import compile_document
from signoff.workflows.documents import Node
from signoff.workflows.model import Contracts, PythonFunction, Workflow
from signoff.workflows.python.syntax import Function, NotConstantError, Source, node_of, workflow_call

HEAD_KEYS = ("version", "input", "outcomes", "about", "owner", "risk", "goals", "limits")

Load = Callable[[str, str], Callable[[], Any]]
"""For a file and a function's name: what imports the file and gives the function."""


def compile_heads(
    source: Source, contracts: Contracts, *, code_digest: str, load: Load, requires: tuple[str, ...] = ()
) -> list[Workflow]:
    """The workflows of a file.

    Args:
        source: the file.
        contracts: what heads may name: schemas.
        code_digest: of all Python files of the project; part of each workflow's own digest, as helpers may be anywhere.
        load: how a worker gets the function.
        requires: the packages that the project asks for.

    Raises:
        DefinitionError: with every problem of the file's heads.
    """
    problems: list[Problem] = []
    found: list[Workflow] = []
    top = set(map(id, source.tree.body))
    for function in source.functions():
        call = workflow_call(source, function)
        if call is None:
            continue
        wrong = _unfit(source, function, top=id(function) in top)
        if wrong is not None:
            problems.append(wrong)
            continue
        try:
            head = _head(source, call)
            bare = compile_document(head, source.file, contracts)
        except DefinitionError as error:
            problems += error.problems
            continue
        made = PythonFunction(function.name, function.lineno, load(source.file, function.name), requires)
        content = {"head": head.plain(), "input": bare.input_schema, "function": function.name, "code": code_digest}
        digest = sha256(json.dumps(content, ensure_ascii=True, default=dict).encode())
        found.append(replace(bare, steps=(), digest=digest, python=made, output_schema=_OBJECT))
    if problems:
        raise DefinitionError(f"{source.file} has workflows that are not valid", problems=problems)
    return found


_OBJECT: Mapping[str, Any] = {"type": "object"}


def _unfit(source: Source, function: Function, *, top: bool) -> Problem | None:
    """Why a function cannot be a workflow, whatever its head says."""
    detail, suggestion = None, ""
    if not isinstance(function, ast.AsyncFunctionDef):
        detail, suggestion = "A workflow is an async function.", f"Write 'async def {function.name}(ctx, input)'."
    elif not top:
        detail, suggestion = "A workflow is a function of its module.", "Take it out of the class or function."
    elif len([*function.args.posonlyargs, *function.args.args]) != 2:  # noqa: PLR2004  (a context and an input)
        detail, suggestion = "A workflow takes its context and its input.", f"Write '{function.name}(ctx, input)'."
    if detail is None:
        return None
    column = function.col_offset + 1
    return Problem(detail, source.file, function.lineno, column, suggestion=suggestion, code="python-workflow")


def _head(source: Source, call: ast.Call) -> Node:
    """The head as a document with one step that does nothing: what is right of a head is the same in both languages.

    Raises:
        DefinitionError: a key that is unknown, missing or no constant.
    """
    entries: dict[str, Node] = {}
    keys: dict[str, tuple[int, int]] = {}
    problems: list[Problem] = []
    given = [
        *(("workflow", value) for value in call.args[:1]),
        *((keyword.arg, keyword.value) for keyword in call.keywords),
    ]
    for key, value in given:
        if key is None or key not in ("workflow", *HEAD_KEYS):
            hint = did_you_mean(key or "", HEAD_KEYS) or f"Known are: {', '.join(HEAD_KEYS)}."
            problems.append(_problem(source, value, f"'{key}' is not a key of a workflow.", hint, "unknown-key"))
            continue
        try:
            entries[key] = node_of(value, (key,))
        except NotConstantError as error:
            hint = "Write it out: a project is read without running its code."
            problems.append(_problem(source, error.where, error.detail, hint, "python-workflow"))
        keys[key] = (value.lineno, value.col_offset + 1)
    outcomes = entries.pop("outcomes", None)
    keys.pop("outcomes", None)
    if "outcomes" not in [key for key, _ in given]:
        problems.append(_problem(source, call, "'outcomes' is missing.", "Name how it may end.", "missing-key"))
    if problems:
        raise DefinitionError(f"{source.file} has a workflow that is not valid", problems=problems)
    line, column = call.lineno, call.col_offset + 1
    if outcomes is not None:
        entries["outcome"] = _outcomes(source, outcomes)
        keys["outcome"] = (outcomes.line, outcomes.column)
    nothing = Node("mapping", ("steps", "nothing", "set"), line, column)
    step = Node("mapping", ("steps", "nothing"), line, column, entries={"set": nothing}, keys={"set": (line, column)})
    entries["steps"] = Node(
        "mapping", ("steps",), line, column, entries={"nothing": step}, keys={"nothing": (line, column)}
    )
    keys["steps"] = (line, column)
    return Node("mapping", (), line, column, entries=entries, keys=keys)


def _outcomes(source: Source, node: Node) -> Node:
    entries: dict[str, Node] = {}
    keys: dict[str, tuple[int, int]] = {}
    for item in node.items:
        if item.text is None:
            problem = Problem("An outcome's name is a text.", source.file, item.line, item.column, code="type")
            raise DefinitionError(problem.detail, problems=[problem])
        entries[item.text] = Node("scalar", ("outcome", item.text), item.line, item.column, value=True)
        keys[item.text] = (item.line, item.column)
    return Node("mapping", ("outcome",), node.line, node.column, entries=entries, keys=keys)


def _problem(source: Source, node: ast.expr, detail: str, suggestion: str, code: str) -> Problem:
    return Problem(detail, source.file, node.lineno, node.col_offset + 1, suggestion=suggestion, code=code)
