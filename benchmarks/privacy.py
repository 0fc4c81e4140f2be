"""How well personal data is found, beside default Presidio in one run: presidio_pii and wnut17_ner, development split.

A finding counts only if its first and last character and its entity are those of the annotation. Compared are the
entities that both annotate or find; Presidio has one for what we call an address and a place, and so have both sets'
annotations here. wnut17_ner annotates people, places and companies only, so nothing else counts there. Rules and
thresholds were made on one half of the split (all rows of a template in the same half); all figures are of the other.
Milliseconds are of CPU, on one thread, per thousand characters.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.peers.environments import environment, python_of
from signoff.capabilities.gateway.models_store import ModelStore
from signoff.capabilities.gateway.providers.rampart import MODEL, shared_rampart
from signoff.governance.privacy import Detector

DATA = Path(__file__).parents[2] / "shared" / "data"
FILES = ("presidio_pii/dev/pii.jsonl", "wnut17_ner/dev/ner.jsonl")
PEER = Path(__file__).parent / "peers" / "presidio_peer.py"
PEER_TIMEOUT_S = 1_800
QUICK_ROWS = 60
ANNOTATED: Mapping[str, str] = {
    "PERSON": "PERSON",
    "person": "PERSON",
    "GPE": "LOCATION",
    "STREET_ADDRESS": "LOCATION",
    "location": "LOCATION",
    "ORGANIZATION": "ORGANIZATION",
    "corporation": "ORGANIZATION",
    "DOMAIN_NAME": "URL",
    "DATE_TIME": "DATE_TIME",
    "NRP": "NRP",
    "CREDIT_CARD": "CREDIT_CARD",
    "IBAN_CODE": "IBAN_CODE",
    "US_SSN": "US_SSN",
    "US_DRIVER_LICENSE": "US_DRIVER_LICENSE",
    "EMAIL_ADDRESS": "EMAIL_ADDRESS",
    "PHONE_NUMBER": "PHONE_NUMBER",
    "IP_ADDRESS": "IP_ADDRESS",
}
"""The annotations' types, as entities. AGE, TITLE and ZIP_CODE are left out: default Presidio does not find them."""
OURS = {"ADDRESS": "LOCATION", "DATE_OF_BIRTH": "DATE_TIME", "DRIVER_LICENSE": "US_DRIVER_LICENSE"}
ENTITIES = frozenset(ANNOTATED.values())
IN_WNUT = frozenset({"PERSON", "LOCATION", "ORGANIZATION"})

Span = tuple[int, int, str]


@dataclass(slots=True)
class Count:
    """How many were found rightly, annotated, and found."""

    right: int = 0
    annotated: int = 0
    found: int = 0

    @property
    def scores(self) -> tuple[float, float, float]:
        """Precision, recall, F1."""
        precision, recall = self.right / max(self.found, 1), self.right / max(self.annotated, 1)
        return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def run(*, quick: bool, beside: bool = True) -> dict[str, float]:
    """The figures, by their names in RESULTS.md."""
    rows = [row for file in FILES for row in _reported(file)[: QUICK_ROWS if quick else None]]
    texts = [row["text"] for row in rows]
    size_kb = sum(map(len, texts)) / 1000
    detector = Detector(shared_rampart(ModelStore().locate(MODEL)))
    detector.find("Write to warm.up@example.com, says John of Boston.")
    began_s = time.process_time()
    ours = [[(item.start, item.end, OURS.get(item.kind, item.kind)) for item in detector.find(text)] for text in texts]
    elapsed_s = time.process_time() - began_s
    theirs, their_s = _presidio(texts) if beside else ([list[Span]() for _ in texts], 0.0)
    figures = {"ms_per_kb": round(elapsed_s * 1000 / size_kb, 1)}
    if beside:
        figures["ms_per_kb_presidio"] = round(their_s * 1000 / size_kb, 1)
    for part in ("presidio_pii", "wnut17_ner", ""):
        mine, peer = _counted(rows, ours, part), _counted(rows, theirs, part)
        _show(part or "both sets", mine, peer)
        suffix = f"_on_{part}" if part else ""
        figures[f"f1{suffix}"] = round(_all(mine).scores[2], 4)
        if beside:
            figures[f"f1_presidio{suffix}"] = round(_all(peer).scores[2], 4)
    return figures


def _reported(file: str) -> list[dict[str, Any]]:
    """The half that nothing was tuned on."""
    rows = [json.loads(line) for line in (DATA / file).read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["set"] = file.split("/", maxsplit=1)[0]
    return [row for row in rows if hashlib.sha256(str(row.get("template_id", row["id"])).encode()).digest()[0] % 2 == 1]


def _presidio(texts: Sequence[str]) -> tuple[list[list[Span]], float]:
    python = python_of(environment("presidio"))
    with tempfile.TemporaryDirectory() as scratch:
        given, found = Path(scratch) / "texts", Path(scratch) / "found"
        given.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
        done = subprocess.run(
            [str(python), str(PEER), str(given), str(found)],
            capture_output=True,
            text=True,
            timeout=PEER_TIMEOUT_S,
            check=True,
        )
        lines = found.read_text(encoding="utf-8").splitlines()
    spans = [[(start, end, kind) for start, end, kind in json.loads(line)] for line in lines]
    return spans, float(done.stdout.strip().splitlines()[-1])


def _counted(rows: Sequence[Mapping[str, Any]], found: Sequence[Iterable[Span]], part: str) -> dict[str, Count]:
    counts: dict[str, Count] = defaultdict(Count)
    for row, spans in zip(rows, found, strict=True):
        if part and row["set"] != part:
            continue
        counted = IN_WNUT if row["set"] == "wnut17_ner" else ENTITIES
        annotated = {
            (span["start"], span["end"], ANNOTATED[span["type"]]) for span in row["spans"] if span["type"] in ANNOTATED
        }
        seen = {span for span in spans if span[2] in counted}
        for spans_of, name in ((annotated, "annotated"), (seen, "found"), (annotated & seen, "right")):
            for _, _, kind in spans_of:
                setattr(counts[kind], name, getattr(counts[kind], name) + 1)
    return counts


def _all(counts: Mapping[str, Count]) -> Count:
    return Count(
        sum(count.right for count in counts.values()),
        sum(count.annotated for count in counts.values()),
        sum(count.found for count in counts.values()),
    )


def _show(title: str, mine: Mapping[str, Count], peer: Mapping[str, Count]) -> None:
    table = Table("entity", "annotated", "precision", "recall", "F1", "Presidio's", "recall", "F1", title=title)
    for kind in sorted({*mine, *peer}, key=lambda kind: -mine.get(kind, Count()).annotated):
        scores = [f"{value:.3f}" for counts in (mine, peer) for value in counts.get(kind, Count()).scores]
        table.add_row(kind, str(mine.get(kind, Count()).annotated), *scores)
    both = [f"{value:.3f}" for counts in (mine, peer) for value in _all(counts).scores]
    table.add_row("all", str(_all(mine).annotated), *both)
    Console().print(table)
