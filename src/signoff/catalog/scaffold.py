"""`signoff init`: a small complete project to start from, without a key and without a network."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from signoff.core.errors import ConflictError, InvalidError

_NAME = re.compile(r"^[a-z][a-z0-9-]{0,62}\Z")
SCHEMAS = ".signoff/schemas"
"""Where a project has the schemas that editors read; no part of it, and of no release."""

_PLACEHOLDER = "PROJECT_NAME"
# Build tools drop files that start with a dot, so this one is packaged without it.
_RENAMED = {"gitignore": ".gitignore"}


def create_project(directory: Path, name: str | None = None) -> tuple[Path, ...]:
    """Write the template project into a directory, which is made where it is not there; gives the files it wrote.

    Args:
        directory: where to; nothing in it is ever overwritten.
        name: the project's name; the directory's own, in lower case, where not given.

    Raises:
        InvalidError: the name is not one that a project may have.
        ConflictError: a file of the template is there already; nothing was written.
    """
    directory = directory.resolve()
    name = name or re.sub(r"[^a-z0-9]+", "-", directory.name.lower()).strip("-")
    if not _NAME.match(name):
        raise InvalidError(
            f"'{name}' is not a project's name: use lower-case letters, digits and '-', starting with a letter."
        )
    contents = {directory / path: text for path, text in _template(files("signoff.catalog") / "template", "")}
    there = sorted(path for path in contents if path.exists() or path.is_symlink())
    if there or (directory.exists() and not directory.is_dir()):
        shown = there[0] if there else directory
        raise ConflictError(f"{shown} is there already. Nothing was written: choose an empty directory.")
    for path, text in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Exclusive: what appeared since the look above is not overwritten either.
        with path.open("x", encoding="utf-8") as file:
            file.write(text.replace(_PLACEHOLDER, name))
    return (*contents, *write_schemas(directory))


def write_schemas(directory: Path) -> tuple[Path, ...]:
    """Write the language's JSON Schemas where the modelines of a project's documents point; gives the files."""
    from signoff.workflows.language_schema import LANGUAGE_SCHEMAS  # noqa: PLC0415  (nothing else here needs the language)

    folder = directory / SCHEMAS
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for kind, make in LANGUAGE_SCHEMAS.items():
        file = folder / f"{kind}.json"
        file.write_text(json.dumps(make(), indent=1, ensure_ascii=False) + "\n", "utf-8")
        written.append(file)
    return tuple(written)


def _template(folder: Traversable, prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            if entry.name != "__pycache__":
                found += _template(entry, f"{prefix}{entry.name}/")
        elif not entry.name.endswith(".pyc"):
            found.append((prefix + _RENAMED.get(entry.name, entry.name), entry.read_text(encoding="utf-8")))
    return found
