from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.money import NO_USAGE, Cost, Usage

COUNTS = st.integers(0, 10**12)
COSTS = st.builds(Cost, COUNTS)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COSTS)


@given(USAGES, USAGES, USAGES)
def test_usage_adds_up_in_any_order(first: Usage, second: Usage, third: Usage) -> None:
    assert (first + second) + third == first + (second + third)
    assert first + second == second + first
    assert first + NO_USAGE == first


@given(COSTS)
def test_dollars_and_back_is_exact(cost: Cost) -> None:
    assert Cost.from_usd(cost.usd) == cost


@pytest.mark.parametrize(
    ("amount", "micro_usd"),
    [("0.25", 250_000), (Decimal("0.0000005"), 1), (Decimal("0.0000004"), 0), (3, 3_000_000), ("0.1", 100_000)],
)
def test_dollars_are_rounded_half_up_to_a_millionth(amount: Decimal | str | int, micro_usd: int) -> None:
    assert Cost.from_usd(amount).micro_usd == micro_usd


@given(COSTS, COSTS)
def test_costs_compare_as_amounts(first: Cost, second: Cost) -> None:
    assert (first < second) == (first.usd < second.usd)


@given(USAGES)
def test_json_keeps_usage(usage: Usage) -> None:
    assert Usage.from_dict(usage.as_dict()) == usage


def test_a_cost_is_written_with_its_unit() -> None:
    assert str(Cost(250_000)) == "0.250000 USD"
