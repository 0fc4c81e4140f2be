"""How good a confidence is: its calibration error, and the share of work that a threshold lets through how safely.

Expected calibration error over bins of equal width (Guo et al., ICML 2017); the lower bound of a precision is Clopper's
and Pearson's exact one (Biometrika 1934), which holds for few errors as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BINS = 15
"""Bins of a reliability diagram."""
LEVEL = 0.95
"""How sure a lower bound is, one-sided, where nothing else is said."""
HALVINGS = 60
"""Of the interval in which a bound is sought: finer than a double tells apart."""


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar of a reliability diagram.

    Attributes:
        count: answers in it.
        confidence: their mean confidence.
        accuracy: the share of them that was right.
    """

    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Gate:
    """What a threshold lets through.

    Attributes:
        threshold: answers of this confidence or more go on without a person.
        share: of all answers, from 0 to 1.
        precision: how many of those that go on are right.
        lower_bound: what the precision is at least, as sure as was asked.
    """

    threshold: float
    share: float
    precision: float
    lower_bound: float


def reliability(confidences: Sequence[float], correct: Sequence[bool], *, bins: int = BINS) -> list[Bin]:
    """The bars of a reliability diagram, from low to high confidence, without empty ones."""
    sums: list[tuple[int, float, int]] = [(0, 0.0, 0)] * bins
    for confidence, right in zip(confidences, correct, strict=True):
        place = min(int(confidence * bins), bins - 1)
        count, total, hits = sums[place]
        sums[place] = (count + 1, total + confidence, hits + right)
    return [Bin(count, total / count, hits / count) for count, total, hits in sums if count]


def expected_calibration_error(confidences: Sequence[float], correct: Sequence[bool], *, bins: int = BINS) -> float:
    """How far confidence and accuracy are apart, on average over answers; 0 is perfect."""
    bars = reliability(confidences, correct, bins=bins)
    return sum(bar.count * abs(bar.confidence - bar.accuracy) for bar in bars) / len(confidences)


def lower_bound(right: int, count: int, *, level: float = LEVEL) -> float:
    """What the true share is at least, one-sided, where `right` of `count` were right."""
    if right == 0:
        return 0.0
    low, high = 0.0, right / count
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _at_least(right, count, middle) > 1.0 - level:
            high = middle
        else:
            low = middle
    return low


def gate_at(
    confidences: Sequence[float], correct: Sequence[bool], threshold: float, *, level: float = LEVEL
) -> Gate | None:
    """What this threshold lets through of these answers; none where it lets nothing through."""
    passed = [right for confidence, right in zip(confidences, correct, strict=True) if confidence >= threshold]
    if not passed:
        return None
    right = sum(passed)
    bound = lower_bound(right, len(passed), level=level)
    return Gate(threshold, len(passed) / len(confidences), right / len(passed), bound)


def widest_gate(
    confidences: Sequence[float], correct: Sequence[bool], precision: float, *, level: float = LEVEL
) -> Gate | None:
    """The lowest threshold whose precision reaches `precision` by its lower bound; none where no threshold does.

    It is chosen on these answers, so what it promises holds for others: judge it by `gate_at` on answers that had no
    part in the choice.
    """
    ranked = sorted(zip(confidences, correct, strict=True), reverse=True)
    right, best = 0, None
    for number, (confidence, hit) in enumerate(ranked, start=1):
        right += hit
        last_of_its_kind = number == len(ranked) or ranked[number][0] < confidence
        if last_of_its_kind and right >= precision * number and _reaches(right, number, precision, level):
            best = (confidence, right, number)
    if best is None:
        return None
    threshold, right, number = best
    bound = lower_bound(right, number, level=level)
    return Gate(threshold, number / len(ranked), right / number, bound)


def _reaches(right: int, count: int, precision: float, level: float) -> bool:
    return _at_least(right, count, precision) <= 1.0 - level


def _at_least(right: int, count: int, share: float) -> float:
    """The probability of so many right ones or more, if each is right with probability `share`."""
    if share <= 0.0 or share >= 1.0:
        return float(share >= 1.0)
    total = 0.0
    log_share, log_rest = math.log(share), math.log1p(-share)
    for hits in range(count, right - 1, -1):
        ways = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
        total += math.exp(ways + hits * log_share + (count - hits) * log_rest)
    return min(total, 1.0)
