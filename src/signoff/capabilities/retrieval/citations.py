"""Are citations real? A citation is a span, and must occur in what was retrieved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .model import Hit

QUOTE_CHARACTERS = 2_000
"""A longer quote is not checked but refused: it could hardly come from one passage."""


@dataclass(frozen=True, slots=True)
class Citation:
    """What an answer claims to rest on.

    Attributes:
        quote: the words, which must occur; how white space is laid out does not matter.
        chunk_id: in which hit; any where none is given.
        start: where they begin in the document, in characters; anywhere where not given.
    """

    quote: str
    chunk_id: str | None = None
    start: int | None = None


@dataclass(frozen=True, slots=True)
class CheckedCitation:
    """A citation with what was found: where it occurs, or why it does not count.

    Attributes:
        hit: the hit it occurs in; none where it does not occur.
        start: the span in the document, in characters.
        end: its end, exclusive.
        reason: of one that does not occur: `unknown_chunk`, `not_found`, `elsewhere`, `empty` or `too_long`.
    """

    citation: Citation
    hit: Hit | None = None
    start: int | None = None
    end: int | None = None
    reason: str | None = None

    @property
    def occurs(self) -> bool:
        """Whether the words are there."""
        return self.hit is not None


def verify_citations(citations: Iterable[Citation], hits: Sequence[Hit]) -> list[CheckedCitation]:
    """Check each citation against the hits, in order. Never raises: a made-up citation is a finding, not a fault."""
    return [_check(citation, hits) for citation in citations]


def _check(citation: Citation, hits: Sequence[Hit]) -> CheckedCitation:
    words = citation.quote.split()
    if not words:
        return CheckedCitation(citation, reason="empty")
    if len(citation.quote) > QUOTE_CHARACTERS:
        return CheckedCitation(citation, reason="too_long")
    named = [hit for hit in hits if citation.chunk_id in (None, hit.chunk_id)]
    if not named:
        return CheckedCitation(citation, reason="unknown_chunk")
    pattern = re.compile(r"\s+".join(re.escape(word) for word in words))
    spans = [
        (hit, hit.start + match.start(), hit.start + match.end())
        for hit in named
        for match in pattern.finditer(hit.text)
    ]
    if not spans:
        return CheckedCitation(citation, reason="not_found")
    for hit, start, end in spans:
        if citation.start in (None, start):
            return CheckedCitation(citation, hit, start, end)
    return CheckedCitation(citation, reason="elsewhere")
