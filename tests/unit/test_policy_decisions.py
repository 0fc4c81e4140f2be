"""What policy answers: default deny, and a deny wherever an answer could not be trusted."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signoff.core.actors import Actor
from signoff.core.errors import ForbiddenError
from signoff.governance.policy import PolicyRequest, PolicySet, ResourceRef

# The first draw builds tables of all Unicode, which takes seconds on a busy machine.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ORG = UUID(int=1)
ANA = Actor(ORG, "user", "ana@example.com", frozenset({"support-lead"}))

REFUNDS = """
@id("lead-may-refund")
permit(principal in Role::"support-lead", action == Action::"tool.call", resource == Tool::"payments.refund")
when { context.arguments.cents <= 10000 && context.trust <= 1 };

@id("unapproved-refund")
forbid(principal, action == Action::"tool.call", resource == Tool::"payments.refund")
unless { context.approved_by.contains("user/ben") };
"""
POLICIES = PolicySet.parse({"policies/refunds.cedar": REFUNDS})
GOOD = {"arguments": {"cents": 500}, "trust": 1, "approved_by": ["user/ben"]}


def ask(policies: PolicySet, context: dict[str, Any], *, actor: Actor = ANA, tool: str = "payments.refund"):
    return policies.decide(PolicyRequest(actor, "tool.call", ResourceRef("Tool", tool), context))


@pytest.fixture
def refunds() -> PolicySet:
    return PolicySet.parse({"policies/refunds.cedar": REFUNDS})


def test_a_permit_names_its_policy_and_digest(refunds: PolicySet) -> None:
    decision = ask(refunds, GOOD)
    decision.require()
    assert decision.as_dict() == {
        "permit": True,
        "about": 'tool.call on Tool::"payments.refund" by user/ana@example.com',
        "policies": ["lead-may-refund"],
        "obligations": [],
        "policy_digest": refunds.digest,
        "errors": [],
    }


@pytest.mark.parametrize(
    ("context", "actor", "tool"),
    [
        pytest.param(GOOD, Actor(ORG, "user", "eve"), "payments.refund", id="no role"),
        pytest.param(GOOD, ANA, "payments.steal", id="other tool"),
        pytest.param({**GOOD, "arguments": {"cents": 10001}}, ANA, "payments.refund", id="too much"),
        pytest.param({**GOOD, "approved_by": []}, ANA, "payments.refund", id="not approved"),
        pytest.param({**GOOD, "trust": 2}, ANA, "payments.refund", id="untrusted"),
    ],
)
def test_what_no_policy_permits_is_denied(refunds: PolicySet, context: Any, actor: Actor, tool: str) -> None:
    decision = ask(refunds, context, actor=actor, tool=tool)
    assert not decision.permit
    with pytest.raises(ForbiddenError):
        decision.require()


def test_a_forbid_is_named_in_the_error(refunds: PolicySet) -> None:
    with pytest.raises(ForbiddenError, match="Forbidden by unapproved-refund") as caught:
        ask(refunds, {**GOOD, "approved_by": []}).require()
    assert caught.value.members["policies"] == ["unapproved-refund"]


def test_no_policies_permit_nothing() -> None:
    decision = ask(PolicySet.parse({}), GOOD)
    assert not decision.permit
    with pytest.raises(ForbiddenError, match="No policy permits it"):
        decision.require()


def test_an_error_in_a_forbid_denies_although_cedar_would_skip_it() -> None:
    policies = PolicySet.parse(
        {
            "a.cedar": '@id("all") permit(principal, action, resource);'
            '@id("broken") forbid(principal, action, resource) when { context.missing };'
        }
    )
    decision = ask(policies, {})
    assert not decision.permit
    assert "broken" in decision.errors[0]


@patient
@given(missing=st.sets(st.sampled_from(sorted(GOOD)), min_size=1), cents=st.integers(-(2**70), 2**70))
def test_a_missing_attribute_never_permits(missing: set[str], cents: int) -> None:
    context = {name: value for name, value in GOOD.items() if name not in missing}
    if "arguments" in context:
        context["arguments"] = {"cents": cents}
    assert not ask(POLICIES, context).permit


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=12,
)


@patient
@given(context=st.dictionaries(st.sampled_from(["arguments", "trust", "approved_by", "x"]), json_values))
def test_any_context_is_answered_and_permits_only_what_the_policy_says(context: dict[str, Any]) -> None:
    decision = ask(POLICIES, context)
    if decision.permit:
        assert "user/ben" in context["approved_by"]
        assert context["arguments"]["cents"] <= 10000
        assert context["trust"] <= 1


@patient
@given(cents=st.floats() | st.text() | st.none() | st.lists(st.integers()) | st.just({"__extn": {"fn": "ip"}}))
def test_an_amount_that_is_no_integer_never_permits(cents: Any) -> None:
    assert not ask(POLICIES, {**GOOD, "arguments": {"cents": cents}}).permit


@patient
@given(roles=st.sets(st.text(max_size=20)), kind=st.sampled_from(["user", "key", "system"]), name=st.text(max_size=30))
def test_only_the_named_role_is_let_in(roles: set[str], kind: Any, name: str) -> None:
    decision = ask(POLICIES, GOOD, actor=Actor(ORG, kind, name, frozenset(roles)))
    assert decision.permit is ("support-lead" in roles)


def test_untrusted_data_cannot_name_an_entity() -> None:
    policies = PolicySet.parse(
        {"a.cedar": '@id("owner") permit(principal, action, resource) when { context.arguments.owner == principal };'}
    )
    entity = {"__entity": {"type": "User", "id": ANA.id}}
    decision = ask(policies, {"arguments": {"owner": entity}})
    assert not decision.permit


def test_what_cedar_cannot_see_is_listed_for_policies() -> None:
    policies = PolicySet.parse(
        {
            "a.cedar": '@id("all") permit(principal, action, resource) when { context.skipped.isEmpty() };',
        }
    )
    assert ask(policies, {"arguments": {"cents": 1}}).permit
    assert not ask(policies, {"arguments": {"cents": 1.5}}).permit
    assert not ask(policies, {"arguments": {"cents": [1, 1.5]}}).permit
    assert not ask(policies, {"arguments": {"note": "x" * 2000}}).permit


def test_obligations_come_with_the_permit_and_must_be_fulfilled() -> None:
    policies = PolicySet.parse(
        {"a.cedar": '@id("p") @about("why") @redact("pii") @retain("30d") permit(principal, action, resource);'}
    )
    decision = ask(policies, {})
    assert [(item.kind, item.value) for item in decision.obligations] == [("redact", "pii"), ("retain", "30d")]
    decision.require(fulfils={"redact", "retain"})
    with pytest.raises(ForbiddenError, match="demands @retain"):
        decision.require(fulfils={"redact"})


def test_an_unknown_obligation_denies_and_is_warned_of() -> None:
    policies = PolicySet.parse({"a.cedar": '@id("p")\n  @redakt("pii") permit(principal, action, resource);'})
    decision = ask(policies, {})
    assert not decision.permit
    assert decision.errors == ("policy 'p' carries the unknown obligation @redakt",)
    (warning,) = policies.warnings()
    assert (warning.file, warning.line, warning.column) == ("a.cedar", 2, 3)
    assert warning.suggestion == "Did you mean 'redact'?"


def test_unknown_actions_and_kinds_and_huge_requests_are_denied() -> None:
    policies = PolicySet.parse({"a.cedar": '@id("all") permit(principal, action, resource);'})
    tool = ResourceRef("Tool", "x")
    assert policies.decide(PolicyRequest(ANA, "tool.call", tool)).permit
    assert not policies.decide(PolicyRequest(ANA, "tool.cal", tool)).permit
    odd: Any = "Tools"
    assert not policies.decide(PolicyRequest(ANA, "tool.call", ResourceRef(odd, "x"))).permit
    huge = {f"k{number}": "x" * 1000 for number in range(100)}
    assert not policies.decide(PolicyRequest(ANA, "tool.call", tool, huge)).permit
    assert not policies.decide(PolicyRequest(ANA, "tool.call", ResourceRef("Tool", "\ud800"))).permit


def test_decisions_are_remembered_by_all_their_inputs(refunds: PolicySet) -> None:
    first = ask(refunds, GOOD)
    assert ask(refunds, dict(reversed(GOOD.items()))) is first
    assert ask(refunds, {**GOOD, "arguments": {"cents": 501}}) is not first
    assert not ask(refunds, GOOD, actor=Actor(ORG, "user", ANA.id)).permit


def test_the_digest_is_of_names_and_texts() -> None:
    permit = '@id("a") permit(principal, action, resource);'
    digests = {PolicySet.parse(texts).digest for texts in ({}, {"a": permit}, {"b": permit}, {"a": permit + " "})}
    assert len(digests) == 4


def test_a_key_may_act_on_itself() -> None:
    policies = PolicySet.parse(
        {
            "a.cedar": '@id("self") permit(principal, action == Action::"key.manage", resource)'
            " when { principal == resource };"
        }
    )
    key = Actor(ORG, "key", "ci", frozenset({"dev"}))
    assert policies.decide(PolicyRequest(key, "key.manage", ResourceRef("Key", "ci"))).permit
    assert not policies.decide(PolicyRequest(key, "key.manage", ResourceRef("Key", "other"))).permit


def test_every_form_of_action_scope_is_heard() -> None:
    permit = '@id("all") permit(principal, action, resource);'
    for scope in ('action == Action::"tool.call"', 'action in Action::"tool.call"', "action"):
        forbid = f'@id("no") forbid(principal, {scope}, resource);'
        assert ask(PolicySet.parse({"a.cedar": permit + forbid}), {}).policies == ("no",)
    several = '@id("no") forbid(principal, action in [Action::"run.start", Action::"tool.call"], resource);'
    assert ask(PolicySet.parse({"a.cedar": permit + several}), {}).policies == ("no",)
    other = '@id("no") forbid(principal, action == Action::"run.start", resource);'
    assert ask(PolicySet.parse({"a.cedar": permit + other}), {}).policies == ("all",)
    condition = '@id("no") forbid(principal, action, resource) when { action == Action::"tool.call" };'
    assert ask(PolicySet.parse({"a.cedar": permit + condition}), {}).policies == ("no",)
