"""Documents into passages, cut where the text itself pauses: at headings, paragraphs, then sentences."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from semantic_text_splitter import MarkdownSplitter, TextSplitter

from signoff.core.errors import DefinitionError, LimitError, Problem

from .headings import Heading, headings, trail
from .model import Chunk, Document, IndexSettings, RetrievalLimits

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")  # PostgreSQL's text holds neither NUL nor surrogates
MARKDOWN_SUFFIXES = frozenset((".md", ".markdown", ".mdx"))


def chunk_document(document: Document, settings: IndexSettings, limits: RetrievalLimits) -> list[Chunk]:
    """The passages of one document, in order. White space around them belongs to none.

    Raises:
        DefinitionError: the text holds a character that PostgreSQL cannot store.
        LimitError: it is longer, or gives more chunks, than allowed.
    """
    path, text = document
    if len(text) > limits.document_characters:
        raise LimitError(
            f"'{path}' has {len(text)} characters; a document may have {limits.document_characters}. Split it."
        )
    if (bad := _UNSTORABLE.search(text)) is not None:
        line = text.count("\n", 0, bad.start()) + 1
        detail = f"the text holds the character U+{ord(bad[0]):04X}, which is not text."
        problem = Problem(detail, file=path, line=line, suggestion="Is the file encoded in UTF-8?", code="not-text")
        raise DefinitionError(f"'{path}' cannot be indexed.", problems=[problem])
    capacity = (settings.chunk_characters_min, settings.chunk_characters_max)
    markdown = PurePosixPath(path).suffix.lower() in MARKDOWN_SUFFIXES
    splitter = MarkdownSplitter(capacity) if markdown else TextSplitter(capacity)
    found: list[Heading] = headings(text) if markdown else []
    passages = [(start, passage) for start, passage in splitter.chunk_indices(text) if passage.strip()]
    if len(passages) > limits.chunks_per_document:
        raise LimitError(f"'{path}' gives {len(passages)} chunks; {limits.chunks_per_document} are allowed. Split it.")
    return [
        Chunk(path, ordinal, trail(found, start), start, start + len(passage), passage)
        for ordinal, (start, passage) in enumerate(passages, start=1)
    ]
