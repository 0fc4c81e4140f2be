"""Problems of policy files: each with its place and what to do."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signoff.core.errors import DefinitionError, Problem
from signoff.governance.policy import PolicySet

FINE = '@id("fine") permit(principal, action, resource);\n'


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as caught:
        PolicySet.parse({"p.cedar": text})
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "line", "column", "detail"),
    [
        (FINE + '@id("b")\npermit(principal, action resource);', 3, 26, "unexpected token `resource`"),
        (FINE + '@id("b") permit(principal,\n  action, resource) when { context.x + };', 3, 40, "unexpected token `}`"),
        (FINE + '  @id("b") permit(principal, action, resource)', 2, 47, "unexpected end of input"),
        ('// ; "\n@id("b") permit(principal, action, resource) unles { true };', 2, 46, "invalid policy condition"),
        ('@id("b") permit(principal, action, resource) when { foo(1) };', 1, 53, "`foo` is not a valid function"),
        ('@id("b") permit(principal, action, resource) when { "a;b" == 1.5 };', 1, 64, "unexpected token `5`"),
        (FINE + '@id("b") permit(principal, action, resource) when { "open };', 2, 53, "invalid token"),
        ("permit(principal, action, resource);", 1, 1, "has no id"),
        (FINE + FINE, 2, 1, "is taken: p.cedar, line 1"),
        ('@id("b") permit(principal == ?principal, action, resource);', 1, 1, "Templates"),
        ('@id("b") permit(principal, action == Action::"tool.cal", resource);', 1, 46, "no action 'tool.cal'"),
        ('@id("b") permit(principal is Usr, action, resource);', 1, 30, "no entity type 'Usr'"),
        ('@id("b") @redact("pii") forbid(principal, action, resource);', 1, 10, "only a permit can carry"),
        ('@id("b") @redact("pi") permit(principal, action, resource);', 1, 10, "no kind of personal data"),
        ('@id("b") @filter("in: secret") permit(principal, action, resource);', 1, 10, "no filter 'secret'"),
        ('@id("b") @filter("secrets") permit(principal, action, resource);', 1, 10, "is written as"),
        ('@id("b") @retain("soon") permit(principal, action, resource);', 1, 10, "not a duration"),
        ('@id("b") @review permit(principal, action, resource);', 1, 10, "says nothing"),
    ],
)
def test_a_problem_has_its_place(text: str, line: int, column: int, detail: str) -> None:
    (problem,) = problems(text)
    assert detail in problem.detail
    assert (problem.file, problem.line, problem.column) == ("p.cedar", line, column)


def test_all_problems_are_found_in_all_files() -> None:
    with pytest.raises(DefinitionError) as caught:
        PolicySet.parse({"b.cedar": "permit(;", "a.cedar": 'permit(principal, action, resource);@id("x") nonsense;'})
    assert [problem.file for problem in caught.value.problems] == ["a.cedar", "a.cedar", "b.cedar"]


def test_a_misspelt_action_gets_a_suggestion() -> None:
    (problem,) = problems('@id("b") forbid(principal, action == Action::"model.cal", resource);')
    assert problem.suggestion == "Did you mean 'model.call'?"


def test_comments_and_strings_with_semicolons_do_not_split() -> None:
    policies = PolicySet.parse(
        {"p.cedar": '// a; b "c\n@id("a;\\"b") permit(principal, action, resource) // ;\n when { "x;" == ";" };'}
    )
    assert [policy.id for policy in policies.parsed] == ['a;"b']


def test_empty_files_are_fine() -> None:
    assert PolicySet.parse({"p.cedar": "", "q.cedar": "// only words\n"}).parsed == ()


@pytest.mark.parametrize(
    "condition",
    [
        "(" * 100_000 + "true" + ")" * 100_000,
        "true" + " && true" * 100_000,
        "true" + " && true" * 900,
        "true" + " && true" * 400,
        "[" * 50_000 + "1",
        "if true then " * 5_000 + "true" + " else true" * 5_000,
        "context" + ".a" * 100_000,
        "context" + ".a" * 900,
        "{a:" * 50_000,
        "!" * 100_000 + "true",
    ],
    ids=lambda condition: condition[:20],
)
def test_no_text_overflows_the_parsers_stack(condition: str) -> None:
    (problem,) = problems(f'@id("deep") permit(principal, action, resource) when {{ {condition} }};')
    assert problem.line == 1


words = (
    st.sampled_from(
        [
            *'@(){}[];,.=!<>?"\\/-+*|&',
            *[
                "principal",
                "action",
                "resource",
                "when",
                "unless",
                "context",
                "has",
                "like",
                "is",
                "in",
                "if",
                "then",
                "else",
            ],
        ]
    )
    | st.sampled_from(
        [
            "==",
            "&&",
            "//",
            '@id("x")',
            "permit",
            "forbid",
            "(principal, action, resource)",
            'Action::"tool.call"',
            "true",
        ]
    )
    | st.sampled_from(['Role::"lead"', '"text"', "1", "9223372036854775808", "?principal", "\n", "\ud800"])
)


# The first draw can take seconds on a busy machine.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(parts=st.lists(words, max_size=40), between=st.sampled_from(["", " "]))
def test_any_text_is_a_policy_set_or_a_definition_error(parts: list[str], between: str) -> None:
    text = FINE + between.join(parts)
    try:
        PolicySet.parse({"p.cedar": text})
    except DefinitionError as error:
        lines = text.split("\n")
        for problem in error.problems:
            assert problem.line is not None
            assert problem.column is not None
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1


def test_the_number_of_policies_and_their_size_are_bounded() -> None:
    assert problems(";" * 5_000)[-1].detail == "There are more than 1000 policies."
    assert "characters" in problems("/" * 1_000_001)[0].detail
