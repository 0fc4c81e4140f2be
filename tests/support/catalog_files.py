"""The template project's files, changed in one place at a time."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

import pytest

from signoff.catalog import load_project_files
from signoff.catalog.scaffold import create_project
from signoff.catalog.sources import read_files
from signoff.core.errors import DefinitionError, Problem


@lru_cache(maxsize=1)
def _template() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as directory:
        create_project(Path(directory), "hello")
        return read_files(Path(directory))


def template_files() -> dict[str, bytes]:
    """What `signoff init` writes, without the files that are no part of a project."""
    return dict(_template())


def changed(name: str, old: str, new: str) -> dict[str, bytes]:
    """The template's files with a text in one of them replaced, which must be there."""
    files = template_files()
    text = files[name].decode()
    assert old in text, f"{name} of the template does not hold {old!r}"
    files[name] = text.replace(old, new, 1).encode()
    return files


def added(name: str, text: str | bytes) -> dict[str, bytes]:
    """The template's files with one more, or one whole file replaced."""
    return {**template_files(), name: text if isinstance(text, bytes) else text.encode()}


def problems_of(files: dict[str, bytes]) -> tuple[Problem, ...]:
    """Every problem of a project that must have some."""
    with pytest.raises(DefinitionError) as caught:
        load_project_files(files)
    return caught.value.problems


def only_problem(files: dict[str, bytes]) -> Problem:
    """The problem of a project that must have exactly one."""
    problems = problems_of(files)
    assert len(problems) == 1, "\n".join(map(str, problems))
    return problems[0]
