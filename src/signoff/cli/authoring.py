"""`signoff fmt` and `signoff schema`, and `signoff check --watch`: what authors have at hand while they write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from signoff.cli.options import JsonOption, examples
from signoff.cli.output import EXIT_FAILURE, console, plain, print_json
from signoff.core.errors import DefinitionError, NotFoundError, Problem

WATCH_INTERVAL_S = 0.3
"""How often `check --watch` looks whether a file has changed, in seconds."""

Kind = Literal["workflow", "fragment", "decision"]

FMT_EXAMPLES = examples("signoff fmt", "signoff fmt --check", "signoff fmt workflows/refund.yaml")
SCHEMA_EXAMPLES = examples("signoff schema workflow > workflow.json", "signoff schema --write")


def fmt(
    path: Annotated[Path | None, typer.Argument(help="A project's directory, or one file.", show_default=False)] = None,
    check_only: Annotated[bool, typer.Option("--check", help="Change nothing; fail where something would.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Lay the YAML of a project out in one way. Comments stay, and what a file means never changes."""
    from signoff.catalog.formatting import format_text

    changed: list[str] = []
    problems: list[Problem] = []
    for name, file in _files(path):
        try:
            text = file.read_text("utf-8")
            laid_out = format_text(name, text)
        except DefinitionError as error:
            problems += error.problems
            continue
        except (UnicodeDecodeError, OSError) as error:
            problems.append(Problem(f"The file cannot be read: {error}.", name, code="unreadable"))
            continue
        if laid_out != text:
            changed.append(name)
            if not check_only:
                file.write_text(laid_out, "utf-8")
    if as_json:
        print_json({"changed": changed, "problems": [problem.as_dict() for problem in problems]})
    else:
        for problem in problems:
            console().print(plain(problem), soft_wrap=True)
        for name in changed:
            print(f"{'would change' if check_only else 'changed'} {name}")
    if problems or (check_only and changed):
        raise typer.Exit(EXIT_FAILURE)


def schema(
    kind: Annotated[Kind, typer.Argument(help="Which documents.")] = "workflow",
    write: Annotated[bool, typer.Option("--write", help="Write all to .signoff/schemas/, for editors.")] = False,
) -> None:
    """The language as JSON Schema, for completion and hover in editors."""
    from signoff.catalog.scaffold import write_schemas
    from signoff.cli.workspace import project_directory
    from signoff.workflows.language_schema import LANGUAGE_SCHEMAS

    if not write:
        print_json(LANGUAGE_SCHEMAS[kind]())
        return
    for file in write_schemas(project_directory(None)):
        print(f"wrote {file}")


def watch(directory: Path, check: Callable[[], object]) -> None:
    """Check, and again whenever a file of the project has changed, until the command is interrupted."""
    before: dict[str, tuple[int, int]] = {}
    try:
        while True:
            now = {name: _stamp(file) for name, file in _files(directory)}
            if now != before:
                before = now
                started = time.perf_counter()
                console().clear()
                check()
                print(f"{(time.perf_counter() - started) * 1e3:.0f} ms. Waiting for changes; Ctrl-C ends it.")
            time.sleep(WATCH_INTERVAL_S)
    except KeyboardInterrupt:
        return


def _files(path: Path | None) -> Iterator[tuple[str, Path]]:
    """The files that belong to a project, by name; or one file."""
    from signoff.catalog.sources import is_part
    from signoff.cli.workspace import project_directory

    if path is not None and path.is_file():
        yield path.name, path
        return
    if path is not None and not path.is_dir():
        raise NotFoundError(f"There is no file or directory {path}.")
    root = project_directory(path)
    for file in sorted(root.rglob("*")):
        name = file.relative_to(root).as_posix()
        if is_part(name) and file.is_file() and not file.is_symlink():
            yield name, file


def _stamp(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError:  # it went away meanwhile
        return 0, 0
    return status.st_mtime_ns, status.st_size
