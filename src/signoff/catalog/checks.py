"""What no file of a project can be asked alone: that what it names is there. Names in workflows are the compiler's."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, cast

from signoff.catalog.documents import endless_calls
from signoff.catalog.model import Project
from signoff.catalog.tools import PythonCall, ToolContract
from signoff.core.errors import Problem, did_you_mean
from signoff.workflows.model import Workflow, every_step


def check_references(project: Project) -> list[Problem]:
    """Everything that a project's files name of each other and that is not there."""
    return [
        *_python_files(project.files),
        *(problem for tool in project.tools.values() for problem in _tool(project, tool)),
        *_routes(project),
        *endless_calls(project.workflows),
        *(problem for workflow in project.workflows.values() for problem in _roles(project, workflow)),
    ]


def _python_files(files: Mapping[str, bytes]) -> Iterator[Problem]:
    for name in sorted(files):
        if name.endswith(".py"):
            try:
                _functions(files[name])
            except SyntaxError as error:
                line = error.lineno or files[name].count(b"\n", 0, max(files[name].find(b"\0"), 0)) + 1
                yield Problem(f"This is not Python: {error.msg}.", name, line, code="python")
            except ValueError as error:
                yield Problem(f"This is not Python: {error}.", name, 1, code="python")
            except (RecursionError, MemoryError):  # so says Python's parser of what is nested too deeply for it
                yield Problem("The code is nested too deeply to be read.", name, 1, code="python")


def _functions(source: bytes) -> tuple[str, ...]:
    with warnings.catch_warnings():
        # Warnings about a tool's style are its author's affair.
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
    return tuple(node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def _tool(project: Project, tool: ToolContract) -> Iterator[Problem]:
    if isinstance(tool.call, PythonCall) and tool.call.file:
        yield from _python_tool(project.files, tool, tool.call)
    if tool.idempotency and tool.idempotency.argument:
        yield from _key_argument(project.files, tool, tool.idempotency.argument)
    if tool.idempotency and tool.idempotency.lookup_tool:
        yield from _lookup(project, tool, tool.idempotency.lookup_tool, tool.idempotency.lookup_argument)


def _python_tool(files: Mapping[str, bytes], tool: ToolContract, call: PythonCall) -> Iterator[Problem]:
    there = tuple(name for name in files if name.endswith(".py"))
    if call.file not in files:
        suggestion = did_you_mean(call.file, there) or f"Add {call.file}."
        yield _at(files, tool.file, call.file, f"There is no file '{call.file}'.", suggestion)
        return
    try:
        functions = _functions(files[call.file])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # told where it stands
    if call.function not in functions:
        detail = f"{call.file} has no function '{call.function}'."
        suggestion = did_you_mean(call.function, functions) or f"It has: {', '.join(functions) or 'none'}."
        yield _at(files, tool.file, call.function, detail, suggestion)


def _key_argument(files: Mapping[str, bytes], tool: ToolContract, argument: str) -> Iterator[Problem]:
    """The key goes in as an argument, so a closed input schema has to know it: else every call would be refused."""
    schema = tool.input_schema
    if schema.get("additionalProperties") is False and argument not in (schema.get("properties") or {}):
        detail = f"The input schema takes no '{argument}', which is to carry the idempotency key."
        yield _at(files, tool.file, argument, detail, f"Add '{argument}: {{type: string}}' to its properties.")


def _lookup(project: Project, tool: ToolContract, name: str, argument: str) -> Iterator[Problem]:
    lookup = project.tools.get(name)
    if lookup is None:
        suggestion = did_you_mean(name, tuple(project.tools))
        yield _at(project.files, tool.file, name, f"There is no tool '{name}'.", suggestion)
        return
    properties = cast("Mapping[str, Any]", lookup.input_schema.get("properties") or {})
    if lookup.effect:
        detail = f"'{name}' changes the world, so it cannot look an outcome up."
        yield _at(project.files, tool.file, name, detail, None)
    if argument not in properties:
        detail = f"'{name}' has no argument '{argument}' for the key."
        suggestion = f"Name it: 'lookup: {{tool: {name}, argument: …}}'. It has: {', '.join(properties) or 'none'}."
        yield _at(project.files, tool.file, name, detail, suggestion)


def _routes(project: Project) -> Iterator[Problem]:
    models = project.models
    for prompt in project.prompts:
        if not models.routed(prompt.task, prompt.name):
            detail = f"No route of models.yaml is for the task '{prompt.task}' of prompt '{prompt.name}'."
            suggestion = f"Add to its routes: - {{task: {prompt.task}, use: [<model>]}}."
            yield Problem(detail, "models.yaml", suggestion=suggestion, code="no-route")
    for workflow in project.workflows.values():
        yield from _model_steps(project, workflow)
    if project.knowledge and not models.routed("embed"):
        detail = (
            f"No route of models.yaml is for the task 'embed', which index '{next(iter(project.knowledge))}' needs."
        )
        suggestion = "Add to its routes: - {task: embed, use: [<model>]}."
        yield Problem(detail, "models.yaml", suggestion=suggestion, code="no-route")
    names = project.prompts.names
    for routes in (models.routes, *models.profiles.values()):
        for route in routes:
            if route.prompt is not None and route.prompt not in names:
                detail = f"A route is for prompt '{route.prompt}', which is not there."
                suggestion = did_you_mean(route.prompt, names)
                yield _at(project.files, "models.yaml", route.prompt, detail, suggestion)


def _model_steps(project: Project, workflow: Workflow) -> Iterator[Problem]:
    for step in every_step(workflow.steps):
        if step.verb == "model" and not project.models.routed(step.target):
            detail = f"No route of models.yaml is for the task '{step.target}' of step '{step.name}'."
            suggestion = f"Add to its routes: - {{task: {step.target}, use: [<model>]}}."
            yield Problem(detail, step.file or workflow.file, step.line, suggestion=suggestion, code="no-route")


def _roles(project: Project, workflow: Workflow) -> Iterator[Problem]:
    for step in every_step(workflow.steps):
        for name in dict.fromkeys(_roles_in(step.settings)):
            if name not in project.roles:
                known = tuple(project.roles)
                detail = f"Step '{step.name}' names the role '{name}', which signoff.yaml does not list."
                suggestion = did_you_mean(name, known) or f"Add '{name}' under 'roles' in signoff.yaml."
                yield _at(
                    project.files, step.file or workflow.file, f"role/{name}", detail, suggestion, from_line=step.line
                )


def _roles_in(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("role/"):
        yield value.removeprefix("role/")
    elif isinstance(value, Mapping):
        for item in cast("Mapping[str, Any]", value).values():
            yield from _roles_in(item)
    elif isinstance(value, (list, tuple)):
        for item in cast("list[Any]", value):
            yield from _roles_in(item)


def _at(
    files: Mapping[str, bytes], file: str, word: str, detail: str, suggestion: str | None, *, from_line: int = 1
) -> Problem:
    """A problem where a word stands in a file, from some line on."""
    lines = files[file].decode("utf-8-sig", "replace").splitlines()
    for number, line in enumerate(lines[max(from_line - 1, 0) :], start=max(from_line, 1)):
        if word in line:
            return Problem(detail, file, number, line.index(word) + 1, suggestion=suggestion, code="unknown-reference")
    place = from_line if from_line > 1 else None
    return Problem(detail, file, place, suggestion=suggestion, code="unknown-reference")
