"""`signoff diagram`: a workflow as a picture."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from signoff.cli.options import examples
from signoff.core.errors import NotFoundError, did_you_mean


class Format(StrEnum):
    """What a picture is written as."""

    SVG = "svg"
    MERMAID = "mermaid"


def diagram(
    workflow: Annotated[str | None, typer.Argument(help="Which workflow, if there are several.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; else it is printed.")
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", "-f", help="SVG, or Mermaid for pages that draw it.")
    ] = Format.SVG,
    path: Annotated[Path | None, typer.Option("-C", "--project", help="The project's directory.")] = None,
) -> None:
    """Draw a workflow: its steps and what they read, conditions, reviews, effects, what undoes them, and trust."""
    from signoff.catalog.flow import project_flow
    from signoff.catalog.projects import load_project_files
    from signoff.catalog.sources import read_files
    from signoff.cli.workspace import project_directory
    from signoff.workflows.diagram import diagram_of, mermaid, svg

    project = load_project_files(read_files(project_directory(path)))
    names = list(project.workflows)
    if workflow is None and len(names) != 1:
        raise NotFoundError(f"Say which workflow to draw. There is: {', '.join(names) or 'none'}.")
    name = workflow or names[0]
    if name not in project.workflows:
        raise NotFoundError(f"There is no workflow '{name}'. {did_you_mean(name, names) or ''}".rstrip())
    effects = frozenset(tool.name for tool in project.tools.values() if tool.effect)
    drawn = diagram_of(project.workflows[name], effects, project_flow(project).results.get(name))
    text = svg(drawn) if form is Format.SVG else mermaid(drawn)
    if output is None:
        print(text, end="")
    else:
        output.write_text(text, encoding="utf-8")


DIAGRAM_EXAMPLES = examples("signoff diagram -o refund.svg", "signoff diagram support/refund --format mermaid")
