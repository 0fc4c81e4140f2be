"""The entry point of the `signoff` script."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from signoff.cli.output import EXIT_FAILURE, exit_code_of, print_error
from signoff.core.errors import SignoffError
from signoff.core.lazy import offered

if TYPE_CHECKING:
    from signoff.cli.app import app
else:
    __getattr__ = offered(__name__, {"app": "signoff.cli.app"})

__all__ = ["app", "main"]

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run what the command line says: errors of ours end as text and an exit code, never as a traceback."""
    try:
        if _only_checks(sys.argv[1:]):
            _check(*map(Path, sys.argv[2:]))
        else:
            from signoff.cli.app import run

            run(sys.argv[1] if len(sys.argv) > 1 else "")
    except SignoffError as error:
        print_error(error)
        sys.exit(exit_code_of(error))
    except BrokenPipeError:
        # `signoff runs list | head` is no failure; closing quietly keeps Python from complaining at exit.
        sys.stderr.close()
        sys.exit(0)


def _only_checks(arguments: Sequence[str]) -> bool:
    """Whether it is `signoff check`, with a directory at most.

    Editors, hooks and people ask that all day, and typer would take an eighth of its time: it loads pydantic to read a
    path. So what can be read in one way only is not read by it.
    """
    command, *rest = arguments or [""]
    return command == "check" and (not rest or (len(rest) == 1 and rest[0][:1] not in ("", "-")))


def _check(path: Path | None = None) -> None:
    from signoff.cli.checking import check_once
    from signoff.cli.workspace import project_directory

    try:
        sound = check_once(project_directory(path), as_json=False)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    if not sound:
        sys.exit(EXIT_FAILURE)
