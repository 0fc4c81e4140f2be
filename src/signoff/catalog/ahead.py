"""Reads the many files of a large project in several processes, into a memo; who reads the project finds them there."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from signoff.catalog.memo import MAX_KEPT, Memo
from signoff.catalog.reading import FileReader
from signoff.core.errors import DefinitionError
from signoff.foundation.forked import in_processes
from signoff.workflows.documents import load_document

MIN_FILES = 50
"""Files that a process is begun for: with fewer, beginning it takes longer than it saves."""

Made = tuple[str, str, Any, Any]
"""What a file is, its name, its content, and what was made of it."""


def read_ahead(files: Mapping[str, bytes], memo: Memo, jobs: int, lost: Callable[[str], object]) -> None:
    """Read the prompts and the workflows of a project in at most so many processes.

    A file with which anything is wrong is left to who reads the project, and so is what cannot be sent.

    Args:
        files: of the project, by path with `/`.
        memo: gets what the files say.
        jobs: how many processes.
        lost: is told how a process ended that should not have.
    """
    reader = FileReader(files)
    names = [*reader.named("prompts", ".md"), *reader.named("workflows", ".yaml")]
    count = min(jobs, len(names) // MIN_FILES)
    if count <= 1 or len(names) > MAX_KEPT:
        return
    shares = [names[at::count] for at in range(count)]
    tasks = [partial(_read, files, share, sent=at > 0) for at, share in enumerate(shares)]
    for made in in_processes(tasks, lost):
        for one in made:
            memo.keep(*one)


def _read(files: Mapping[str, bytes], names: Sequence[str], *, sent: bool) -> list[Made]:
    made: list[Made] = []
    for name in names:
        reader = FileReader(files)
        if name.endswith(".md"):
            one: Made = ("prompt", name, files[name], reader.prompt(name))
        else:
            text = reader.text(name) or ""
            one = ("document", name, text, _document(text, name))
        if one[3] is not None and not reader.problems and (not sent or _can_be_sent(one)):
            made.append(one)
    return made


def _document(text: str, name: str) -> Any:
    try:
        return load_document(text, name)
    except DefinitionError:
        return None


def _can_be_sent(made: Made) -> bool:
    """Compiled expressions cannot, and prompts with rules have some. A document is only data."""
    if made[0] == "document":
        return True
    try:
        pickle.dumps(made[3])
    except (TypeError, AttributeError, RecursionError, pickle.PicklingError):
        return False
    return True
