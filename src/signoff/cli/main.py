"""The `signoff` command."""

from __future__ import annotations

import typer

from signoff.cli import models

app = typer.Typer(
    name="signoff",
    help="An AI orchestration layer for business workflows: durable, governed, reviewed and provable.",
    no_args_is_help=True,
)
app.add_typer(models.app, name="models")


def main() -> None:
    """The entry point of the `signoff` script."""
    app()
