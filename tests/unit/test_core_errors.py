from __future__ import annotations

import json

import pytest

from signoff.core.errors import (
    ConflictError,
    DefinitionError,
    ForbiddenError,
    InvalidError,
    LimitError,
    NonDeterminismError,
    NotFoundError,
    Problem,
    SignoffError,
    StepError,
    UnauthenticatedError,
    UnavailableError,
    closest,
    did_you_mean,
)

STATUSES = {
    InvalidError: 422,
    DefinitionError: 422,
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    NonDeterminismError: 409,
    LimitError: 429,
    UnavailableError: 503,
}


@pytest.mark.parametrize(("kind", "status"), STATUSES.items())
def test_each_kind_is_a_problem_detail_with_its_status(kind: type[SignoffError], status: int) -> None:
    body = kind("It did not work", run_id="7").as_problem_details()
    assert body == {
        "type": f"https://signoff.invalid/problems/{kind.code}",
        "title": kind.title,
        "status": status,
        "detail": "It did not work",
        "run_id": "7",
    }
    json.dumps(body)


def test_kinds_have_codes_of_their_own() -> None:
    assert len({kind.code for kind in STATUSES}) == len(STATUSES)


def test_problems_carry_only_what_is_known() -> None:
    error = InvalidError("Bad", problems=[Problem("is no number", pointer="/cents"), Problem("is missing")])
    assert error.as_problem_details()["errors"] == [
        {"code": "invalid", "detail": "is no number", "pointer": "/cents"},
        {"code": "invalid", "detail": "is missing"},
    ]


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("is wrong"), "is wrong"),
        (Problem("is wrong", file="a.yaml"), "a.yaml: is wrong"),
        (Problem("is wrong", file="a.yaml", line=3, column=5, pointer="/x"), "a.yaml:3:5: is wrong"),
        (Problem("is wrong", pointer="/x"), "is wrong (at /x)"),
        (Problem("is wrong", suggestion="Did you mean 'b'?"), "is wrong Did you mean 'b'?"),
    ],
)
def test_a_problem_reads_as_a_sentence_with_its_place(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_a_definition_error_shows_every_problem() -> None:
    error = DefinitionError("2 problems", problems=[Problem("one"), Problem("two")])
    assert str(error) == "2 problems\n  one\n  two"


def test_a_step_error_says_what_a_retry_may_do() -> None:
    error = StepError("no answer", kind="timeout", retryable=True, outcome_unknown=True, retry_after_s=2)
    assert (error.kind, error.retryable, error.outcome_unknown, error.retry_after_s) == ("timeout", True, True, 2)


def test_misspelt_words_get_a_suggestion() -> None:
    assert did_you_mean("triag", ["triage", "facts"]) == "Did you mean 'triage'?"
    assert closest("zzz", ["triage", "facts"]) is None
    assert did_you_mean("zzz", []) is None
