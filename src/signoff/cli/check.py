"""`signoff check`: find everything that is wrong with a project, each problem at its place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from signoff.cli.options import JsonOption, examples
from signoff.cli.output import EXIT_FAILURE

CHECK_EXAMPLES = examples("signoff check", "signoff check --watch", "signoff check examples/refunds --json")


def check(
    path: Annotated[Path | None, typer.Argument(help="The project's directory.", show_default=False)] = None,
    as_json: JsonOption = False,
    watching: Annotated[bool, typer.Option("--watch", help="Check again whenever a file changes.")] = False,
) -> None:
    """Find everything that is wrong with a project, each problem at its place: file:line:column."""
    from signoff.cli.workspace import project_directory

    directory = project_directory(path)
    if watching:
        from signoff.catalog.memo import Memo
        from signoff.cli.authoring import watch
        from signoff.cli.checking import check_project

        memo = Memo()
        watch(directory, lambda: check_project(directory, memo, as_json=as_json))
        return
    from signoff.cli.checking import check_once

    if not check_once(directory, as_json=as_json):
        raise typer.Exit(EXIT_FAILURE)
