"""A project's directory into the bytes of its files: bounded, and never from outside the directory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from signoff.core.errors import DefinitionError, Problem

MAX_FILES = 2_000
"""How many files a project may have."""
MAX_FILE_SIZE_BYTES = 1_048_576
"""How large one file may be, in bytes."""
MAX_PROJECT_SIZE_BYTES = 33_554_432
"""How large all files together may be, in bytes."""
MAX_DEPTH = 8
"""How deep folders may be nested."""

MANIFEST = "signoff.yaml"
MODELS = "models.yaml"
FOLDERS: Mapping[str, tuple[str, ...]] = {
    "workflows": (".yaml", ".py"),
    "prompts": (".md",),
    "schemas": (".json",),
    "policies": (".cedar",),
    "tools": (".yaml", ".py"),
    "knowledge": (".md", ".txt", ".yaml"),
    "rules": (".yaml",),
    "fragments": (".yaml",),
    "decisions": (".yaml", ".csv"),
    "schedules": (".yaml",),
    "calibrations": (".json",),
}
"""What belongs to a project, and so to its releases. Everything else beside it (data, services, notes) does not."""

PYTHON_WORKFLOWS = "workflows/"
"""The folder whose `.py` files may hold workflows in Python."""

_MISSPELT = {
    "signoff.yml": MANIFEST,
    "models.yml": MODELS,
    "model.yaml": MODELS,
    **{name.removesuffix("s"): name for name in FOLDERS if name.endswith("s")},
    "policy": "policies",
}
_NO_PART = ("__pycache__",)


def read_files(root: Path) -> dict[str, bytes]:
    """The bytes of each file that belongs to a project, by path with `/`.

    Raises:
        DefinitionError: there is no project, a limit is reached, a link leads out of it, or a name is misspelt.
    """
    if not (root / MANIFEST).is_file():
        detail = f"There is no {MANIFEST} in {root}."
        suggestion = "Name a project's directory, or make one with 'signoff init'."
        problem = Problem(detail, file=MANIFEST, suggestion=suggestion, code="no-project")
        raise DefinitionError(detail, problems=[problem, *_misspelt(root)])
    problems = _misspelt(root)
    files: dict[str, bytes] = {}
    size, real = 0, root.resolve()
    for path, name, plain in _candidates(root, real, problems):
        content = _read(None if plain else real, path, name, problems)
        if content is None:
            continue
        files[name] = content
        size += len(content)
        if len(files) > MAX_FILES or size > MAX_PROJECT_SIZE_BYTES:
            detail = f"A project has at most {MAX_FILES} files of {MAX_PROJECT_SIZE_BYTES} bytes together."
            problems.append(Problem(detail, file=name, suggestion="Keep data outside its folders.", code="limit"))
            break
    if problems:
        raise DefinitionError(f"The project in {root} cannot be read.", problems=problems)
    return files


def is_part(name: str) -> bool:
    """Whether a path is one that a project may have: as a directory gives it, also where a request names it."""
    folder, slash, rest = name.partition("/")
    if not slash:
        return name in (MANIFEST, MODELS)
    parts = rest.split("/")
    plain = len(parts) <= MAX_DEPTH and all(part and part[0] != "." for part in parts) and "\0" not in rest
    return plain and folder in FOLDERS and rest.endswith(FOLDERS[folder])


def _misspelt(root: Path) -> list[Problem]:
    found: list[Problem] = []
    for wrong, right in _MISSPELT.items():
        if (root / wrong).exists() and not (root / right).exists():
            detail = f"'{wrong}' is no part of a project."
            found.append(Problem(detail, file=wrong, suggestion=f"Rename it to '{right}'.", code="unknown-file"))
    return found


def _candidates(root: Path, real_root: Path, problems: list[Problem]) -> Iterator[tuple[str, str, bool]]:
    """The path of each file, its name in the project, and whether it is certain to be a file that lies in it."""
    for name in (MANIFEST, MODELS):
        if (root / name).exists():
            yield str(root / name), name, False
    for folder in FOLDERS:
        if (root / folder).is_dir():
            inside = (root / folder).resolve().is_relative_to(real_root)
            yield from _walk(str(root / folder), folder, 1, problems, inside=inside)


def _walk(
    folder: str, folder_name: str, depth: int, problems: list[Problem], *, inside: bool
) -> Iterator[tuple[str, str, bool]]:
    # In words instead of `Path`s, whose making takes half of the time of checking a large project again.
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name = f"{folder_name}/{entry.name}"
        if entry.name.startswith(".") or entry.name in _NO_PART or entry.name.endswith(".pyc"):
            continue
        if entry.is_dir(follow_symlinks=False):
            if depth == MAX_DEPTH:
                problems.append(Problem(f"Folders are nested more than {MAX_DEPTH} deep.", file=name, code="limit"))
                continue
            yield from _walk(entry.path, name, depth + 1, problems, inside=inside)
        elif is_part(name):
            yield entry.path, name, inside and entry.is_file(follow_symlinks=False)
        elif entry.name.lower() != "readme.md":
            problems.append(_unknown(name))


def _unknown(name: str) -> Problem:
    folder = name.partition("/")[0]
    endings = " or ".join(FOLDERS[folder])
    suggestion = f"Files in {folder}/ end in {endings}; keep others outside the project's folders."
    return Problem("This file is no part of a project.", file=name, suggestion=suggestion, code="unknown-file")


def _read(real_root: Path | None, path: str, name: str, problems: list[Problem]) -> bytes | None:
    """The bytes of a file; it must lie in `real_root`, where that is not certain yet."""
    try:
        if real_root is not None and not Path(path).resolve(strict=True).is_relative_to(real_root):
            suggestion = "Put the file itself into the project."
            problems.append(
                Problem("The link leads out of the project.", file=name, suggestion=suggestion, code="link")
            )
            return None
        if real_root is not None and not Path(path).is_file():
            problems.append(Problem("This is not a file.", file=name, code="unknown-file"))
            return None
        with open(path, "rb") as file:  # noqa: PTH123  (half the time of a `Path`)
            content = file.read(MAX_FILE_SIZE_BYTES + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
        reason = error.strerror if isinstance(error, OSError) else "a link leads to itself"
        problems.append(Problem(f"The file cannot be read: {reason}.", file=name, code="unreadable"))
        return None
    if len(content) > MAX_FILE_SIZE_BYTES:
        detail = f"The file is larger than {MAX_FILE_SIZE_BYTES} bytes."
        problems.append(Problem(detail, file=name, suggestion="Split it.", code="limit"))
        return None
    return content


def has_python_workflows(files: Mapping[str, bytes]) -> bool:
    """Whether some of a project's workflows may be in Python."""
    return any(name.startswith(PYTHON_WORKFLOWS) and name.endswith(".py") for name in files)
