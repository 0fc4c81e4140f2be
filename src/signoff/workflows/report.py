"""Collects every problem of a document, so that an author sees them all at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from signoff.core.errors import DefinitionError, Problem, did_you_mean
from signoff.workflows.documents import Node

MAX_PROBLEMS = 100
"""Problems reported for one document."""


class Report:
    """The problems of one document, in the order of their places."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._problems: list[Problem] = []

    def add(
        self, node: Node, detail: str, *, suggestion: str | None = None, code: str = "invalid", offset: int = 0
    ) -> None:
        """A problem with a value; `offset` points into a text."""
        line, column = node.place(offset)
        self._put(Problem(detail, self.file, line, column, node.pointer, suggestion, code))

    def add_key(
        self, node: Node, key: str, detail: str, *, suggestion: str | None = None, code: str = "invalid"
    ) -> None:
        """A problem with a key of a mapping."""
        line, column = node.keys[key]
        self._put(Problem(detail, self.file, line, column, node.entries[key].pointer, suggestion, code))

    def unknown(self, node: Node, what: str, name: str, known: Collection[str], *, offset: int = 0) -> None:
        """A name that nothing has; of one with a version (`classify@^3`), also a version that there is not."""
        bare, at, constraint = name.partition("@")
        if at and bare in known:
            detail = f"There is no version of {what} '{bare}' that '{constraint}' allows."
            hint = f"Its files say which there are; '{bare}' alone takes the latest."
        else:
            detail = f"There is no {what} named '{name}'."
            hint = did_you_mean(name, sorted(known)) or did_you_mean(bare, sorted(known))
            hint = hint or (None if known else f"The project has no {what} at all.")
        self.add(node, detail, suggestion=hint, code="unknown-name", offset=offset)

    def unknown_keys(self, node: Node, known: Collection[str], where: str) -> None:
        """Every key of a mapping that means nothing there."""
        for key in node.entries:
            if key not in known:
                hint = did_you_mean(key, list(known)) or f"Known are: {', '.join(known)}."
                self.add_key(node, key, f"'{key}' is not a key of {where}.", suggestion=hint, code="unknown-key")

    def text(self, node: Node, what: str) -> str:
        """The text of a node; anything else is a problem and counts as empty."""
        if node.text is None or not node.text.strip():
            self.add(node, f"{what} is a text.", code="type")
            return ""
        return node.text

    def mapping(self, node: Node, what: str) -> bool:
        """Whether it is a mapping; anything else is a problem."""
        if node.kind != "mapping":
            self.add(node, f"{what} is a mapping of keys to values.", code="type")
        return node.kind == "mapping"

    def texts(self, node: Node, what: str) -> list[tuple[str, Node]]:
        """One text or a list of texts."""
        nodes: Sequence[Node] = node.items if node.kind == "list" else (node,)
        return [(text, item) for item in nodes if (text := self.text(item, what))]

    def __bool__(self) -> bool:
        return bool(self._problems)

    @property
    def problems(self) -> list[Problem]:
        """Everything collected, in the order of its places."""
        return sorted(self._problems, key=lambda problem: (problem.line or 0, problem.column or 0))[:MAX_PROBLEMS]

    def raise_if_any(self, detail: str) -> None:
        """Raise a DefinitionError with everything collected."""
        if self._problems:
            raise DefinitionError(detail, problems=self.problems)

    def _put(self, problem: Problem) -> None:
        if problem not in self._problems:
            self._problems.append(problem)


def plain(node: Node | None) -> Any:
    """The plain value of a node that may be missing."""
    return None if node is None else node.plain()
