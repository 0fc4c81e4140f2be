"""`signoff check`: find everything that is wrong with a project, each problem at its place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from signoff.cli.checking import MAX_JOBS, check_once, check_project
from signoff.cli.options import JsonOption, examples
from signoff.cli.output import EXIT_FAILURE

CHECK_EXAMPLES = examples("signoff check", "signoff check --watch", "signoff check examples/refunds --json")


def check(
    path: Annotated[Path | None, typer.Argument(help="The project's directory.", show_default=False)] = None,
    as_json: JsonOption = False,
    watching: Annotated[bool, typer.Option("--watch", help="Check again whenever a file changes.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_JOBS,
            help="Processes that check a large project at once.  [default: as many as there are processors]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Find everything that is wrong with a project, each problem at its place: file:line:column."""
    from signoff.cli.workspace import project_directory

    directory = project_directory(path)
    if watching:
        from signoff.catalog.memo import Memo
        from signoff.cli.authoring import watch

        memo = Memo()
        watch(directory, lambda: check_project(directory, memo, as_json=as_json))
        return
    if not check_once(directory, as_json=as_json, jobs=jobs):
        raise typer.Exit(EXIT_FAILURE)
