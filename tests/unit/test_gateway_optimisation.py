"""Optimisation against brute force on small problems, and what it says where there is no best solution."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.kind_cases import request

from signoff.capabilities.gateway import ProviderError
from signoff.capabilities.gateway.providers.computing import Patience
from signoff.capabilities.gateway.providers.optimisation import Highs
from signoff.catalog.models import ModelSpec
from signoff.core.schemas import validate
from signoff.workflows.kinds import MODEL_KINDS

CONTRACT = MODEL_KINDS["optimise"]
SENSES = st.sampled_from(["minimise", "maximise"])
NUMBERS = st.integers(-20, 20)


def solved(problem: dict[str, Any], **limits: int) -> dict[str, Any]:
    assert not validate(CONTRACT.input_schema, problem)
    found = dict(Highs(ModelSpec("m", "highs", limits)).answer(problem, Patience(60.0)))
    assert not validate(CONTRACT.output_schema, found)
    return found


@settings(max_examples=60, deadline=None)
@given(SENSES, st.lists(st.lists(st.none() | NUMBERS, min_size=3, max_size=3), min_size=1, max_size=4))
def test_no_assignment_is_better(sense: str, weights: list[list[int | None]]) -> None:
    found = solved({"assignment": {"sense": sense, "weights": weights}})
    size = min(len(weights), 3)
    totals: list[int] = []
    for rows in itertools.combinations(range(len(weights)), size):
        for columns in itertools.permutations(range(3), size):
            chosen = [weights[row][column] for row, column in zip(rows, columns, strict=True)]
            totals += [sum(each for each in chosen if each is not None)] if None not in chosen else []
    if not totals:
        assert found["status"] == "infeasible"
        return
    assert found["objective"] == (max(totals) if sense == "maximise" else min(totals))
    pairs: list[tuple[int, int]] = [(pair["row"], pair["column"]) for pair in found["pairs"]]
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == size
    assert sum(weights[row][column] or 0 for row, column in pairs) == found["objective"]


ITEMS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 12), st.integers(1, 2)), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), ITEMS)
def test_no_knapsack_is_worth_more(capacity: int, items: Sequence[tuple[int, int, int]]) -> None:
    listed = [{"value": value, "size": size, "at_most": most} for value, size, most in items]
    found = solved({"knapsack": {"capacity": capacity, "items": listed}})
    best = 0
    for counts in itertools.product(*(range(most + 1) for _, _, most in items)):
        if sum(count * item[1] for count, item in zip(counts, items, strict=True)) <= capacity:
            best = max(best, sum(count * item[0] for count, item in zip(counts, items, strict=True)))
    assert (found["status"], found["objective"]) == ("optimal", best)
    chosen: list[tuple[int, int]] = [(each["index"], each["count"]) for each in found["chosen"]]
    assert sum(items[index][1] * count for index, count in chosen) <= capacity


@settings(max_examples=60, deadline=None)
@given(SENSES, st.lists(NUMBERS, min_size=3, max_size=3), st.lists(st.tuples(*[NUMBERS] * 5), max_size=3))
def test_no_whole_solution_of_a_linear_problem_is_better(
    sense: str, weights: list[int], rows: list[tuple[int, int, int, int, int]]
) -> None:
    names = ("a", "b", "c")
    found = solved(
        {
            "linear": {
                "sense": sense,
                "variables": [
                    {"name": name, "weight": weight, "low": -2, "high": 3, "whole": True}
                    for name, weight in zip(names, weights, strict=True)
                ],
                "constraints": [
                    {
                        "terms": [{"variable": n, "factor": f} for n, f in zip(names, row, strict=False)],
                        "low": row[3],
                        "high": row[4],
                    }
                    for row in rows
                ],
            }
        }
    )
    allowed = [
        point
        for point in itertools.product(range(-2, 4), repeat=3)
        if all(row[3] <= sum(f * x for f, x in zip(row, point, strict=False)) <= row[4] for row in rows)
    ]
    if not allowed:
        assert found["status"] == "infeasible"
        return
    totals = [sum(w * x for w, x in zip(weights, point, strict=True)) for point in allowed]
    assert (found["status"], found["objective"]) == ("optimal", max(totals) if sense == "maximise" else min(totals))
    assert found["bound"] == found["objective"]
    assert tuple(each["value"] for each in found["variables"]) in {tuple(map(float, point)) for point in allowed}


def test_without_an_end_it_is_unbounded() -> None:
    found = solved({"linear": {"sense": "maximise", "variables": [{"name": "x", "weight": 1.5}]}})
    assert (found["status"], found["objective"], found["variables"]) == ("unbounded", None, [])


def hard(size: int) -> dict[str, Any]:
    """A problem that keeps a solver busy: many knapsacks at once, with factors that no rule cuts short."""
    variables = [{"name": f"x{n}", "weight": 100 + n * 37 % 101, "high": 1, "whole": True} for n in range(size)]
    constraints = [
        {
            "terms": [{"variable": f"x{n}", "factor": 1 + (n * 7919 + row * 104729) % 97} for n in range(size)],
            "high": 12 * size,
        }
        for row in range(size // 2)
    ]
    return {"linear": {"sense": "maximise", "variables": variables, "constraints": constraints}}


def test_what_was_found_in_time_is_feasible_and_no_better_than_its_bound() -> None:
    found = solved(hard(120), max_solve_s=2)
    assert found["status"] == "feasible"
    assert 0 <= found["objective"] < found["bound"]


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        ({"assignment": {"sense": "minimise", "weights": [[1, 2], [1]]}}, "different lengths"),
        ({"assignment": {"sense": "minimise", "weights": [[1] * 4] * 3}}, "'max_variables' allows 10"),
        ({"knapsack": {"capacity": 1, "items": [{"value": 1, "size": 1}] * 11}}, "'max_variables' allows 10"),
        (
            {"linear": {"sense": "minimise", "variables": [{"name": "x", "weight": 1}, {"name": "x", "weight": 2}]}},
            "same name",
        ),
        (
            {
                "linear": {
                    "sense": "minimise",
                    "variables": [{"name": "x", "weight": 1}],
                    "constraints": [{"terms": [{"variable": "y", "factor": 1}]}],
                }
            },
            "variable that there is not",
        ),
    ],
)
def test_a_problem_that_makes_no_sense_is_rejected(problem: dict[str, Any], told: str) -> None:
    with pytest.raises(ProviderError, match=told) as caught:
        solved(problem, max_variables=10)
    assert caught.value.kind == "rejected"


@pytest.mark.parametrize("problem", [{}, {"assignment": {"sense": "minimise", "weights": [[1]]}, "knapsack": {}}])
def test_a_step_gives_exactly_one_problem(problem: dict[str, Any]) -> None:
    assert validate(CONTRACT.input_schema, problem)


async def test_its_answer_is_json() -> None:
    problem = {"knapsack": {"capacity": 1, "items": [{"value": 1, "size": 1}]}}
    reply = await Highs(ModelSpec("m", "highs")).complete(request("optimise", **problem))
    assert json.loads(reply.text)["chosen"] == [{"index": 0, "count": 1}]
