"""Calibration: from a score that only ranks to a probability of being right, learnt from golden cases.

Isotonic regression by pooling adjacent violators (Ayer et al., 1955; for classifiers Zadrozny and Elkan, KDD 2002), and
Platt's sigmoid with his smoothed targets (Platt, 1999), fitted by Newton's method (Lin, Lin and Weng, 2007).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from signoff.core.errors import InvalidError
from signoff.core.ids import digest

Method = Literal["isotonic", "platt"]

MIN_CASES = 20
"""Golden cases that a calibration needs: fewer say nothing."""
NEWTON_STEPS = 50
"""Steps of Newton's method at most; the loss of two parameters is convex, and ten are usual."""
CONVERGED = 1e-9
"""A step smaller than this ends the fitting."""
RIDGE = 1e-9
"""Keeps the two-parameter system solvable where all scores are the same."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted calibration: plain numbers, so that it is a document of the project and has a version.

    Attributes:
        method: how it was fitted.
        scores: of an isotonic one: where its steps begin, rising.
        probabilities: of an isotonic one: the probability from that score on, never falling.
        slope, intercept: of Platt's: `1 / (1 + exp(-(slope * score + intercept)))`.
        cases: how many golden cases it was fitted on.
    """

    method: Method
    cases: int
    scores: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()
    slope: float = 0.0
    intercept: float = 0.0

    def probability(self, score: float) -> float:
        """How likely an answer of this score is right, from 0 to 1."""
        if self.method == "platt":
            return _sigmoid(self.slope * score + self.intercept)
        place = bisect_right(self.scores, score) - 1
        return self.probabilities[max(place, 0)]

    @property
    def version(self) -> str:
        """SHA-256 over its numbers, hexadecimal: journaled with what was gated by it."""
        return digest(orjson.dumps(self.as_dict(), option=orjson.OPT_SORT_KEYS))

    def as_dict(self) -> dict[str, Any]:
        """The calibration for JSON."""
        common: dict[str, Any] = {"method": self.method, "cases": self.cases}
        if self.method == "platt":
            return common | {"slope": self.slope, "intercept": self.intercept}
        return common | {"scores": list(self.scores), "probabilities": list(self.probabilities)}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Calibration:
        """What `as_dict` gave.

        Raises:
            InvalidError: it is no calibration: other members, unequal lengths, probabilities that fall or leave [0, 1].
        """
        try:
            found = Calibration(
                data["method"],
                int(data["cases"]),
                tuple(float(score) for score in data.get("scores", ())),
                tuple(float(value) for value in data.get("probabilities", ())),
                float(data.get("slope", 0.0)),
                float(data.get("intercept", 0.0)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidError(f"This is no calibration: {error!r}") from error
        rising = found.probabilities == tuple(sorted(found.probabilities)) and found.scores == tuple(
            sorted(found.scores)
        )
        within = all(0.0 <= value <= 1.0 for value in found.probabilities)
        steps = len(found.scores) == len(found.probabilities) > 0
        if found.method not in ("isotonic", "platt") or (
            found.method == "isotonic" and not (rising and within and steps)
        ):
            raise InvalidError("This is no calibration: its method or its steps are not what a fit gives")
        return found


def fit_isotonic(scores: Sequence[float], correct: Sequence[bool]) -> Calibration:
    """The never falling step function that is closest to what was right.

    Args:
        scores: one per golden case; finite.
        correct: whether the answer was right.

    Raises:
        InvalidError: fewer than `MIN_CASES` cases, or not one score per case.
    """
    _check(scores, correct)
    # Equal scores are one point: a step between them could not be told apart.
    starts, means, weights = list[float](), list[float](), list[int]()
    for score, right in sorted(zip(scores, correct, strict=True)):
        if starts and score == starts[-1] and weights:
            means[-1] = (means[-1] * weights[-1] + right) / (weights[-1] + 1)
            weights[-1] += 1
        else:
            starts.append(score)
            means.append(float(right))
            weights.append(1)
    pooled: list[tuple[float, float, int]] = []
    for start, mean, weight in zip(starts, means, weights, strict=True):
        block = (start, mean, weight)
        while pooled and pooled[-1][1] >= block[1]:
            first, earlier, count = pooled.pop()
            total = count + block[2]
            block = (first, (earlier * count + block[1] * block[2]) / total, total)
        pooled.append(block)
    return Calibration(
        "isotonic", len(scores), tuple(item[0] for item in pooled), tuple(min(item[1], 1.0) for item in pooled)
    )


def fit_platt(scores: Sequence[float], correct: Sequence[bool]) -> Calibration:
    """Platt's sigmoid: for few cases, where steps would follow chance.

    Args:
        scores: one per golden case; finite.
        correct: whether the answer was right.

    Raises:
        InvalidError: fewer than `MIN_CASES` cases, or not one score per case.
    """
    _check(scores, correct)
    right = sum(correct)
    wrong = len(correct) - right
    # As if one more case of each kind had been seen: without it, cases that are all right would give certainty.
    targets = [(right + 1) / (right + 2) if hit else 1 / (wrong + 2) for hit in correct]
    slope, intercept = 0.0, math.log((right + 1) / (wrong + 1))
    for _ in range(NEWTON_STEPS):
        slope_step, intercept_step = _newton_step(scores, targets, slope, intercept)
        slope, intercept = slope - slope_step, intercept - intercept_step
        if abs(slope_step) + abs(intercept_step) < CONVERGED:
            break
    return Calibration("platt", len(scores), slope=slope, intercept=intercept)


def _newton_step(
    scores: Sequence[float], targets: Sequence[float], slope: float, intercept: float
) -> tuple[float, float]:
    by_slope = by_intercept = slope_slope = slope_intercept = intercept_intercept = 0.0
    for score, target in zip(scores, targets, strict=True):
        probability = _sigmoid(slope * score + intercept)
        residual, weight = probability - target, probability * (1.0 - probability)
        by_slope += residual * score
        by_intercept += residual
        slope_slope += weight * score * score
        slope_intercept += weight * score
        intercept_intercept += weight
    slope_slope += RIDGE
    intercept_intercept += RIDGE
    determinant = slope_slope * intercept_intercept - slope_intercept * slope_intercept
    return (
        (intercept_intercept * by_slope - slope_intercept * by_intercept) / determinant,
        (slope_slope * by_intercept - slope_intercept * by_slope) / determinant,
    )


def _check(scores: Sequence[float], correct: Sequence[bool]) -> None:
    if len(scores) != len(correct):
        raise InvalidError(f"{len(scores)} scores and {len(correct)} verdicts do not belong together")
    if len(scores) < MIN_CASES:
        raise InvalidError(f"A calibration needs {MIN_CASES} golden cases at least; there are {len(scores)}")
    if not all(math.isfinite(score) for score in scores):
        raise InvalidError("A score is a finite number")


def _sigmoid(value: float) -> float:
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    power = math.exp(value)
    return power / (1.0 + power)
