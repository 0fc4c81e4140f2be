"""What `signoff check` does: everything that is wrong with a project, printed for people or programs."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signoff.cli.output import clean, console, plain, print_json
from signoff.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from signoff.catalog import Project
    from signoff.catalog.memo import Memo

_HEADS = ("workflow", "version", "risk", "steps", "outcomes")


def check_once(directory: Path, *, as_json: bool) -> bool:
    """Check in a process that then ends; whether the project is sound."""
    # Nearly all that is made is kept until the end: looking for what could be given back takes a fifth of the time.
    gc.disable()
    try:
        return check_project(directory, None, as_json=as_json)
    finally:
        # Nor is any of it looked through, or taken apart, when the process ends.
        gc.freeze()
        gc.enable()


def check_project(directory: Path, memo: Memo | None, *, as_json: bool) -> bool:
    """Check and print what is found; whether the project is sound."""
    from signoff.catalog import load_project

    try:
        project = load_project(directory, memo)
        _require_budgets(project)
        _require_tool_users(project)
    except DefinitionError as error:
        problems = [problem.as_dict() for problem in error.problems]
        if as_json:
            print_json({"ok": False, "directory": str(directory), "problems": problems})
        else:
            _print_problems(error)
        return False
    warnings = _warnings(project)
    if as_json:
        told = [warning.as_dict() for warning in warnings]
        print_json({"ok": True, "directory": str(directory), **_facts(project), "warnings": told})
    else:
        _print_summary(project, warnings)
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


def _warnings(project: Project) -> tuple[Any, ...]:
    from signoff.catalog.flow import unproven
    from signoff.catalog.literals import literal_warnings
    from signoff.catalog.python_workflows import code_warnings
    from signoff.governance.policy import PolicySet

    tables = (warning for table in project.decisions.values() for warning in table.warnings)
    policies = PolicySet.parse(project.policies).warnings()
    return (*policies, *code_warnings(project), *unproven(project), *tables, *literal_warnings(project))


def _facts(project: Project) -> dict[str, Any]:
    return {
        "project": project.name,
        "release": project.digest,
        "workflows": [
            {
                "workflow": workflow.name,
                "version": workflow.version,
                "file": workflow.file,
                "risk": workflow.risk,
                "language": "yaml" if workflow.python is None else "python",
                "steps": len(workflow.steps),
                "outcomes": [outcome.name for outcome in workflow.outcomes],
            }
            for workflow in project.workflows.values()
        ],
    }


def _print_problems(error: DefinitionError) -> None:
    from rich.text import Text

    target = console()
    for problem in error.problems:
        target.print(plain(problem), soft_wrap=True)
    count = len(error.problems)
    target.print(Text(f"{count} problem{'' if count == 1 else 's'}", style="bold red"))


def _print_summary(project: Project, warnings: Iterable[Any]) -> None:
    print(f"Project {clean(project.name)} is sound: {len(project.files)} files, release {project.digest[:12]}.")
    rows: list[tuple[str, ...]] = [_HEADS]
    for workflow in _facts(project)["workflows"]:
        steps = str(workflow["steps"]) if workflow["language"] == "yaml" else "in Python"
        row = (workflow["workflow"], workflow["version"], workflow["risk"], steps, ", ".join(workflow["outcomes"]))
        rows.append(tuple(clean(cell) for cell in row))
    _print_columns(rows)
    for warning in warnings:
        print(clean(f"warning: {warning}"))


def _print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    """Rows with their cells below each other. A table of hundreds of rows is made in no time, which Rich's is not."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(" " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
