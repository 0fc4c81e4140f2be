"""Which headings of a Markdown document stand above a place in it (CommonMark: ATX and setext headings)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ATX = re.compile(r"^ {0,3}(?P<marks>#{1,6})(?:[ \t]+(?P<title>.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r"^ {0,3}(?P<mark>=+|-+)[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(?P<fence>`{3,}|~{3,})(?P<info>.*)$")
_NO_PARAGRAPH = re.compile(r"^(?: {4}|\t| {0,3}(?:[>#|]|[-*+][ \t]|\d{1,9}[.)][ \t]))")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: its level from 1 to 6, its text, and where its line starts, in characters."""

    level: int
    title: str
    start: int


def headings(text: str) -> list[Heading]:
    """The headings of a Markdown text, in order; lines of fenced code are none."""
    found: list[Heading] = []
    fence: str | None = None
    previous: tuple[str, int] | None = None
    offset = 0
    for line in text.splitlines(keepends=True):
        content = line.rstrip("\r\n")
        mark = _FENCE.match(content)
        if fence is not None:
            if mark and mark["fence"].startswith(fence) and not mark["info"].strip():
                fence = None
            previous = None
        elif mark and not (mark["fence"][0] == "`" and "`" in mark["info"]):
            fence, previous = mark["fence"], None
        else:
            heading = _heading(content, offset, previous)
            if heading is not None:
                found.append(heading)
            paragraph = content.strip() and heading is None and not _NO_PARAGRAPH.match(content)
            previous = (content, offset) if paragraph else None
        offset += len(line)
    return found


def trail(found: list[Heading], position: int) -> tuple[str, ...]:
    """The titles of the headings that a position stands under, outermost first; one that starts there counts."""
    path: list[Heading] = []
    for heading in found:
        if heading.start > position:
            break
        path = [above for above in path if above.level < heading.level]
        path.append(heading)
    return tuple(heading.title for heading in path if heading.title)


def _heading(content: str, offset: int, previous: tuple[str, int] | None) -> Heading | None:
    if (match := _ATX.match(content)) is not None:
        return Heading(len(match["marks"]), (match["title"] or "").strip(), offset)
    if previous is not None and (match := _SETEXT.match(content)) is not None:
        title, start = previous
        return Heading(1 if match["mark"][0] == "=" else 2, title.strip(), start)
    return None
