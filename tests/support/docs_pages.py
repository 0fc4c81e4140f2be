"""The documentation as tests read it: pages, their fenced snippets, tables and words in code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
LANGUAGES = frozenset({"sh", "yaml", "json", "python", "cedar", "markdown", "mermaid", "text"})

_FENCE = re.compile(r"^(?P<ticks>`{3,})(?P<info>[^`]*)$")
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Snippet:
    """A fenced block.

    Attributes:
        title: of ```` ```yaml title="workflows/x.yaml" ````: the file that it is.
    """

    page: str
    line: int
    language: str
    title: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Page:
    name: str
    text: str

    @property
    def path(self) -> Path:
        return CHECKOUT / self.name

    @property
    def snippets(self) -> list[Snippet]:
        return list(_snippets(self))

    @property
    def prose(self) -> str:
        """The text without its fenced blocks, line by line as it was."""
        lines, fence = list[str](), None
        for line in self.text.splitlines():
            match = _FENCE.match(line)
            if fence is None and match:
                fence = match["ticks"]
            elif fence is not None and line.strip() == fence:
                fence = None
            elif fence is None:
                lines.append(line)
                continue
            lines.append("")
        return "\n".join(lines)

    @property
    def codes(self) -> list[str]:
        """What stands between single backticks."""
        return _CODE.findall(self.prose)

    def section(self, heading: str) -> str:
        """The text below a heading, up to the next of its level."""
        level = heading.split(" ", maxsplit=1)[0]
        start = self.text.index(f"{heading}\n") + len(heading)
        following = re.search(rf"^#{{1,{len(level)}}} ", self.text[start:], re.MULTILINE)
        return self.text[start : start + following.start()] if following else self.text[start:]


@cache
def pages() -> tuple[Page, ...]:
    """Everything that people read, in this repository."""
    roots = [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md"), *(CHECKOUT / "benchmarks").glob("*.md")]
    examples = [*(CHECKOUT / "examples").glob("*/README.md"), CHECKOUT / "src/signoff/catalog/template/README.md"]
    return tuple(
        Page(path.relative_to(CHECKOUT).as_posix(), path.read_text("utf-8")) for path in sorted([*roots, *examples])
    )


def page(name: str) -> Page:
    return next(found for found in pages() if found.name == name)


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows in a text, headings left out."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
        if all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            found.pop()  # what came before was the heading
        else:
            found.append(cells)
    return found


def words(cell: str) -> list[str]:
    """The words in backticks of a cell."""
    return _CODE.findall(cell)


def _snippets(of: Page) -> Iterator[Snippet]:
    lines = of.text.splitlines()
    number = 0
    while number < len(lines):
        match = _FENCE.match(lines[number])
        if match is None:
            number += 1
            continue
        first = number + 1
        number = first
        while lines[number].strip() != match["ticks"]:
            number += 1
        language, _, rest = match["info"].strip().partition(" ")
        title = re.search(r'title="([^"]+)"', rest)
        body = "\n".join(lines[first:number]) + "\n"
        yield Snippet(of.name, first, language, title[1] if title else None, body)
        number += 1
