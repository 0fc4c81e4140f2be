"""Verdicts are remembered by what policies read: never another answer than a policy set that was just made gives."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.core.actors import Actor
from signoff.core.labels import Labels
from signoff.foundation.database import DEFAULT_ORG_ID
from signoff.governance.policy import PolicySet, tool_request
from signoff.governance.policy.parsing import parse_policies
from signoff.governance.policy.reading import arguments_read
from signoff.runtime.handlers import RunFacts

RUN = RunFacts(
    UUID(int=1), DEFAULT_ORG_ID, "test/run", "1.0.0", "r" * 64, "low",
    Actor(DEFAULT_ORG_ID, "user", "ana", frozenset({"agent"})), datetime(2026, 11, 22, tzinfo=UTC),
)  # fmt: skip
HEAD = '@id("{id}") {effect} (principal, action == Action::"tool.call", resource) when {{ {when} }};'


def policy(when: str, effect: str = "permit", name: str = "p") -> str:
    return HEAD.format(id=name, effect=effect, when=when)


def request(arguments: dict[str, Any]) -> Any:
    return tool_request(
        RUN, tool="shop.pay", effect="write", arguments=arguments, labels=Labels(), argument_labels={},
        approvals=(), environment="dev",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("when", "read"),
    [
        ('context.workflow == "w"', set[str]()),
        ("context.arguments.cents > 5", {"cents"}),
        ("context.arguments has secret && context.arguments.a.b == 1", {"secret", "a"}),
        ('context["arguments"]["c d"] == 1', {"c d"}),
        ("[context.arguments.q].contains(2)", {"q"}),
        ("if context.arguments has x then true else false", {"x"}),
        ("context.arguments == {cents: 5}", None),
        ("[context.arguments].contains({cents: 5})", None),
        ("context == {cents: 5}", None),
    ],
)
def test_what_policies_read_of_the_arguments(when: str, read: set[str] | None) -> None:
    found = arguments_read(one.body for one in parse_policies({"p.cedar": policy(when)}))
    assert found == (None if read is None else frozenset(read))


VALUES = st.one_of(st.integers(-3, 3), st.booleans(), st.text(max_size=3), st.none(), st.lists(st.integers(0, 2)))
ARGUMENTS = st.dictionaries(st.sampled_from(["cents", "secret", "order", "__entity", "a"]), VALUES, max_size=4)
POLICIES = [
    policy("context.arguments.cents > 0"),
    policy("context.arguments.cents > 0") + policy("context.arguments has secret", "forbid", "q"),
    policy("true") + policy("!context.skipped.isEmpty()", "forbid", "q"),
    policy('context.arguments == {order: "a"}'),
    policy("true") + policy('context.arguments has a && context.arguments.a == "x"', "forbid", "q"),
]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(POLICIES), st.lists(ARGUMENTS, min_size=1, max_size=12))
def test_a_remembered_verdict_is_the_one_that_would_be_given(text: str, calls: list[dict[str, Any]]) -> None:
    kept = PolicySet.parse({"p.cedar": text})
    for arguments in calls:
        assert kept.decide(request(arguments)) == PolicySet.parse({"p.cedar": text}).decide(request(arguments))


def test_what_nobody_reads_still_counts_for_the_size_of_a_question() -> None:
    kept = PolicySet.parse({"p.cedar": policy("context.arguments has cents")})
    small, large = {"cents": 1, "note": "a"}, {"cents": 1, "note": ["b" * 1000 for _ in range(80)]}
    assert kept.decide(request(small)).permit
    assert kept.decide(request({"cents": 1, "note": "b"})) is kept.decide(request(small))
    assert "larger than" in kept.decide(request(large)).errors[0]


def test_an_error_is_told_of_the_call_that_it_is_about() -> None:
    kept = PolicySet.parse({"p.cedar": policy("context.arguments.cents > 5")})
    first, second = (kept.decide(request({"note": text})) for text in ("a", "b"))
    assert first.errors
    assert second.errors
    assert second is not first
