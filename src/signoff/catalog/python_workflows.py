"""A project's workflows in Python: their heads, what is wrong with their code, and how a worker gets it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from signoff.catalog.model import Project
from signoff.catalog.modules import ReleaseModules, code_digest, python_files
from signoff.catalog.sources import PYTHON_WORKFLOWS
from signoff.core.errors import ConflictError, DefinitionError, Problem
from signoff.foundation.logging import mask_credentials
from signoff.workflows.model import Contracts, Workflow
from signoff.workflows.python.authoring import MARK
from signoff.workflows.python.heads import compile_heads
from signoff.workflows.python.lint import lint
from signoff.workflows.python.references import Known, agents_of, unknown_names
from signoff.workflows.python.syntax import Source, parse

MAX_LOADED = 64
"""Releases whose workflows in Python stay imported in one process."""

MAX_MESSAGE_CHARACTERS = 300
"""How much of the text of an import's exception an error repeats."""

# Modules are the process's own (`sys.modules`), so what imports them is too.
_MODULES = ReleaseModules("signoff_workflows_", MAX_LOADED)


class WorkflowImportError(ConflictError):
    """The file of a workflow in Python cannot be imported. Its runs are parked."""

    code = "workflow-import"
    title = "The workflow's file cannot be imported"


def compile_python(
    files: Mapping[str, bytes], contracts: Contracts, problems: list[Problem], *, requires: tuple[str, ...]
) -> dict[str, Workflow]:
    """The workflows in Python among a project's files, by name; no code of them runs.

    Args:
        files: of the project.
        contracts: what their heads may name.
        problems: gets everything that is wrong.
        requires: the packages that the project asks for.
    """
    code = python_files(files)
    digest = code_digest(code)
    found: dict[str, Workflow] = {}
    for source in _sources(files):
        try:
            heads = compile_heads(source, contracts, code_digest=digest, load=_loader(code), requires=requires)
        except DefinitionError as error:
            problems += error.problems
            continue
        for workflow in heads:
            first = found.setdefault(workflow.name, workflow)
            if first is not workflow:
                detail = f"The workflow '{workflow.name}' is in {first.file} already."
                line = None if workflow.python is None else workflow.python.line
                suggestion = "Give one another name."
                problems.append(Problem(detail, source.file, line, suggestion=suggestion, code="duplicate"))
    return found


def check_code(project: Project) -> Iterator[Problem]:
    """Everything that the code of a project's workflows names and that is not there."""
    known = Known(
        prompts=project.prompts.find,
        tools=tuple(project.tools),
        indexes=tuple(project.knowledge),
        rules=tuple(project.rules),
        decisions=tuple(project.decisions),
        workflows=tuple(project.workflows),
        roles=tuple(project.roles),
        trusted={name: tool.trusted_arguments for name, tool in project.tools.items()},
    )
    for source in _sources(project.files):
        yield from unknown_names(source, known)


def code_warnings(project: Project) -> list[Problem]:
    """What in the code of a project's workflows may come out otherwise when a run is run again."""
    return [problem for source in _sources(project.files) for problem in lint(source)]


def agents_named(project: Project) -> Iterator[tuple[str, int, str]]:
    """File, line and prompt of every agent in Python whose prompt is written out."""
    for source in _sources(project.files):
        yield from ((source.file, line, prompt) for line, prompt in agents_of(source))


def _sources(files: Mapping[str, bytes]) -> Iterator[Source]:
    for path in sorted(files):
        if path.startswith(PYTHON_WORKFLOWS) and path.endswith(".py"):
            source = parse(files[path], path)
            if source is not None:  # what is no Python is told by `checks.py`
                yield source


def _loader(code: Mapping[str, bytes]) -> Callable[[str, str], Callable[[], Callable[..., Any]]]:
    def load_from(file: str, name: str) -> Callable[[], Callable[..., Awaitable[Any]]]:
        return lambda: _function(code, file, name)

    return load_from


def _function(code: Mapping[str, bytes], file: str, name: str) -> Callable[..., Awaitable[Any]]:
    """The workflow of that name in that file, imported.

    Raises:
        WorkflowImportError: the import raised, or gave something else than a workflow.
    """
    try:
        function = getattr(_MODULES.module(code, file), name, None)
    except Exception as error:
        text = mask_credentials(" ".join(str(error).split()))[:MAX_MESSAGE_CHARACTERS]
        raise WorkflowImportError(f"importing '{file}' failed: {type(error).__name__}: {text}") from error
    if not inspect.iscoroutinefunction(function) or not hasattr(function, MARK):
        raise WorkflowImportError(f"'{name}' of '{file}' is no workflow once the file has been imported")
    return function
