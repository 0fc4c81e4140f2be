"""`whisper`: what is said in a recording, by Whisper base (Radford et al., 2022) on CTranslate2, with 8-bit weights."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from signoff.capabilities.gateway.models_store import ModelStore
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers.computing import Computed, Patience, bytes_of, library, rounded
from signoff.catalog.models import ModelSpec
from signoff.core.errors import SignoffError

EXTRA = "transcription"
MODEL = "local/whisper"
SAMPLES_PER_S = 16_000
"""What the model hears."""
BEAM = 5
"""Beginnings of a sentence that are followed at once, as the authors measured it."""
_READS = {
    "format_whitelist": "wav,mp3,ogg,flac,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,aac",
    "protocol_whitelist": "file",
}
"""Kinds of recordings. Play lists are not among them: they make whoever reads them open other files and addresses."""

_LOADED: dict[Path, Any] = {}
_LOADING = threading.Lock()


class Whisper(Computed):
    """The model. It is loaded at first use and shared by all instances of the process."""

    name = "whisper"
    task = "transcribe"
    needs = (("faster_whisper", EXTRA),)

    def __init__(self, spec: ModelSpec, store: ModelStore | None = None) -> None:
        super().__init__(spec)
        self._store = store or ModelStore()

    def answer(self, values: Mapping[str, Any], patience: Patience) -> Mapping[str, Any]:
        """What is said, piece by piece.

        Raises:
            ProviderError: as `complete`; `rejected`: it is no recording, too long, or of an unknown language.
        """
        model = self._model()
        sound = _sound(bytes_of(values["content"]), self.limit("max_audio_s"), patience)
        language = values.get("language")
        if language is not None and language not in model.supported_languages:
            raise ProviderError("rejected", f"It does not know the language '{language}'.")
        # Each piece is heard by itself: a mistake in one must not lead the next ones astray.
        pieces, about = model.transcribe(
            sound, language=language, beam_size=BEAM, condition_on_previous_text=False, temperature=0.0
        )
        segments: list[dict[str, Any]] = []
        for piece in pieces:
            patience.check()
            segments.append(
                {
                    "start_s": rounded(piece.start),
                    "end_s": rounded(piece.end),
                    "text": piece.text.strip(),
                    "confidence": rounded(min(math.exp(piece.avg_logprob), 1.0)),
                }
            )
        return {
            "text": " ".join(segment["text"] for segment in segments),
            "language": about.language,
            "duration_s": rounded(len(sound) / SAMPLES_PER_S),
            "segments": segments,
        }

    def _model(self) -> Any:
        try:
            directory = self._store.locate(MODEL)
        except SignoffError as error:
            raise ProviderError("setup", error.detail) from None
        with _LOADING:
            if directory not in _LOADED:
                make: Any = library("faster_whisper", EXTRA).WhisperModel
                _LOADED[directory] = make(str(directory), device="cpu", compute_type="int8", local_files_only=True)
            return _LOADED[directory]


def _sound(data: bytes, max_s: int, patience: Patience) -> Any:
    """The recording as one channel of samples. A small file may unpack to hours: it is read until it is too long.

    Raises:
        ProviderError: `rejected`: it is too long, or no recording.
    """
    av: Any = library("av", EXTRA)
    numpy: Any = library("numpy", EXTRA)
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLES_PER_S)
    parts: list[Any] = []
    samples = 0
    try:
        with av.open(io.BytesIO(data), mode="r", metadata_errors="ignore", options=_READS) as opened:
            for frame in chain(opened.decode(audio=0), (None,)):  # the last one gives what is still held
                patience.check()
                for part in resampler.resample(frame):
                    parts.append(part.to_ndarray().reshape(-1))
                    samples += len(parts[-1])
                if samples > max_s * SAMPLES_PER_S:
                    raise ProviderError("rejected", f"The recording is longer than {max_s:,} s ('max_audio_s').")
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise ProviderError("rejected", f"It is no recording that can be read ({type(error).__name__}).") from None
    if not parts:
        raise ProviderError("rejected", "The recording is empty.")
    return numpy.concatenate(parts)


def create(spec: ModelSpec) -> Whisper:
    """The provider of one configured model."""
    return Whisper(spec)
