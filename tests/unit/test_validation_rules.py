"""Named rules: every broken condition is told, and one that cannot be evaluated is never taken for met."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signoff.capabilities.validation import check
from signoff.catalog.rules import CHECK_OUTPUT_SCHEMA, Condition, Rule
from signoff.core.errors import StepError
from signoff.core.schemas import validate
from signoff.workflows.expressions import CelExpression, ExpressionCompiler
from signoff.workflows.shapes import ANY, Shape, shape_of_schema

INPUT = {
    "type": "object",
    "properties": {
        "cents": {"type": "integer"},
        "order": {"type": "object"},
        "note": {"type": "string"},
    },
    "required": ["cents", "order"],
}


def rule(*conditions: tuple[str, str, Any]) -> Rule:
    whole = shape_of_schema(INPUT)

    def field(name: str) -> Shape:
        return whole.get(name) or ANY

    compiler = ExpressionCompiler({name: partial(field, name) for name in whole.names}, ())
    made: list[Condition] = []
    for number, (name, source, severity) in enumerate(conditions):
        expression = compiler.compile(source)
        assert isinstance(expression, CelExpression), expression
        made.append(Condition(name, expression, severity, f"{name} is broken.", number + 1))
    return Rule("limits", "", INPUT, tuple(made), "rules/limits.yaml")


LIMITS = rule(
    ("positive", "cents > 0", "block"),
    ("within", "cents <= order.refundable_cents", "block"),
    ("small", "cents <= 10000", "review"),
    ("round", "cents % 100 == 0", "warn"),
)


def values(cents: int, refundable: int = 50_000) -> Mapping[str, Any]:
    return {"cents": cents, "order": {"refundable_cents": refundable}}


@pytest.mark.parametrize(
    ("cents", "passed", "review", "broken"),
    [
        (500, True, False, []),
        (501, True, False, ["round"]),
        (20_000, False, True, ["small"]),
        (0, False, False, ["positive"]),
        (60_001, False, True, ["within", "small", "round"]),
    ],
)
def test_all_broken_conditions_are_told(cents: int, passed: bool, review: bool, broken: list[str]) -> None:
    result = check(LIMITS, values(cents))
    assert (result.passed, result.review, [item.id for item in result.broken]) == (passed, review, broken)


def test_only_what_blocks_stops() -> None:
    check(LIMITS, values(20_001)).require()
    with pytest.raises(StepError, match=r"'limits' is broken: within is broken\.") as caught:
        check(LIMITS, values(60_000)).require()
    assert (caught.value.kind, [problem.code for problem in caught.value.problems]) == ("rule", ["within"])


# The first draw can take seconds on a busy machine.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cents=st.integers(-(2**63), 2**63 - 1), refundable=st.integers(-(2**63), 2**63 - 1))
def test_the_result_agrees_with_arithmetic_and_meets_its_schema(cents: int, refundable: int) -> None:
    result = check(LIMITS, values(cents, refundable))
    broken = {item.id for item in result.broken}
    assert ("positive" in broken) is (cents <= 0)
    assert ("within" in broken) is (cents > refundable)
    assert ("small" in broken) is (cents > 10_000)
    assert result.review is ("small" in broken)
    assert validate(CHECK_OUTPUT_SCHEMA, result.as_dict()) == []


@pytest.mark.parametrize("given_values", [{}, {"cents": "5", "order": {}}, {"cents": 1.5, "order": {}}])
def test_values_must_meet_the_rules_schema(given_values: dict[str, Any]) -> None:
    with pytest.raises(StepError) as caught:
        check(LIMITS, given_values)
    assert caught.value.kind == "arguments"
    assert caught.value.problems


def test_a_missing_field_is_an_error_and_not_a_pass() -> None:
    with pytest.raises(StepError) as caught:
        check(LIMITS, {"cents": 5, "order": {}})
    assert caught.value.kind == "rule_error"
    (problem,) = caught.value.problems
    assert (problem.code, problem.file, problem.line) == ("within", "rules/limits.yaml", 2)
    with pytest.raises(StepError, match="'note' is not there"):
        check(rule(("noted", "note != ''", "warn")), values(5))


def test_an_error_is_not_absorbed_by_or() -> None:
    with pytest.raises(StepError):
        check(rule(("either", "cents > 0 || order.refundable_cents > 0", "warn")), {"cents": 5, "order": {}})
