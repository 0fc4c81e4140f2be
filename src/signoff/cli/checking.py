"""What `signoff check` does: everything that is wrong with a project, printed for people or programs."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signoff.cli.output import clean, console, plain, print_json
from signoff.core.errors import DefinitionError
from signoff.core.values import value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from signoff.catalog import Project
    from signoff.catalog.memo import Memo
    from signoff.catalog.projects import ProjectReader
    from signoff.core.errors import Problem
    from signoff.workflows.model import Workflow

    Row = Mapping[str, Any]

MAX_JOBS = 16
"""How many processes check one project at most: each takes the memory of a check."""

_HEADS = ("workflow", "version", "risk", "steps", "outcomes")


@value
class Checked:
    """What is told of a sound project.

    Attributes:
        project: at least all of it but its workflows.
        workflows: a row for each.
        warnings: what is odd, and not wrong.
    """

    project: Project
    workflows: Sequence[Row]
    warnings: Sequence[Problem]


@value
class _Part:
    """What was found of some of a project's workflows, by their names; nothing in it but data."""

    rows: Mapping[str, Row]
    flows: Mapping[str, Sequence[Problem]]
    odd: Mapping[str, Sequence[Problem]]


def check_once(directory: Path, *, as_json: bool, jobs: int | None = None) -> bool:
    """Check in a process that then ends; whether the project is sound.

    Args:
        directory: the project's.
        as_json: for programs.
        jobs: how many processes may check a large project at once; none means as many as there are processors.
    """
    # Nearly all that is made is kept until the end: looking for what could be given back takes a fifth of the time.
    gc.disable()
    try:
        return _told(directory, lambda: _in_parts(directory, jobs), as_json=as_json)
    finally:
        # Nor is any of it looked through, or taken apart, when the process ends.
        gc.freeze()
        gc.enable()


def check_project(directory: Path, memo: Memo, *, as_json: bool) -> bool:
    """Check in a process that checks again and again, and print what is found; whether the project is sound."""
    from signoff.catalog.projects import ProjectReader
    from signoff.catalog.sources import read_files

    return _told(directory, lambda: _whole(ProjectReader(read_files(directory), memo)), as_json=as_json)


def _in_parts(directory: Path, jobs: int | None) -> Checked:
    """Check a project, a large one in several processes.

    What is wrong with workflows is told as one process finds it: where a part has other problems than those of its own
    data flow, the whole is checked again, here.

    Raises:
        DefinitionError: with everything that is wrong.
    """
    from signoff.catalog.ahead import read_ahead
    from signoff.catalog.flow import require_no_problems
    from signoff.catalog.memo import Memo
    from signoff.catalog.parts import parts_of
    from signoff.catalog.projects import ProjectReader
    from signoff.catalog.sources import read_files
    from signoff.foundation.forked import in_processes, may_fork, processors

    files, memo = read_files(directory), Memo()
    most = (jobs or min(processors(), MAX_JOBS)) if may_fork() else 1
    read_ahead(files, memo, most, _lost)
    reader = ProjectReader(files, memo)
    parts = parts_of(reader.documents, most)
    if reader.problems or len(parts) == 1:
        return _whole(reader)
    found = in_processes([partial(_part, reader, part) for part in parts], _lost)
    sound = [part for part in found if part is not None]
    if len(sound) < len(found):
        return _whole(reader)
    names = [document.name for document in reader.documents]
    flows = {name: told for part in sound for name, told in part.flows.items()}
    require_no_problems(tuple(dict.fromkeys(problem for name in names for problem in flows[name])))
    rows = {name: row for part in sound for name, row in part.rows.items()}
    odd = {name: told for part in sound for name, told in part.odd.items()}
    return Checked(
        reader.rest,
        [*_rows(reader.rest).values(), *(rows[name] for name in names)],
        [*_warnings(reader.rest), *(problem for name in names for problem in odd[name])],
    )


def _lost(how: str) -> None:
    console(error=True).print(
        f"A process that checked a part of the project {how}. That part was checked again, in this one.",
        soft_wrap=True,
    )


def _whole(reader: ProjectReader) -> Checked:
    """Check all of a project in this process.

    Raises:
        DefinitionError: with everything that is wrong.
    """
    from signoff.catalog.flow import require_flow

    project = reader.project()
    require_flow(project, reader.memo)
    _require_budgets(project)
    _require_tool_users(project)
    odd = (warning for workflow in project.workflows.values() for warning in _odd(project, workflow))
    return Checked(project, [*_rows(project).values()], [*_warnings(project), *odd])


def _odd(project: Project, workflow: Workflow) -> tuple[Problem, ...]:
    """What is odd about one workflow."""
    from signoff.catalog.literals import literals_of
    from signoff.catalog.patience import cut_delays
    from signoff.catalog.wider import wider_lists

    return (*literals_of(project, workflow), *cut_delays(workflow), *wider_lists(project, workflow))


def _part(reader: ProjectReader, files: frozenset[str]) -> _Part | None:
    """Check some of the workflows; none where more is wrong than their data flow."""
    from signoff.catalog.flow import project_flow

    try:
        project = reader.project(files)
        _require_budgets(project)
        _require_tool_users(project)
    except DefinitionError:
        return None
    mine = {name: workflow for name, workflow in project.workflows.items() if workflow.file in files}
    return _Part(
        {name: row for name, row in _rows(project).items() if name in mine},
        project_flow(project, reader.memo, files).told,
        {name: _odd(project, workflow) for name, workflow in mine.items()},
    )


def _told(directory: Path, check: Callable[[], Checked], *, as_json: bool) -> bool:
    """Print what a check finds; whether the project is sound."""
    try:
        found = check()
    except DefinitionError as error:
        problems = [problem.as_dict() for problem in error.problems]
        if as_json:
            print_json({"ok": False, "directory": str(directory), "problems": problems})
        else:
            _print_problems(error)
        return False
    if as_json:
        project = found.project
        facts = {"project": project.name, "release": project.digest, "workflows": found.workflows}
        told = [warning.as_dict() for warning in found.warnings]
        print_json({"ok": True, "directory": str(directory), **facts, "warnings": told})
    else:
        _print_summary(found)
    return True


def _require_budgets(project: Project) -> None:
    """The cost limits against prices, which only models of vendors have."""
    from signoff.catalog.models import LOCAL_PROVIDERS

    if any(model.provider not in LOCAL_PROVIDERS for model in project.models.models.values()):
        from signoff.capabilities.gateway.cheapest import require_budgets

        require_budgets(project)


def _require_tool_users(project: Project) -> None:
    """The models that agents are routed to, which have to use tools; few projects have agents."""
    if any(b"agent" in text for name, text in project.files.items() if name.startswith(("workflows/", "fragments/"))):
        from signoff.capabilities.gateway.tool_users import require_tool_users

        require_tool_users(project)


def _warnings(project: Project) -> tuple[Problem, ...]:
    """What is odd about a project, but for its workflows that are not in Python."""
    from signoff.catalog.flow import unproven
    from signoff.catalog.sources import has_python_workflows
    from signoff.governance.policy import PolicySet

    code: list[Problem] = []
    if has_python_workflows(project.files):
        from signoff.catalog.python_workflows import code_warnings

        code = code_warnings(project)

    tables = (warning for table in project.decisions.values() for warning in table.warnings)
    policies = PolicySet.parse(project.policies).warnings()
    return (*policies, *code, *unproven(project), *tables)


def _rows(project: Project) -> dict[str, Row]:
    return {
        name: {
            "workflow": workflow.name,
            "version": workflow.version,
            "file": workflow.file,
            "risk": workflow.risk,
            "language": "yaml" if workflow.python is None else "python",
            "steps": len(workflow.steps),
            "outcomes": [outcome.name for outcome in workflow.outcomes],
        }
        for name, workflow in project.workflows.items()
    }


def _print_problems(error: DefinitionError) -> None:
    from rich.text import Text

    target = console()
    for problem in error.problems:
        target.print(plain(problem), soft_wrap=True)
    count = len(error.problems)
    target.print(Text(f"{count} problem{'' if count == 1 else 's'}", style="bold red"))


def _print_summary(found: Checked) -> None:
    project = found.project
    print(f"Project {clean(project.name)} is sound: {len(project.files)} files, release {project.digest[:12]}.")
    rows: list[tuple[str, ...]] = [_HEADS]
    for workflow in found.workflows:
        steps = str(workflow["steps"]) if workflow["language"] == "yaml" else "in Python"
        row = (workflow["workflow"], workflow["version"], workflow["risk"], steps, ", ".join(workflow["outcomes"]))
        rows.append(tuple(clean(cell) for cell in row))
    _print_columns(rows)
    for warning in found.warnings:
        print(clean(f"warning: {warning}"))


def _print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    """Rows with their cells below each other. A table of hundreds of rows is made in no time, which Rich's is not."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(" " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
