"""Words of texts, as free-text search stores and asks for them."""

from __future__ import annotations

import re

WORD_CHARS = 64
"""Length of a stored word; the rest of a longer one is not searched."""
RUN_WORDS = 64
"""Words stored of one run."""

_WORD = re.compile(r"[^\W_]+")


def words_of(*texts: str, most: int = RUN_WORDS) -> list[str]:
    """The distinct words of texts in order, without regard to case: runs of letters and digits."""
    found: dict[str, None] = {}
    for text in texts:
        for match in _WORD.finditer(text):
            found[match[0].casefold()[:WORD_CHARS]] = None
            if len(found) == most:
                return list(found)
    return list(found)
