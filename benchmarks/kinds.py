"""The local models that are no language models: how good each is, on real data where there is some, else on made data.

OCR on scanned receipts (SROIE, development split), ranking on Cranfield's (development queries; candidates are the 25
best by BM25): of both a sample drawn with a seed, because a page takes seconds of CPU and a text a tenth of one.
Forecasts on made monthly series beside the seasonal naive forecast, anomalies on made tables, knapsacks
beside dynamic programming, and one sentence that Espeak NG speaks.
"""

from __future__ import annotations

import base64
import math
import random
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from benchmarks.injection_data import DATA, rows
from signoff.capabilities.gateway.models_store import ModelStore
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers import default_factories, ranking
from signoff.capabilities.gateway.providers.computing import Computed, Patience
from signoff.capabilities.gateway.providers.encoder import shared_encoder
from signoff.catalog.models import ModelSpec

CANDIDATES = 25
SEED = 5
WAIT_S = 600.0
SPOKEN = Path(__file__).parents[1] / "tests" / "support" / "refund.ogg"
SAID = "the customer in berlin asks for a refund of fifty four dollars"
MONTHS, AHEAD = 96, 12


def run(*, quick: bool) -> dict[str, float]:
    """The figures, by their names in RESULTS.md."""
    figures = {**ocr(2 if quick else 10), **rerank(4 if quick else 30), **forecast(5 if quick else 60)}
    figures |= {**detect(2 if quick else 10), **optimise(10 if quick else 100), **transcribe()}
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, f"{value:g}")
    Console().print(table)
    return figures


def _answer(kind: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    provider = cast("Computed", default_factories()[kind](ModelSpec("m", kind)))
    return provider.answer(values, Patience(WAIT_S))


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"[a-z0-9]+(?:[.,:/-][a-z0-9]+)*", text.lower()))


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9.]", "", text.lower())


def ocr(count: int) -> dict[str, float]:
    """The share of the annotated words and fields that are in the text that was read."""
    found = words = fields = held = 0
    took_s = 0.0
    for row in random.Random(SEED).sample(rows("sroie_receipts/dev/labels.jsonl"), count):
        data = (DATA / "sroie_receipts/dev" / row["file"]).read_bytes()
        began = time.process_time()
        text = str(_answer("rapidocr", {"content": base64.b64encode(data).decode()})["text"])
        took_s += time.process_time() - began
        truth = _words("\n".join(line["text"] for line in row["lines"]))
        found += (truth & _words(text)).total()
        words += truth.total()
        wanted = [str(row["fields"][name]) for name in ("company", "date", "total") if row["fields"].get(name)]
        fields += len(wanted)
        held += sum(_plain(value) in _plain(text) for value in wanted)
    return {
        "ocr_pages": count,
        "ocr_words": round(found / words, 3),
        "ocr_fields": round(held / fields, 3),
        "ocr_cpu_s_per_page": round(took_s / count, 2),
    }


def rerank(queries: int) -> dict[str, float]:
    """nDCG@10 of the candidates as BM25 has them, by their vectors alone, and as `rerank` ranks them."""
    corpus = rows("cranfield/corpus.jsonl")
    texts = [str(row["text"]) or "-" for row in corpus]
    grades: dict[str, dict[str, int]] = {}
    for line in (DATA / "cranfield/dev/qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        grades.setdefault(query, {})[document] = int(grade)
    encoder = shared_encoder(ModelStore().locate("local/minilm"))
    sample = random.Random(SEED).sample(rows("cranfield/dev/queries.jsonl"), queries)
    candidates: dict[str, list[int]] = {
        query["_id"]: ranking.bm25(query["text"], texts).argsort()[::-1][:CANDIDATES].tolist() for query in sample
    }
    read = sorted({index for chosen in candidates.values() for index in chosen})
    vectors = dict(zip(read, encoder.encode([texts[index] for index in read])[0], strict=True))
    scores: dict[str, list[float]] = {"bm25": [], "cosine": [], "rerank": []}
    for query in sample:
        asked, _ = encoder.encode([query["text"]])
        chosen = candidates[query["_id"]]
        ranked = ranking.ranking(
            query["text"], [texts[index] for index in chosen], [asked[0], *(vectors[index] for index in chosen)]
        )
        orders: dict[str, list[int]] = {
            "bm25": chosen,
            "cosine": sorted(chosen, key=lambda index: -float(vectors[index] @ asked[0])),
            "rerank": [chosen[int(each["index"])] for each in ranked],
        }
        for name, order in orders.items():
            scores[name].append(_ndcg([corpus[index]["_id"] for index in order], grades[query["_id"]]))
    means = {f"ndcg10_{name}": round(sum(each) / len(each), 3) for name, each in scores.items()}
    return {"rerank_queries": queries, "rerank_texts": len(read), **means}


def _ndcg(order: Sequence[str], grades: Mapping[str, int], top: int = 10) -> float:
    def gain(values: Sequence[int]) -> float:
        return sum((2**value - 1) / math.log2(place + 2) for place, value in enumerate(values[:top]))

    best = gain(sorted(grades.values(), reverse=True))
    return gain([grades.get(each, 0) for each in order]) / best if best else 0.0


def forecast(count: int) -> dict[str, float]:
    """Mean absolute errors over those of the seasonal naive forecast, and how much of the future the intervals hold."""
    chance = random.Random(11)
    ours = naive = held = points = 0.0
    for _ in range(count):
        level, trend, swing, noise = chance.uniform(50, 500), chance.uniform(-1, 2), chance.uniform(0, 60), 0.0
        series: list[float] = []
        for month in range(MONTHS + AHEAD):
            noise = 0.5 * noise + chance.gauss(0, 8)
            series.append(level + trend * month + swing * math.sin(math.tau * month / 12) + noise)
        past, future = series[:MONTHS], series[MONTHS:]
        found = _answer("statsforecast", {"values": past, "horizon": AHEAD, "season_length": 12})["points"]
        for place, truth in enumerate(future):
            ours += abs(found[place]["mean"] - truth)
            naive += abs(past[MONTHS - 12 + place] - truth)
            held += found[place]["low"] <= truth <= found[place]["high"]
            points += 1
    return {"forecast_error_ratio": round(ours / naive, 3), "forecast_coverage_90": round(held / points, 3)}


def detect(count: int) -> dict[str, float]:
    """Precision and recall without being told the share: 1,000 rows of four numbers, 20 of them moved away."""
    right = told = wanted = 0
    for seed in range(count):
        chance = random.Random(seed)
        table = [[chance.gauss(0, 1) for _ in range(4)] for _ in range(1_000)]
        odd = set(chance.sample(range(1_000), 20))
        for index in odd:
            table[index] = [value + chance.choice((-1, 1)) * chance.uniform(2, 6) for value in table[index]]
        found = {each["index"] for each in _answer("isolation_forest", {"rows": table})["anomalies"]}
        right, told, wanted = right + len(found & odd), told + len(found), wanted + len(odd)
    return {"detect_precision": round(right / told, 3), "detect_recall": round(right / wanted, 3)}


def optimise(count: int) -> dict[str, float]:
    """The share of knapsacks of 40 items that come to what dynamic programming comes to, and one large assignment."""
    chance = random.Random(2)
    same = 0
    for _ in range(count):
        items = [{"value": chance.randint(1, 99), "size": chance.randint(1, 40)} for _ in range(40)]
        best = [0] * 301
        for item in items:
            for room in range(300, item["size"] - 1, -1):
                best[room] = max(best[room], best[room - item["size"]] + item["value"])
        found = _answer("highs", {"knapsack": {"capacity": 300, "items": items}})
        same += found["status"] == "optimal" and found["objective"] == best[300]
    weights = [[chance.randint(1, 1_000) for _ in range(100)] for _ in range(100)]
    began = time.process_time()
    _answer("highs", {"assignment": {"sense": "minimise", "weights": weights}})
    return {
        "optimise_exact": round(same / count, 3),
        "assignment_100_ms": round((time.process_time() - began) * 1_000, 1),
    }


def transcribe() -> dict[str, float]:
    """The share of words of one spoken sentence that are written otherwise; nothing where the model is not here."""
    try:
        heard = _answer("whisper", {"content": base64.b64encode(SPOKEN.read_bytes()).decode(), "language": "en"})
    except ProviderError:
        return {}
    written = re.sub(r"\$54\b", "fifty four dollars", str(heard["text"]).lower())
    wrong = (Counter(SAID.split()) - Counter(re.findall(r"[a-z]+", written))).total()
    return {"transcribe_words_wrong": round(wrong / len(SAID.split()), 3)}
