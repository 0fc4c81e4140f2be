"""One confidence from several signals, by a declared rule.

A signal is a number from 0 to 1 that says how much speaks for an answer: the model's own confidence, the agreement of
a second answer, the share of rules that hold, how much of what is claimed was retrieved. Which rule joins them is
declared and versioned with the calibration, never chosen at run time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from signoff.core.errors import InvalidError

from .calibration import CONVERGED, MIN_CASES, NEWTON_STEPS

RuleKind = Literal["minimum", "product", "mean", "logistic"]

EDGE = 1e-4
"""Signals count as no nearer to 0 or 1 than this in log-odds: a model that says 1.0 knows no better than 0.9999."""
RIDGE = 0.01
"""Strength of L2 on the weights of standardised signals: what says the same twice shares its weight."""


@dataclass(frozen=True, slots=True)
class ConfidenceRule:
    """How signals become one score; calibrate the score before a threshold is put on it.

    Attributes:
        kind: `minimum` (every signal may veto), `product` (independent doubts add up), `mean`, or `logistic` (weights
            learnt from golden cases).
        signals: the names of the signals, all of which must be there.
        weights: of a logistic rule: by name, of the signal's log-odds.
        intercept: of a logistic rule.
    """

    kind: RuleKind
    signals: tuple[str, ...]
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    intercept: float = 0.0

    def score(self, signals: Mapping[str, float]) -> float:
        """One score from 0 to 1.

        Raises:
            InvalidError: a signal is missing, or is no number from 0 to 1.
        """
        values = [_signal(signals, name) for name in self.signals]
        if self.kind == "minimum":
            return min(values)
        if self.kind == "product":
            return math.prod(values)
        if self.kind == "mean":
            return math.fsum(values) / len(values)
        weighted = (self.weights[name] * _log_odds(value) for name, value in zip(self.signals, values, strict=True))
        return 1.0 / (1.0 + math.exp(-(self.intercept + math.fsum(weighted))))

    def as_dict(self) -> dict[str, Any]:
        """The rule for JSON."""
        result: dict[str, Any] = {"kind": self.kind, "signals": list(self.signals)}
        if self.kind == "logistic":
            result |= {"weights": dict(self.weights), "intercept": self.intercept}
        return result


def fit_logistic(rows: Sequence[Mapping[str, float]], correct: Sequence[bool]) -> ConfidenceRule:
    """Weights of the signals' log-odds by logistic regression on golden cases.

    Args:
        rows: the signals of each case; all have the same names.
        correct: whether the answer was right.

    Raises:
        InvalidError: fewer than `MIN_CASES` cases, other names in between, or a signal that is no number from 0 to 1.
    """
    import numpy as np  # noqa: PLC0415  (only where a rule is fitted)

    if len(rows) < MIN_CASES or len(rows) != len(correct):
        raise InvalidError(f"A rule needs {MIN_CASES} golden cases at least, each with its verdict")
    names = tuple(rows[0])
    if any(set(row) != set(names) for row in rows):
        raise InvalidError("All golden cases have the same signals")
    features = np.array([[_log_odds(_signal(row, name)) for name in names] for row in rows])
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread[spread == 0.0] = 1.0
    design = np.hstack([(features - mean) / spread, np.ones((len(rows), 1))])
    targets = np.array(correct, dtype=np.float64)
    penalty = np.diag([RIDGE] * len(names) + [RIDGE * CONVERGED])
    solution = np.zeros(len(names) + 1)
    for _ in range(NEWTON_STEPS):
        probabilities = 1.0 / (1.0 + np.exp(-np.clip(design @ solution, -30.0, 30.0)))
        gradient = design.T @ (probabilities - targets) / len(rows) + penalty @ solution
        hessian = (design.T * (probabilities * (1.0 - probabilities))) @ design / len(rows) + penalty
        step = np.linalg.solve(hessian + CONVERGED * np.eye(len(solution)), gradient)
        solution -= step
        if float(np.abs(step).sum()) < CONVERGED:
            break
    weights = solution[:-1] / spread
    intercept = float(solution[-1] - (weights * mean).sum())
    return ConfidenceRule(
        "logistic", names, {name: float(weight) for name, weight in zip(names, weights, strict=True)}, intercept
    )


def _signal(signals: Mapping[str, float], name: str) -> float:
    value = signals.get(name)
    if value is None or not 0.0 <= value <= 1.0:
        raise InvalidError(f"The signal '{name}' must be there and be a number from 0 to 1")
    return float(value)


def _log_odds(value: float) -> float:
    bounded = min(max(value, EDGE), 1.0 - EDGE)
    return math.log(bounded / (1.0 - bounded))
