"""A project's workflows in parts that can be checked apart from each other.

What a workflow is depends on those that it calls, and what an event carries on those that emit it. So workflows that
are tied by a call or by an event stay together, and each such group is checked whole, by whoever checks it.
"""

from __future__ import annotations

from collections.abc import Sequence

from signoff.catalog.documents import Document

MIN_SHARE = 20
"""Workflows that a process is begun for: with fewer, beginning it takes longer than it saves."""


def parts_of(documents: Sequence[Document], jobs: int) -> list[frozenset[str]]:
    """The files of the documents in at most so many parts of about the same size; the same for the same documents."""
    groups = _tied(documents)
    count = min(jobs, len(groups), len(documents) // MIN_SHARE)
    if count <= 1:
        return [frozenset(document.file for document in documents)]
    parts: list[list[str]] = [[] for _ in range(count)]
    sizes = [0] * count
    for group in sorted(groups, key=lambda one: -sum(document.size for document in one)):
        smallest = sizes.index(min(sizes))
        parts[smallest] += [document.file for document in group]
        sizes[smallest] += sum(document.size for document in group)
    return [frozenset(part) for part in parts]


def _tied(documents: Sequence[Document]) -> list[list[Document]]:
    """The documents, those together that call each other, and all together that have to do with events."""
    leader = {document.file: document.file for document in documents}

    def lead(file: str) -> str:
        while leader[file] != file:
            leader[file] = file = leader[leader[file]]
        return file

    by_name: dict[str, str] = {}
    for document in documents:  # of two of a name the first is the one that is called
        by_name.setdefault(document.name, document.file)
    first_with_events = next((document.file for document in documents if document.events), None)
    for document in documents:
        for name in document.calls:
            if name in by_name:
                leader[lead(document.file)] = lead(by_name[name])
        if document.events and first_with_events is not None:
            leader[lead(document.file)] = lead(first_with_events)
    groups: dict[str, list[Document]] = {}
    for document in documents:
        groups.setdefault(lead(document.file), []).append(document)
    return list(groups.values())
