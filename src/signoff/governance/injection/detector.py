"""How much a text looks like an injection: logistic regression over hashed n-grams, the highest of its windows.

TF-IDF with a linear model (Salton and Buckley, 1988). `benchmarks/injection_training.py` makes the weights.
The score is a signal among others and never the only gate: an attacker who can try often enough gets past any detector.
"""

from __future__ import annotations

import hashlib
import io
import math
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from signoff.core.errors import UnavailableError
from signoff.governance.injection.features import Indexes, character_buckets, word_buckets
from signoff.governance.injection.windows import windows

WEIGHTS = Path(__file__).with_name("weights.npz")
WEIGHTS_SHA256 = "3a8b9572e4899dbe4cb95bad5b805a14b118f97f96b4e410cb7d8ca72806afb8"
"""Of the file beside this module. A new file means a new version, below."""
VERSION = "injection-1"
"""Recorded with each score: scores of different versions do not compare."""
THRESHOLD = 0.68
"""From here on a text counts as suspicious."""
MAX_CHARACTERS = 200_000
"""Read of one text. What is longer counts as suspicious, as its rest was not read."""

_LOADING = threading.Lock()


@dataclass(frozen=True, slots=True)
class InjectionSignal:
    """What was seen in one text. Only `excerpt` has words of it: keep it out of logs.

    Attributes:
        score: 0 to 1, of the most suspicious window; no calibrated probability.
        suspicious: the score reaches the threshold, or the text was not read to its end.
        complete: the whole text was read.
        sentence: the number of that window's first sentence, from 0; `None` where there are no words.
        excerpt: the window's words, at most two sentences.
        version: of the detector.
    """

    score: float
    suspicious: bool
    complete: bool
    sentence: int | None
    excerpt: str
    version: str = VERSION


@dataclass(frozen=True, slots=True)
class Weights:
    """What was learnt, each weight times its idf."""

    words: npt.NDArray[np.float64]
    word_idf: npt.NDArray[np.float64]
    characters: npt.NDArray[np.float64]
    character_idf: npt.NDArray[np.float64]
    bias: float

    def margin(self, text: str) -> float:
        """The log-odds of one window."""
        return (
            self.bias
            + _share(self.words, self.word_idf, word_buckets(text))
            + _share(self.characters, self.character_idf, character_buckets(text))
        )


def detect(text: str, threshold: float = THRESHOLD) -> InjectionSignal:
    """Scores a text that comes from outside: a document, a tool's answer, a message. Milliseconds per KB; no network.

    Raises:
        UnavailableError: the weights are not those of this version.
    """
    weights = _loaded()
    best, at, excerpt = -math.inf, None, ""
    for window in windows(text[:MAX_CHARACTERS]):
        margin = weights.margin(window.text)
        if margin > best:
            best, at, excerpt = margin, window.sentence, window.text
    score = 0.0 if at is None else 1 / (1 + math.exp(-best))
    complete = len(text) <= MAX_CHARACTERS
    return InjectionSignal(round(score, 4), score >= threshold or not complete, complete, at, excerpt)


def _share(weights: npt.NDArray[np.float64], idf: npt.NDArray[np.float64], found: Indexes) -> float:
    """What one kind of n-gram adds: the weights of those found, over the length of their TF-IDF vector."""
    if not len(found):
        return 0.0
    return float(weights[found].sum() / math.sqrt(float((idf[found] ** 2).sum())))


def _loaded() -> Weights:
    with _LOADING:  # `cache` alone would let two threads load at once
        return _load()


@cache
def _load() -> Weights:
    return read_weights(WEIGHTS)


def read_weights(path: Path) -> Weights:
    """The weights of this version out of a file.

    Raises:
        UnavailableError: the file is another.
    """
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != WEIGHTS_SHA256:
        raise UnavailableError(f"{path} is not the detector of this version: install Signoff again.")
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        words, word_idf, characters, character_idf, bias = (
            file[name].astype(np.float64) for name in ("words", "word_idf", "characters", "character_idf", "bias")
        )
    return Weights(words * word_idf, word_idf, characters * character_idf, character_idf, float(bias))
