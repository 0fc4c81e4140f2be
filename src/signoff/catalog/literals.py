"""Texts that look like values, and are sent as they stand: `{{ input.name }}`, or `input.name` without `${…}`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from signoff.catalog.model import Project
from signoff.core.errors import Problem
from signoff.workflows.model import Expression, Step, Workflow, every_step
from signoff.workflows.templates import Constant, ListTemplate, TextTemplate

MAX_WARNINGS = 100
"""Warnings of one workflow."""

MAX_SHOWN = 60
"""Characters of a text that a warning quotes."""

_BRACES = re.compile(r"\{\{.{0,200}?\}\}")
_PATH = re.compile(r"([a-z][a-z0-9_]*)(?:\.[A-Za-z_][A-Za-z0-9_]*)+")


def literal_warnings(project: Project) -> Iterator[Problem]:
    """The texts of workflows that their authors may have meant as values: nothing is wrong with them as such."""
    for workflow in project.workflows.values():
        yield from literals_of(project, workflow)


def literals_of(project: Project, workflow: Workflow) -> Iterator[Problem]:
    """Those of one workflow."""
    yield from islice(_of_workflow(project, workflow), MAX_WARNINGS)


def _of_workflow(project: Project, workflow: Workflow) -> Iterator[Problem]:
    steps = list(every_step(workflow.steps))
    names = {"input", *(step.name for step in steps)}
    for step in steps:
        for text in dict.fromkeys(text for given in step.arguments.values() for text in _texts(given)):
            meant = _meant(text, names)
            if meant is not None:
                yield _problem(project, workflow, step, text, meant)


def _texts(given: Expression) -> Iterator[str]:
    match given:
        case Constant():
            yield from (given.value,) if isinstance(given.value, str) else ()
        case TextTemplate():
            yield from (piece for piece in given.pieces if isinstance(piece, str))
        case ListTemplate():
            for item in given.items:
                yield from _texts(item)
        case _:
            for part in given.parts.values():
                yield from _texts(part)


def _meant(text: str, names: set[str]) -> str | None:
    """What the author may have meant; none where it is a text like any other."""
    braces = _BRACES.search(text)
    if braces:
        return f"${{{braces[0][2:-2].strip()}}}"
    path = _PATH.fullmatch(text.strip())
    return f"${{{text.strip()}}}" if path and path[1] in names else None


def _problem(project: Project, workflow: Workflow, step: Step, text: str, meant: str) -> Problem:
    file = step.file or workflow.file
    lines: Sequence[str] = project.files[file].decode("utf-8-sig", "replace").splitlines()
    word = text.strip().split("\n", 1)[0]
    place = re.compile(rf"(?<![\w{{$.]){re.escape(word)}")  # not where it stands inside `${…}`
    hits = ((at, hit) for at in range(max(step.line, 1), len(lines) + 1) if (hit := place.search(lines[at - 1])))
    line, column = next(((at, hit.start() + 1) for at, hit in hits), (step.line, None))
    shown = word if len(word) <= MAX_SHOWN else f"{word[:MAX_SHOWN]}…"
    detail = f"'{shown}' is a text as it stands, not a value."
    return Problem(detail, file, line, column, suggestion=f'Write "{meant}" for the value.', code="literal")
