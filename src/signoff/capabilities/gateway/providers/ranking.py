"""Texts in the order in which they fit a query: by words and by meaning, half each.

It is no cross-encoder, which would read query and text together: no registry package has weights of one. Meaning is the
cosine of two vectors made apart; words are BM25 (Robertson and Zaragoza, "The probabilistic relevance framework", 2009)
among the given texts alone. Both are put on one scale by their means and deviations, since neither has one of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

K1 = 1.2
"""How soon another occurrence of a word says nothing new."""
B = 0.75
"""How much longer texts are held to more occurrences. Both are the usual ones; nothing was tuned."""
BY_MEANING = 0.5
_WORD = re.compile(r"\w+")
_SHORTEST_STEM = 4

Scores = npt.NDArray[np.float64]


def ranking(query: str, texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """Index and score of each text, best first.

    Args:
        query: what is looked for.
        texts: to be ranked, at least one.
        vectors: of length 1: the query's, then each text's.

    Returns:
        Scores from 0 to 1: the logistic function of the mean standardised score. They order the texts of one call, and
        compare with no other call's.
    """
    matrix = np.asarray(vectors, dtype=np.float64)
    meaning = _standardised(matrix[1:] @ matrix[0])
    together = BY_MEANING * meaning + (1.0 - BY_MEANING) * _standardised(bm25(query, texts))
    scores = 1.0 / (1.0 + np.exp(-together))
    order = np.argsort(-scores, kind="stable")
    return [{"index": int(index), "score": round(float(scores[index]), 4)} for index in order]


def _standardised(scores: Scores) -> Scores:
    deviation = float(scores.std())
    return (scores - scores.mean()) / deviation if deviation > 0.0 else np.zeros_like(scores)


def bm25(query: str, texts: Sequence[str]) -> Scores:
    """How well each text fits the query by its words, rare ones among the texts counting more."""
    counted = [Counter(_words(text)) for text in texts]
    lengths = np.array([sum(counts.values()) for counts in counted], dtype=np.float64)
    relative = lengths / max(float(lengths.mean()), 1.0)
    scores = np.zeros(len(texts))
    for word in set(_words(query)):
        found = np.array([counts[word] for counts in counted], dtype=np.float64)
        having = int((found > 0).sum())
        rarity = np.log1p((len(texts) - having + 0.5) / (having + 0.5))
        scores += rarity * found * (K1 + 1.0) / (found + K1 * (1.0 - B + B * relative))
    return scores


def _words(text: str) -> list[str]:
    """Words in lower case, English plurals as their singulars."""
    return [
        word[:-1] if len(word) >= _SHORTEST_STEM and word.endswith("s") and not word.endswith("ss") else word
        for word in _WORD.findall(text.lower())
    ]
