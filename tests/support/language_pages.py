"""The language's pages as tests read them: examples as files of a project, mistakes as workflows of their own."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import orjson
from support.docs_pages import CHECKOUT, Page, pages, rows, words

from signoff.catalog.projects import load_project, load_project_files
from signoff.core.errors import DefinitionError, Problem
from signoff.workflows import load_document
from signoff.workflows.verbs import VERBS

FOLDER = "docs/reference/language/"
HEADING = "## Errors before anything runs"
NONE = "\N{EN DASH}"  # a mistake that no single line shows
POLICY = """
@id("pages") permit (principal, action in [
  Action::"run.start", Action::"model.call", Action::"tool.call", Action::"retrieve", Action::"event.emit",
  Action::"review.decide"], resource);
"""
_TEXT: Mapping[str, Any] = {"type": "string"}


def _record(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*properties]}


BASE: Mapping[str, Any] = {
    "workflow": "support/base",
    "version": "1.0.0",
    "about": "What a mistake is put into.",
    "owner": "team/support",
    "input": {
        "type": "object",
        "properties": {
            "ticket": _record(id=_TEXT, text=_TEXT),
            "customer": _record(id=_TEXT),
            "note": _TEXT,
        },
        "required": ["ticket", "customer"],
    },
    "steps": {
        "order": {"tool": "shop.get_order", "with": {"id": "W1", "customer": "${input.customer.id}"}},
        "triage": {"ai": "classify@^3", "with": {"text": "${input.ticket.text}"}},
    },
    "outcome": {"fine": "true"},
}


@dataclass(frozen=True)
class Mistake:
    """A row of a page's table of errors."""

    page: str
    code: str
    source: str

    @property
    def shown(self) -> bool:
        """Whether the row has a document to try."""
        return self.source != NONE


def language_pages() -> dict[str, Page]:
    """By name: `ai`, `steps`, `workflow`, …"""
    found = (one for one in pages() if one.name.startswith(FOLDER) and not one.name.endswith("/groups.md"))
    return {one.name.removeprefix(FOLDER).removesuffix(".md"): one for one in found}


def mistakes(name: str) -> Iterator[Mistake]:
    """The rows of a page's table of errors."""
    for cells in rows(language_pages()[name].section(HEADING)):
        source = words(cells[1])
        yield Mistake(name, words(cells[0])[0], source[0] if source else NONE)


@cache
def around() -> Mapping[str, bytes]:
    """The project that pages are about, with a policy that permits what they do, and a model that writes."""
    files = dict(load_project(CHECKOUT / "examples/refunds").files)
    del files["workflows/refund.yaml"]
    files["policies/refunds.cedar"] = POLICY.encode()
    routes = files["models.yaml"].replace(b"routes:  ", b"routes:\n  - {task: generate, use: [local/qwen]}\n#")
    return {**files, "models.yaml": routes}


def with_examples(name: str) -> dict[str, bytes]:
    """The project with the files that a page shows."""
    shown = {one.title: one.text.encode() for one in language_pages()[name].snippets if one.title}
    return {**around(), **shown}


def problems_of(name: str) -> dict[Mistake, list[Problem]]:
    """What is told of each mistake of a page, all of them in one project: each is a file of its own."""
    files, placed = with_examples(name), dict[str, Mistake]()
    for number, mistake in enumerate(one for one in mistakes(name) if one.shown):
        written: Any = load_document(mistake.source, f"{name}-{number}").plain()
        if "fragment" in written:
            file, document = f"fragments/mistake{number}.yaml", written
        else:
            file, document = f"workflows/mistake{number}.yaml", _placed(written, number)
        files[file] = orjson.dumps(document)  # JSON is YAML
        placed[file] = mistake
    found: dict[Mistake, list[Problem]] = {mistake: [] for mistake in placed.values()}
    try:
        load_project_files(files)
    except DefinitionError as error:
        for problem in error.problems:
            if problem.file in placed:
                found[placed[problem.file]].append(problem)
            else:
                raise AssertionError(f"{name}: {problem}") from error
    return found


def _placed(written: dict[str, Any], number: int) -> dict[str, Any]:
    document = copy.deepcopy(cast("dict[str, Any]", BASE))
    document["workflow"] = f"support/mistake{number}"
    steps = written.get("steps")
    whole = written.keys() & document.keys() - {"about"} and not written.keys() & VERBS.keys()
    if not whole and not _is_of_document(written):
        document["steps"]["x"] = written
    elif isinstance(steps, dict) and steps:
        document |= {**written, "steps": {**document["steps"], **steps}}
    else:
        document |= written
    return document


def _is_of_document(written: Mapping[str, Any]) -> bool:
    known = {"attributes", "goals", "limits", "defaults", "risk", "ownr"}
    return bool(written.keys() & known) or (set(written) == {"about"} and not isinstance(written["about"], (str, int)))
