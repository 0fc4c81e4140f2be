"""Calibration documents: `calibrations/*.json` of a project, made from golden cases and pinned by releases.

What is measured is measured on cases that had no part in the fit: each half of the cases is judged by what the other
half gave (two-fold cross-validation); the document's own numbers are then fitted on all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from signoff.capabilities.validation.calibration import Calibration, Method, fit_isotonic, fit_platt
from signoff.capabilities.validation.confidence import ConfidenceRule, RuleKind, fit_logistic
from signoff.capabilities.validation.precision import (
    Bin,
    expected_calibration_error,
    gate_at,
    reliability,
    widest_gate,
)
from signoff.core.errors import InvalidError
from signoff.core.ids import digest
from signoff.core.schemas import Validator

MAX_CASES = 100_000
"""Golden cases of one document."""
PRECISIONS = (0.95, 0.98, 0.99)
"""For which a threshold is proposed."""

_SIGNALS = {"type": "object", "minProperties": 1, "additionalProperties": {"type": "number"}}
_CASE = Validator(
    {
        "type": "object",
        "required": ["signals", "correct"],
        "properties": {"signals": _SIGNALS, "correct": {"type": "boolean"}},
    }
)


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """The signals of one answer, and whether a person found it right."""

    signals: Mapping[str, float]
    correct: bool


@dataclass(frozen=True, slots=True)
class CalibrationDocument:
    """How signals become a probability of being right.

    Attributes:
        prompt: the name of the prompt that it was made for.
        prompt_version: which version of it: another asks otherwise, and is as sure for other reasons.
        rule: joins the signals to a score.
        calibration: makes a probability of the score.
        measured: what was found on cases that had no part in the fit; for people, no part of the version.
    """

    prompt: str
    prompt_version: str
    rule: ConfidenceRule
    calibration: Calibration
    measured: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def version(self) -> str:
        """SHA-256 over the rule and the calibration, hexadecimal; journaled with every confidence."""
        parts = {"rule": self.rule.as_dict(), "calibration": self.calibration.as_dict()}
        return digest(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS))

    def probability(self, signals: Mapping[str, float]) -> float:
        """How likely an answer with these signals is right, from 0 to 1.

        Raises:
            InvalidError: a signal is missing, or is no number from 0 to 1.
        """
        return self.calibration.probability(self.rule.score(signals))

    def as_json(self) -> bytes:
        """The file."""
        found = {
            "prompt": self.prompt,
            "prompt_version": self.prompt_version,
            "version": self.version,
            "rule": self.rule.as_dict(),
            "calibration": self.calibration.as_dict(),
            "measured": dict(self.measured),
        }
        return orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


@lru_cache(maxsize=256)
def read_document(content: bytes) -> CalibrationDocument:
    """The document in a file.

    Raises:
        InvalidError: it is none, or its numbers are not those that its version was made of.
    """
    try:
        data = orjson.loads(content)
        given = data["rule"]
        rule = ConfidenceRule(
            given["kind"],
            tuple(given["signals"]),
            {str(name): float(weight) for name, weight in given.get("weights", {}).items()},
            float(given.get("intercept", 0.0)),
        )
        calibration = Calibration.from_dict(data["calibration"])
        found = CalibrationDocument(data["prompt"], data["prompt_version"], rule, calibration, data["measured"])
        version = data["version"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidError(f"This is no calibration document: {error!r}") from error
    if version != found.version:
        raise InvalidError("The calibration was edited: make it again with 'signoff confidence fit'")
    return found


def read_cases(lines: bytes) -> list[GoldenCase]:
    """Golden cases from JSON lines `{"signals": {"own": 0.9, …}, "correct": true}`; empty lines are passed over.

    Raises:
        InvalidError: a line is something else (says which), or there are more than `MAX_CASES`.
    """
    found: list[GoldenCase] = []
    for number, line in enumerate(lines.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            data: Any = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InvalidError(f"Line {number} is no golden case: it is no JSON: {error}") from None
        broken = _CASE.problems(data)
        if broken:
            raise InvalidError(f"Line {number} is no golden case: {broken[0].detail}", problems=broken)
        found.append(GoldenCase({name: float(value) for name, value in data["signals"].items()}, data["correct"]))
        if len(found) > MAX_CASES:
            raise InvalidError(f"There are more than {MAX_CASES} golden cases")
    return found


def fit_document(
    prompt: str,
    kind: RuleKind,
    signals: Sequence[str],
    cases: Sequence[GoldenCase],
    method: Method = "isotonic",
    *,
    prompt_version: str,
) -> tuple[CalibrationDocument, list[Bin], list[Bin]]:
    """A document fitted on all cases, and the reliability of what was said before and after, on held-out halves.

    Raises:
        InvalidError: too few cases for a fit on a half, or a case without one of the signals.
    """
    rows = [{name: _signal(case, name, place) for name in signals} for place, case in enumerate(cases, start=1)]
    correct = [case.correct for case in cases]
    raw, after = [0.0] * len(rows), [0.0] * len(rows)
    for half in (0, 1):
        rule, calibration = _fit(kind, signals, rows[1 - half :: 2], correct[1 - half :: 2], method)
        for place in range(half, len(rows), 2):
            raw[place] = rule.score(rows[place])
            after[place] = calibration.probability(raw[place])
    rule, calibration = _fit(kind, signals, rows, correct, method)
    measured: dict[str, Any] = {
        "cases": len(rows),
        "accuracy": round(sum(correct) / len(correct), 4),
        "ece_before": round(expected_calibration_error(raw, correct), 4),
        "ece_after": round(expected_calibration_error(after, correct), 4),
        "gates": _gates(after, correct),
    }
    document = CalibrationDocument(prompt, prompt_version, rule, calibration, measured)
    return document, reliability(raw, correct), reliability(after, correct)


def _gates(confidences: Sequence[float], correct: Sequence[bool]) -> dict[str, Any]:
    """For each precision a threshold chosen on one half, with what it lets through of the other."""
    found: dict[str, Any] = {}
    for precision in PRECISIONS:
        chosen = widest_gate(confidences[0::2], correct[0::2], precision)
        tried = gate_at(confidences[1::2], correct[1::2], chosen.threshold) if chosen else None
        if chosen and tried:
            found[f"{precision:g}"] = {
                "threshold": round(chosen.threshold, 4),
                "share": round(tried.share, 4),
                "precision": round(tried.precision, 4),
                "lower_bound": round(tried.lower_bound, 4),
            }
    return found


def _fit(
    kind: RuleKind,
    signals: Sequence[str],
    rows: Sequence[Mapping[str, float]],
    correct: Sequence[bool],
    method: Method,
) -> tuple[ConfidenceRule, Calibration]:
    rule = fit_logistic(rows, correct) if kind == "logistic" else ConfidenceRule(kind, tuple(signals))
    scores = [rule.score(row) for row in rows]
    return rule, (fit_isotonic if method == "isotonic" else fit_platt)(scores, correct)


def _signal(case: GoldenCase, name: str, number: int) -> float:
    value = case.signals.get(name)
    if value is None:
        raise InvalidError(f"Golden case {number} has no signal '{name}'; it has: {', '.join(case.signals)}")
    return value
