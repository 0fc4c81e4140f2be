"""How far an embedded model may be trusted alone: banking77, 77 intents, development split.

Six tenths of the messages are the examples of a classification by `local/minilm` through the gateway. Its confidence
and the agreement of the messages most like the one at hand are joined by a learnt rule and calibrated on two tenths,
where the thresholds are chosen too. All figures are of the last two tenths, which had no part in anything. A precision
counts as reached only if its lower 95% bound (Clopper and Pearson, one-sided) reaches it there; otherwise its share
is 0.
"""

from __future__ import annotations

import importlib
import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from signoff.capabilities.gateway import Gateway, ModelTask
from signoff.capabilities.validation.calibration import fit_isotonic
from signoff.capabilities.validation.confidence import fit_logistic
from signoff.capabilities.validation.precision import (
    expected_calibration_error,
    gate_at,
    reliability,
    widest_gate,
)
from signoff.catalog.models import ModelsConfig, ModelSpec, Route
from signoff.catalog.prompts import Example, PromptMessage
from signoff.governance.policy import Decision

DATA = Path(__file__).parents[2] / "shared" / "data" / "banking77" / "dev"
PLOTS = Path(__file__).parent / "plots"
SEED = 1
EXAMPLES_SHARE = 0.6
CHOOSING_SHARE = 0.2
QUICK_ROWS = 600
NEIGHBOURS = 15
PRECISIONS = (0.95, 0.98, 0.99)
# Stricter than what is reported: what is just reached here would fail there half the time.
CHOOSING_LEVEL = 0.975
CURVE = 40  # points of the curve
EMBED_TIMEOUT_S = 1800.0
CONFIG = ModelsConfig(
    models={"minilm": ModelSpec("minilm", "minilm")},
    routes=(Route(("minilm",)),),
)
SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string"}, "confidence": {"type": "number"}},
    "required": ["label", "confidence"],
}

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of some messages: the signals of each answer, and whether it was right."""

    signals: list[dict[str, float]]
    right: list[bool]


def run(*, quick: bool) -> dict[str, float]:
    """The figures, by their names in RESULTS.md."""
    rows = [json.loads(line) for line in (DATA / "train.jsonl").read_text().splitlines()]
    random.Random(SEED).shuffle(rows)
    rows = rows[:QUICK_ROWS] if quick else rows
    first, second = int(len(rows) * EXAMPLES_SHARE), int(len(rows) * (EXAMPLES_SHARE + CHOOSING_SHARE))
    examples, choosing, reported = rows[:first], rows[first:second], rows[second:]
    chosen_on, reported_on = uvloop.run(_answers(examples, choosing, reported))
    return _figures(chosen_on, reported_on, draw=not quick)


def _figures(chosen_on: Answered, reported_on: Answered, *, draw: bool) -> dict[str, float]:
    rule = fit_logistic(chosen_on.signals, chosen_on.right)
    calibration = fit_isotonic([rule.score(row) for row in chosen_on.signals], chosen_on.right)
    scores = [rule.score(row) for row in reported_on.signals]
    before = [row["own"] for row in reported_on.signals]
    after = [calibration.probability(score) for score in scores]
    figures = {
        "accuracy": round(sum(reported_on.right) / len(reported_on.right), 4),
        "ece_before": round(expected_calibration_error(before, reported_on.right), 4),
        "ece_after": round(expected_calibration_error(after, reported_on.right), 4),
    }
    table = Table("precision wanted", "threshold", "share", "precision", "its lower bound", title="Thresholds")
    choosing_scores = [rule.score(row) for row in chosen_on.signals]
    for precision in PRECISIONS:
        chosen = widest_gate(choosing_scores, chosen_on.right, precision, level=CHOOSING_LEVEL)
        gate = None if chosen is None else gate_at(scores, reported_on.right, chosen.threshold)
        reached = gate is not None and gate.lower_bound >= precision
        figures[f"automated_at_{precision * 100:.0f}"] = round(gate.share, 4) if gate is not None and reached else 0.0
        shown = (
            ("none", "", "", "")
            if gate is None
            else tuple(f"{value:.4f}" for value in (gate.threshold, gate.share, gate.precision, gate.lower_bound))
        )
        table.add_row(f"{precision:.0%}", *shown)
    Console().print(table)
    if draw:
        _draw_curve(scores, reported_on.right)
        _draw_reliability({"the model's own": before, "calibrated": after}, reported_on.right)
    return figures


async def _answers(examples: Sequence[Mapping[str, str]], *parts: Sequence[Mapping[str, str]]) -> tuple[Answered, ...]:
    """Each part's messages, classified through the gateway one by one."""
    gateway = Gateway()
    known, intents = await _embedded(gateway, examples), np.array([row["intent"] for row in examples])
    labels = dict.fromkeys(sorted({row["intent"] for row in examples}), "")
    given = tuple(Example({"text": row["text"]}, {"label": row["intent"]}) for row in examples)
    answered: list[Answered] = []
    try:
        for number, part in enumerate(parts, start=1):
            near = await _embedded(gateway, part) @ known.T
            signals, right = list[dict[str, float]](), list[bool]()
            for place, row in enumerate(track(part, f"part {number} of {len(parts)}")):
                output = await _classified(gateway, row["text"], labels, given)
                nearest = np.argsort(-near[place])[:NEIGHBOURS]
                weights = near[place][nearest]
                agreeing = weights[intents[nearest] == output["label"]].sum() / weights.sum()
                signals.append({"own": float(output["confidence"]), "agreement": float(np.clip(agreeing, 0.0, 1.0))})
                right.append(output["label"] == row["intent"])
            answered.append(Answered(signals, right))
    finally:
        await gateway.aclose()
    return tuple(answered)


async def _embedded(gateway: Gateway, rows: Sequence[Mapping[str, str]]) -> Vector:
    found = await gateway.embed([row["text"] for row in rows], CONFIG, decide=_permit, timeout_s=EMBED_TIMEOUT_S)
    return np.array(found.vectors)


async def _classified(
    gateway: Gateway, text: str, labels: Mapping[str, str], examples: tuple[Example, ...]
) -> Mapping[str, Any]:
    task = ModelTask(
        "classify",
        "banking77",
        (PromptMessage("user", text),),
        output_schema=SCHEMA,
        variables={"text": text},
        labels=labels,
        examples=examples,
        timeout_s=600.0,
    )
    return (await gateway.complete(task, CONFIG, decide=_permit)).output


def _permit(_model: str, _attributes: Mapping[str, Any], /) -> Decision:
    return Decision(permit=True, policies=("benchmark",), obligations=(), policy_digest="")


def _draw_curve(scores: Sequence[float], right: Sequence[bool]) -> None:
    """Precision and its lower bound by the share that goes on without a person."""
    pygal: Any = importlib.import_module("pygal")
    ranked = sorted(scores, reverse=True)
    gates = [
        gate
        for step in range(1, CURVE + 1)
        if (gate := gate_at(scores, right, ranked[max(step * len(ranked) // CURVE - 1, 0)])) is not None
    ]
    chart = pygal.XY(
        title="banking77: precision by the share that is automated",
        x_title="share automated",
        y_title="precision",
        js=[],
        range=(0.9, 1.0),
        dots_size=2,
    )
    chart.add("precision", [(round(gate.share, 4), round(gate.precision, 4)) for gate in gates])
    chart.add("lower 95% bound", [(round(gate.share, 4), round(gate.lower_bound, 4)) for gate in gates])
    PLOTS.mkdir(exist_ok=True)
    chart.render_to_file(os.fspath(PLOTS / "confidence-curve.svg"))


def _draw_reliability(confidences: Mapping[str, Sequence[float]], right: Sequence[bool]) -> None:
    pygal: Any = importlib.import_module("pygal")
    chart = pygal.XY(
        title="banking77: how often answers of a confidence are right",
        x_title="confidence",
        y_title="share that is right",
        js=[],
        range=(0.0, 1.0),
        dots_size=2,
    )
    for name, values in confidences.items():
        bars = reliability(values, right)
        chart.add(name, [(round(bar.confidence, 4), round(bar.accuracy, 4)) for bar in bars])
    chart.add("perfect", [(0.0, 0.0), (1.0, 1.0)])
    PLOTS.mkdir(exist_ok=True)
    chart.render_to_file(os.fspath(PLOTS / "confidence-reliability.svg"))
