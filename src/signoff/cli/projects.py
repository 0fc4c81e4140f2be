"""`signoff init`: make a project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from signoff.cli.options import JsonOption, examples
from signoff.cli.output import print_json


def init(
    directory: Annotated[Path, typer.Argument(help="The directory to make; its name is the project's.")],
    name: Annotated[str | None, typer.Option("--name", help="Another name for the project.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a small complete project: a workflow, a prompt, a tool, a schema, policies. It runs without any key."""
    from signoff.catalog.scaffold import create_project

    written = create_project(directory, name)
    if as_json:
        print_json({"directory": str(directory.resolve()), "files": [str(path) for path in written]})
        return
    print(f"Made {len(written)} files in {directory}. Next:")
    for line in (f"cd {directory}", "signoff check", "signoff dev"):
        print(f"  {line}")


INIT_EXAMPLES = examples("signoff init support", "signoff init ./apps/claims --name claims")
