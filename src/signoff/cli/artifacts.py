"""`signoff artifacts`: values of runs that are too large for their journals."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from signoff.cli.options import KeyOption, ProjectOption, UrlOption, examples

app = typer.Typer(help="Values of runs that are too large for their journals.", rich_markup_mode=None)


@app.callback()
def artifacts() -> None:
    """Values of runs that are too large for their journals."""


@app.command(
    epilog=examples("signoff artifacts get 0198c5a0-… 9b38e84b…", "signoff artifacts get RUN DIGEST -o a.json")
)
def get(
    run_id: Annotated[UUID, typer.Argument(help="The run's id.")],
    digest: Annotated[str, typer.Argument(help="The digest that the journal names.")],
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file; standard output otherwise.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
) -> None:
    """Write an artifact of a run to a file or to standard output, byte for byte."""
    from signoff.cli.client import connect

    with connect(url, key, project) as client:
        content = client.download(f"/v1/runs/{run_id}/artifacts/{digest}")
    if output is None:
        sys.stdout.buffer.write(content)
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be written: {error.strerror}.", param_hint="--output") from None
