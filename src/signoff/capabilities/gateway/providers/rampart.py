"""Rampart on onnxruntime: which words of a text are names, places and parts of addresses, on a CPU, in this process.

The model is National Design Studio's (CC BY 4.0), BERT of six layers over 35 labels, 15 MB with weights of four bits.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from signoff.core.values import value

MODEL = "local/rampart"
"""Its name in the store of models."""
WINDOW_CHARACTERS = 480
"""How much of a text is read at once: the context that the model was trained on."""
OVERLAP_CHARACTERS = 96
"""How much of it is read again with what follows, so that no name is cut."""
MAX_TOKENS = 510
"""A window of more is cut in two."""
NEGLIGIBLE = 0.03
LABELS = (
    "GIVEN_NAME", "SURNAME", "EMAIL", "PHONE", "URL", "TAX_ID", "BANK_ACCOUNT", "ROUTING_NUMBER", "GOVERNMENT_ID",
    "PASSPORT", "DRIVERS_LICENSE", "BUILDING_NUMBER", "STREET_NAME", "SECONDARY_ADDRESS", "CITY", "STATE", "ZIP_CODE",
)  # fmt: skip
"""In the order of the model's outputs: the first is none of them, then two for each label, its begin and its inside."""


@value
class Piece:
    """A piece of a word.

    Attributes:
        start: its first character.
        end: the character after its last.
        scores: the probability of each label that is not negligible.
    """

    start: int
    end: int
    scores: Mapping[str, float]


class Rampart:
    """The loaded model. Safe to use from several threads.

    Args:
        directory: where `tokenizer.json` and `model.onnx` are.
    """

    def __init__(self, directory: Path) -> None:
        from importlib import import_module  # noqa: PLC0415  (of this function only)

        onnxruntime: Any = import_module("onnxruntime")  # it has no types
        from tokenizers import Tokenizer  # noqa: PLC0415  (loaded when first used)

        self._tokenizer: Any = cast("Any", Tokenizer).from_file(str(directory / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # One thread: texts are short, and other calls have the other cores.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            str(directory / "model.onnx"), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def classify(self, text: str) -> list[Piece]:
        """Every piece of every word, in order. Where windows overlap, each gives the half next to its middle."""
        pieces: list[Piece] = []
        windows = _windows(text)
        for place, (start, end) in enumerate(windows):
            first = (windows[place - 1][1] + start) // 2 if place else 0
            last = (windows[place + 1][0] + end) // 2 if place + 1 < len(windows) else end
            pieces.extend(piece for piece in self._window(text, start, end) if first <= piece.start < last)
        return pieces

    def _window(self, text: str, start: int, end: int) -> list[Piece]:
        encoded: Any = self._tokenizer.encode(text[start:end])
        if len(encoded.ids) > MAX_TOKENS and end - start > 1:
            middle = (start + end) // 2
            return self._window(text, start, middle) + self._window(text, middle, end)
        ids = np.array([encoded.ids[: MAX_TOKENS + 2]], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        logits: npt.NDArray[np.float64] = self._session.run(None, inputs)[0][0].astype(np.float64)
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        odds = exponents / exponents.sum(axis=1, keepdims=True)
        by_label = odds[:, 1::2] + odds[:, 2::2]
        offsets: Sequence[tuple[int, int]] = encoded.offsets
        return [
            Piece(
                start + begins,
                start + ends,
                {LABELS[index]: float(row[index]) for index in np.flatnonzero(row > NEGLIGIBLE)},
            )
            for row, (begins, ends) in zip(by_label, offsets, strict=False)
            if ends > begins
        ]


def _windows(text: str) -> list[tuple[int, int]]:
    """Stretches that overlap, cut where a line or a word ends."""
    windows: list[tuple[int, int]] = []
    start = 0
    while True:
        end = min(start + WINDOW_CHARACTERS, len(text))
        if end < len(text):
            space = max(text.rfind(sign, start + WINDOW_CHARACTERS // 2, end) for sign in " \n")
            end = space if space > 0 else end
        windows.append((start, end))
        if end >= len(text):
            return windows
        space = max(text.find(sign, end - OVERLAP_CHARACTERS, end) for sign in " \n")
        start = space + 1 if space > start else end - OVERLAP_CHARACTERS


_LOADED: dict[Path, Rampart] = {}
_LOADING = threading.Lock()


def shared_rampart(directory: Path) -> Rampart:
    """The model of a directory, loaded once per process."""
    with _LOADING:
        if directory not in _LOADED:
            _LOADED[directory] = Rampart(directory)
        return _LOADED[directory]
