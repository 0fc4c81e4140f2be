"""Options that many commands have, so that they read and mean the same everywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from signoff.cli.client import ApiClient

_NUMBER = re.compile(r"\d+(\.\d+)?\Z")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
UrlOption = Annotated[
    str | None, typer.Option("--url", help="The server; SIGNOFF_URL, or the project's own 'signoff dev' otherwise.")
]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", help="An API key, or the name of a saved one; SIGNOFF_API_KEY or the developer's otherwise."),
]
ProjectOption = Annotated[
    Path | None,
    typer.Option("--project", "-C", help="The project's directory; the one around the current directory otherwise."),
]
EnvironmentOption = Annotated[
    str, typer.Option("--environment", "-e", envvar="SIGNOFF_ENVIRONMENT", help="The environment to serve.")
]
ProfileOption = Annotated[
    str | None, typer.Option("--models", envvar="SIGNOFF_MODELS_PROFILE", help="The profile of models.yaml to use.")
]


def seconds(text: str) -> float:
    """What an option takes that is a time: a duration of the language (`90s`, `5m`), or a number of seconds.

    Raises:
        BadParameter: it is neither.
    """
    from signoff.core.durations import parse_duration_s

    try:
        return parse_duration_s(f"{text.strip()}s" if _NUMBER.match(text.strip()) else text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; a number alone is seconds") from None


def examples(*lines: str) -> str:
    """The epilogue of a command's help: its examples, each on a line of its own."""
    return "Examples:\n\n" + "\n\n".join(f"  {line}" for line in lines)


def server_named(url: str | None, key: str | None, project: Path | None) -> ApiClient:
    """The server that `--url`, `--key` and `--project` name; see `signoff.cli.client.connect`."""
    from signoff.cli.client import connect

    return connect(url, key, project)


class ListGroup(TyperGroup):
    """A group that lists where no command is named: `signoff runs -s stuck` is `signoff runs list -s stuck`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in front of options that are not the group's own."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)
