"""The filter `toxicity`: plain insults and threats by a list, and where the extra `toxicity` is installed by a model.

The model is alt-profanity-check's: a linear support vector machine over words, with calibrated probabilities, made of
Wikipedia's comments (Jigsaw) and tweets (Davidson et al., ICWSM 2017). It knows English only, and no context.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from signoff.capabilities.validation.filters.local import INSULTS, Settings, WordFilter, visible
from signoff.capabilities.validation.filters.model import Found

THRESHOLD = 0.5
"""How sure the model must be of one sentence: its own border. docs/reference/validation.md says what that finds."""

_ENDS = re.compile(r"[.!?\n]+")


class _Judge(Protocol):
    def __call__(self, texts: Sequence[str]) -> Any:
        """How likely each of the texts is offensive."""
        ...


class ToxicityFilter:
    """Words of the list and of the project, then the model sentence by sentence: no insult drowns in a mail."""

    def __init__(self) -> None:
        self._words = WordFilter(INSULTS, reason="insults or threatens")

    def find(self, text: str, settings: Settings) -> Sequence[Found]:
        """Each word of the lists; the model's finding where they have none."""
        found = self._words.find(text, settings)
        judge = _judge()
        sentences = [part for part in _ENDS.split(visible(text)) if part.strip()]
        if found or judge is None or not sentences:
            return found
        worst = float(max(judge(sentences)))
        return [Found(f"reads like an insult or a threat ({worst:.2f})")] if worst > THRESHOLD else []


@cache
def _judge() -> _Judge | None:
    """The model; none where the extra is not installed."""
    try:
        return import_module("profanity_check").predict_prob
    except ModuleNotFoundError:
        return None
