"""all-MiniLM-L6-v2 on onnxruntime: texts to vectors, on a CPU, in this process (Reimers and Gurevych, EMNLP 2019)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

MAX_TOKENS = 256
"""Texts are cut here, as the model was trained: what comes later is not seen."""
BATCH_SIZE = 32
"""Texts per call; texts of like length go together, so that little is padding."""


class Encoder:
    """The loaded model. Safe to use from several threads.

    Args:
        directory: where `tokenizer.json` and `model.onnx` are.
    """

    def __init__(self, directory: Path) -> None:
        from importlib import import_module  # noqa: PLC0415  (of this function only)

        # It has no types; and 0.2 s to import, so only where a model is used.
        onnxruntime: Any = import_module("onnxruntime")
        from tokenizers import Tokenizer  # noqa: PLC0415  (loaded when first used)

        tokenizer: Any = cast("Any", Tokenizer).from_file(str(directory / "tokenizer.json"))
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.enable_padding()
        self._tokenizer = tokenizer
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            str(directory / "model.onnx"), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def encode(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.float64], int]:
        """A vector of length 1 per text (mean of its token vectors), and how many tokens were read."""
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        vectors = np.zeros((len(texts), 384))
        tokens = 0
        for start in range(0, len(order), BATCH_SIZE):
            indexes = order[start : start + BATCH_SIZE]
            vectors[indexes], batch_tokens = self._encode_batch([texts[index] for index in indexes])
            tokens += batch_tokens
        return vectors, tokens

    def _encode_batch(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.float64], int]:
        encoded: list[Any] = self._tokenizer.encode_batch(list(texts))
        ids = np.array([item.ids for item in encoded], dtype=np.int64)
        mask = np.array([item.attention_mask for item in encoded], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden: npt.NDArray[np.float64] = self._session.run(None, inputs)[0].astype(np.float64)
        pooled = (hidden * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True), int(mask.sum())


_LOADED: dict[Path, Encoder] = {}
_LOADING = threading.Lock()


def shared_encoder(directory: Path) -> Encoder:
    """The encoder of a directory, loaded once per process."""
    with _LOADING:
        if directory not in _LOADED:
            _LOADED[directory] = Encoder(directory)
        return _LOADED[directory]
