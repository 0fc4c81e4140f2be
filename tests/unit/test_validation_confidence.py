"""Calibration, joined signals and gates: what they promise holds, and what they are given is checked."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.capabilities.validation.calibration import Calibration, fit_isotonic, fit_platt
from signoff.capabilities.validation.confidence import ConfidenceRule, fit_logistic
from signoff.capabilities.validation.precision import (
    expected_calibration_error,
    gate_at,
    lower_bound,
    reliability,
    widest_gate,
)
from signoff.core.errors import InvalidError

CASES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=20, max_size=120)


def overconfident(count: int, seed: int) -> tuple[list[float], list[bool]]:
    """Answers whose confidence is far above how often they are right."""
    chance = random.Random(seed)
    scores = [chance.random() for _ in range(count)]
    return scores, [chance.random() < score**3 for score in scores]


@given(CASES)
def test_isotonic_probabilities_never_fall_and_keep_the_mean(cases: list[tuple[float, bool]]) -> None:
    scores, correct = [case[0] for case in cases], [case[1] for case in cases]
    fitted = fit_isotonic(scores, correct)
    found = [fitted.probability(score) for score in sorted(scores)]
    assert found == sorted(found)
    assert math.isclose(sum(found), sum(correct), abs_tol=1e-6)


@given(CASES)
def test_a_calibration_survives_json(cases: list[tuple[float, bool]]) -> None:
    scores, correct = [case[0] for case in cases], [case[1] for case in cases]
    for fitted in (fit_isotonic(scores, correct), fit_platt(scores, correct)):
        again = Calibration.from_dict(fitted.as_dict())
        assert (again, again.version) == (fitted, fitted.version)


@pytest.mark.parametrize("fit", [fit_isotonic, fit_platt])
def test_calibration_takes_overconfidence_away_on_other_answers(fit: type) -> None:
    fitted = fit(*overconfident(2000, seed=1))
    scores, correct = overconfident(2000, seed=2)
    before = expected_calibration_error(scores, correct)
    after = expected_calibration_error([fitted.probability(score) for score in scores], correct)
    assert before > 0.2
    assert after < 0.05


def test_answers_that_were_all_right_give_no_certainty_by_platt() -> None:
    assert fit_platt([0.9] * 20, [True] * 20).probability(0.9) < 0.99


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"method": "guess", "cases": 30},
        {"method": "isotonic", "cases": 30, "scores": [0.1, 0.2], "probabilities": [0.9, 0.1]},
        {"method": "isotonic", "cases": 30, "scores": [0.2, 0.1], "probabilities": [0.1, 0.9]},
        {"method": "isotonic", "cases": 30, "scores": [0.1], "probabilities": [1.5]},
        {"method": "isotonic", "cases": 30, "scores": [], "probabilities": []},
        {"method": "platt", "cases": 30, "slope": "steep"},
    ],
)
def test_what_no_fit_gives_is_no_calibration(document: dict[str, object]) -> None:
    with pytest.raises(InvalidError, match="no calibration"):
        Calibration.from_dict(document)


@pytest.mark.parametrize("fit", [fit_isotonic, fit_platt])
def test_too_few_cases_or_other_counts_are_refused(fit: type) -> None:
    with pytest.raises(InvalidError, match="at least"):
        fit([0.5] * 19, [True] * 19)
    with pytest.raises(InvalidError, match="belong together"):
        fit([0.5] * 30, [True] * 29)
    with pytest.raises(InvalidError, match="finite"):
        fit([math.nan] * 30, [True] * 30)


def test_the_lower_bound_is_clopper_and_pearsons() -> None:
    assert math.isclose(lower_bound(299, 299), 0.05 ** (1 / 299), rel_tol=1e-9)
    assert math.isclose(lower_bound(95, 100), 0.897747, abs_tol=1e-6)  # R: binom.test(95, 100, alternative = "greater")
    assert lower_bound(0, 10) == 0.0


def test_a_gate_is_the_widest_that_reaches_its_precision() -> None:
    scores, correct = overconfident(4000, seed=3)
    gate = widest_gate(scores, correct, 0.9)
    assert gate is not None
    assert gate.lower_bound >= 0.9
    assert gate == gate_at(scores, correct, gate.threshold)
    wider = [score for score in scores if score < gate.threshold]
    assert all((found := gate_at(scores, correct, score)) and found.lower_bound < 0.9 for score in wider[:50])


def test_no_gate_where_none_can_be_sure() -> None:
    assert widest_gate([0.9] * 20, [True] * 20, 0.99) is None
    assert gate_at([0.1], [True], 0.5) is None


def test_a_reliability_diagram_has_every_answer_once() -> None:
    scores, correct = [0.0, 0.5, 1.0, 0.51], [False, True, True, False]
    bars = reliability(scores, correct, bins=2)
    assert [(bar.count, bar.accuracy) for bar in bars] == [(1, 0.0), (3, 2 / 3)]


@pytest.mark.parametrize(("kind", "score"), [("minimum", 0.5), ("product", 0.4), ("mean", 0.65)])
def test_rules_join_signals(kind: str, score: float) -> None:
    rule = ConfidenceRule(kind, ("own", "agreement"))  # pyright: ignore[reportArgumentType]
    assert math.isclose(rule.score({"own": 0.8, "agreement": 0.5, "other": 0.1}), score)


@pytest.mark.parametrize("signals", [{"own": 0.8}, {"own": 0.8, "agreement": 1.2}, {"own": math.nan, "agreement": 1.0}])
def test_a_signal_that_is_missing_or_no_share_is_refused(signals: dict[str, float]) -> None:
    with pytest.raises(InvalidError, match="must be there"):
        ConfidenceRule("minimum", ("own", "agreement")).score(signals)


def test_a_learnt_rule_listens_to_the_signal_that_tells() -> None:
    chance = random.Random(4)
    rows = [{"tells": chance.random(), "noise": chance.random()} for _ in range(1000)]
    correct = [chance.random() < row["tells"] for row in rows]
    rule = fit_logistic(rows, correct)
    assert abs(rule.weights["noise"]) < 0.2 * rule.weights["tells"]
    assert rule.score({"tells": 0.9, "noise": 0.5}) > 0.8
    assert rule.score({"tells": 0.1, "noise": 0.5}) < 0.2
