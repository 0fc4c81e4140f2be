"""What commands print: results on standard output, everything else on standard error.

Data of runs is untrusted. It is shown without control characters, so that no customer's message moves a cursor, renames
a window or hides a line on somebody's terminal; and never as markup.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from signoff.core.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    SignoffError,
    UnauthenticatedError,
    UnavailableError,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_NOT_PERMITTED = 4
EXIT_CONFLICT = 5
EXIT_UNAVAILABLE = 6
EXIT_STILL_RUNNING = 7

EXIT_CODES = """Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not permitted, 5 conflict with its state,
6 server or database unavailable, 7 not ended within --timeout."""

WIDTH_WITHOUT_TERMINAL = 200
"""Columns of a table that goes into a file or a pipe."""

_CONTROL_CHARACTERS = (code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t")
_REORDERING = (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
# Beside what terminals act on: what reorders or hides text on screen (Unicode TR 36, bidirectional overrides).
_ACTING = dict.fromkeys((*_CONTROL_CHARACTERS, *_REORDERING), "\ufffd")


def exit_code_of(error: SignoffError) -> int:
    """The exit code that tells scripts what kind of error it was."""
    for kinds, code in (
        ((NotFoundError,), EXIT_NOT_FOUND),
        ((UnauthenticatedError, ForbiddenError), EXIT_NOT_PERMITTED),
        ((ConflictError,), EXIT_CONFLICT),
        ((UnavailableError,), EXIT_UNAVAILABLE),
    ):
        if isinstance(error, kinds):
            return code
    return EXIT_FAILURE


def clean(text: object) -> str:
    """The text without characters that would act on a terminal."""
    return str(text).translate(_ACTING)


def plain(value: object) -> Text:
    """A value for a table's cell: cleaned, and never read as markup."""
    from rich.text import Text

    return Text("" if value is None else clean(value))


def console(*, error: bool = False) -> Console:
    """Where to print. Colours only on a terminal, and not where NO_COLOR is set."""
    from rich.console import Console

    found = Console(stderr=error, highlight=False, markup=False, emoji=False)
    if not found.is_terminal:
        found.width = max(found.width, WIDTH_WITHOUT_TERMINAL)
    return found


def print_json(value: Any) -> None:
    """One JSON value on standard output at once, indented for people where they see it."""
    indent = 2 if sys.stdout.isatty() else None
    # Into a pipe Python keeps 8 KB back: a script that waits for `ready` would wait for as long as the server runs.
    print(json.dumps(value, indent=indent, ensure_ascii=True, default=str), flush=True)


def tell(text: str) -> None:
    """A line about progress, on standard error."""
    print(clean(text), file=sys.stderr, flush=True)


def print_error(error: SignoffError) -> None:
    """An error as text: what is wrong, where, and what to do."""
    style = "bold red" if sys.stderr.isatty() else ""
    from rich.text import Text

    target = console(error=True)
    target.print(Text.assemble(("error: ", style), clean(error.detail)), soft_wrap=True)
    for problem in error.problems:
        told = problem.detail in error.detail and not (problem.file or problem.suggestion)
        if not told:  # where there is one problem, it is often the whole error
            target.print(Text(f"  {clean(problem)}"), soft_wrap=True)


def moment(text: str | None) -> str:
    """A timestamp of the API in local time, to the second."""
    if not text:
        return ""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def dollars(micro_usd: int) -> str:
    """A cost for people."""
    return f"{micro_usd / 1_000_000:.6f} USD" if micro_usd else "0 USD"


def print_table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print rows in columns; without a head line where no column has one."""
    from rich.table import Table

    table = Table(box=None, show_header=any(heads), pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(plain(value) for value in row))
    console().print(table)
