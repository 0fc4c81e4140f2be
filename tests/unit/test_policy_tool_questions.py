"""The answer to a tool call's question is remembered by what policies can see of it: never another one is given."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.core.actors import Actor
from signoff.core.labels import DataClass, Labels, Trust
from signoff.foundation.database import DEFAULT_ORG_ID
from signoff.governance.policy import PolicySet
from signoff.governance.policy.engine import MAX_REQUEST_BYTES
from signoff.governance.policy.tool_questions import ToolQuestion
from signoff.runtime.handlers import Approval, RunFacts

ANA = Actor(DEFAULT_ORG_ID, "user", "ana", frozenset({"agent"}))
RUN = RunFacts(
    UUID(int=1), DEFAULT_ORG_ID, "test/run", "1.0.0", "r" * 64, "low", ANA, datetime(2026, 11, 22, tzinfo=UTC)
)
ASKED = ToolQuestion(RUN, "shop.pay", "write", {"cents": 5, "note": "a"}, Labels(), {}, (), "dev")
HIGH = Labels(DataClass.REGULATED, Trust.UNTRUSTED, frozenset({"eu"}))
HEAD = '@id("{id}") {effect} (principal{of}, action == Action::"tool.call", resource) when {{ {when} }};'


def policy(when: str, effect: str = "permit", name: str = "p", of: str = "") -> str:
    return HEAD.format(id=name, effect=effect, when=when, of=of)


def fresh(text: str, question: ToolQuestion) -> Any:
    return PolicySet.parse({"p.cedar": text}).decide(question.request())


def told_apart(question: ToolQuestion) -> tuple[Any, ...]:
    told = question.told_apart(frozenset({"cents"}))
    assert told is not None
    return told[0]


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, run=replace(RUN, started_by=replace(ANA, id="bob"))),
        replace(ASKED, run=replace(RUN, started_by=replace(ANA, kind="key"))),
        replace(ASKED, run=replace(RUN, started_by=replace(ANA, roles=frozenset({"lead"})))),
        replace(ASKED, run=replace(RUN, workflow="test/other")),
        replace(ASKED, run=replace(RUN, version="2.0.0")),
        replace(ASKED, run=replace(RUN, risk="high")),
        replace(ASKED, tool="shop.refund"),
        replace(ASKED, effect="none"),
        replace(ASKED, environment="prod"),
        replace(ASKED, labels=Labels(DataClass.INTERNAL)),
        replace(ASKED, labels=Labels(trust=Trust.CONFINED)),
        replace(ASKED, labels=Labels(residency=frozenset({"eu"}))),
        replace(ASKED, argument_labels={"note": Labels(DataClass.INTERNAL)}),
        replace(ASKED, argument_labels={"cents": Labels(trust=Trust.CONFINED)}),
        replace(ASKED, arguments={"cents": 6, "note": "a"}),
        replace(ASKED, arguments={"cents": True, "note": "a"}),
        replace(ASKED, arguments={"cents": "5", "note": "a"}),
        replace(ASKED, arguments={"cents": 5}),
        replace(ASKED, arguments={"cents": 5, "note": "a", "more": "b"}),
        replace(ASKED, arguments={"cents": 5, "other": "a"}),
    ],
)
def test_whatever_a_policy_sees_makes_it_another_question(other: ToolQuestion) -> None:
    assert told_apart(other) != told_apart(ASKED)
    assert other.request() != ASKED.request()


@pytest.mark.parametrize(
    "same",
    [
        replace(ASKED, arguments={"cents": 5, "note": "b" * 1024}),
        replace(ASKED, arguments={"cents": 5, "note": 7}),
        replace(ASKED, labels=Labels(sources=frozenset({"step:x"}))),
        replace(ASKED, run=replace(RUN, run_id=UUID(int=2), started_at=datetime(2026, 11, 23, tzinfo=UTC))),
    ],
)
def test_what_no_policy_sees_does_not(same: ToolQuestion) -> None:
    assert told_apart(same) == told_apart(ASKED)


@pytest.mark.parametrize(
    "odd",
    [1.5, None, ["a"], {"b": 1}, "b" * 1025, "ü", "\ud800", 1 << 63, -(1 << 63) - 1],
)
def test_what_cedar_may_not_be_able_to_see_is_told_apart_by_the_whole_request(odd: Any) -> None:
    assert replace(ASKED, arguments={"cents": 5, "note": odd}).told_apart(frozenset({"cents"})) is None


def test_so_are_approvals_and_names_that_mean_something_to_cedar() -> None:
    approval = Approval("asked", "1", "d" * 64, "user/bob", "approved")
    assert replace(ASKED, approvals=(approval,)).told_apart(frozenset()) is None
    for name in ("__entity", "n" * 1025, "ü"):
        assert replace(ASKED, arguments={name: 1}).told_apart(frozenset()) is None


VALUES = st.one_of(st.integers(-2, 2), st.booleans(), st.text(max_size=2), st.none(), st.lists(st.integers(0, 2)))
QUESTIONS = st.builds(
    ToolQuestion,
    st.sampled_from([RUN, replace(RUN, risk="high"), replace(RUN, started_by=replace(ANA, roles=frozenset()))]),
    st.just("shop.pay"),
    st.sampled_from(["write", "none"]),
    st.dictionaries(st.sampled_from(["cents", "secret", "order", "__entity", "a"]), VALUES, max_size=3),
    st.sampled_from([Labels(), HIGH]),
    st.dictionaries(st.sampled_from(["cents", "a"]), st.just(HIGH), max_size=1),
)
POLICIES = [
    policy("context.arguments.cents > 0"),
    policy("context.risk_level < 2") + policy("context.arguments has secret", "forbid", "q"),
    policy("true", of=' in Role::"agent"') + policy("!context.skipped.isEmpty()", "forbid", "q"),
    policy('context.arguments == {order: "a"}'),
    policy('context.effect == "none"') + policy("context.argument_trust.a == 0", name="q"),
    policy("context.trust < 2") + policy("context.argument_class has cents", "forbid", "q"),
]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(POLICIES), st.lists(QUESTIONS, min_size=1, max_size=10))
def test_a_remembered_answer_is_the_one_that_would_be_given(text: str, questions: list[ToolQuestion]) -> None:
    kept = PolicySet.parse({"p.cedar": text})
    for question in questions:
        assert kept.decide_call(question) == fresh(text, question)


def test_a_question_that_is_too_large_is_denied_though_a_small_one_was_permitted() -> None:
    text = policy("context.arguments has cents")
    kept = PolicySet.parse({"p.cedar": text})
    assert kept.decide_call(ASKED).permit
    names = [f"note{number}" for number in range(1 + MAX_REQUEST_BYTES // 1024)]
    large = replace(ASKED, arguments={"cents": 5, **dict.fromkeys(names, "b" * 1024)})
    small = replace(large, arguments={"cents": 5, **dict.fromkeys(names, "b")})
    for question in (small, large, small):
        assert kept.decide_call(question) == fresh(text, question)
    assert not kept.decide_call(large).permit
    assert kept.decide_call(small).permit
