"""Conditions of policies over what is known before anything runs: never more certain than Cedar itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.core.actors import Actor
from signoff.governance.policy import PolicyRequest, PolicySet
from signoff.governance.policy.model import ResourceRef
from signoff.governance.policy.parsing import parse_policies
from signoff.governance.policy.partial import Between, Facts, OneOf, satisfied

PAY = ("Tool", "pay")
RUN: Mapping[str, Any] = {
    "risk": "low",
    "risk_level": 0,
    "data_class": 1,
    "data_class_name": "internal",
    "approved_by": ["user/ana"],
    "approvals": [],
    "arguments": {"cents": 700, "to": "x"},
    "environment": "dev",
    "started_by": "user/bob",
}
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "risk": st.sampled_from(["low", "high"]),
    "risk_level": st.integers(0, 2),
    "data_class": st.integers(0, 3),
    "data_class_name": st.sampled_from(["public", "internal", "regulated"]),
    "approved_by": st.lists(st.sampled_from(["user/ana", "user/bob", "policy"]), max_size=2, unique=True),
    "approvals": st.lists(st.sampled_from(["decision", "other"]), max_size=2, unique=True),
    "arguments": st.fixed_dictionaries({"cents": st.sampled_from([0, 500, 900]), "to": st.sampled_from(["x", "y"])}),
    "environment": st.sampled_from(["prod", "dev"]),
    "started_by": st.sampled_from(["user/ana", "user/bob"]),
}
CONTEXTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(MEMBERS)
LEAVES = [
    'context.risk == "low"',
    'context.risk != "high"',
    "context.risk_level >= 1",
    "context.risk_level + 1 > 2",
    "context.data_class <= 1",
    "context.data_class > 2",
    "context.data_class == 3",
    'context.data_class_name == "regulated"',
    '["public", "internal"].contains(context.data_class_name)',
    "context.approved_by.isEmpty()",
    'context.approved_by.contains("user/ana")',
    'context.approved_by.containsAny(["user/ana", "user/eve"])',
    'context.approvals.containsAll(["decision"])',
    "context.arguments.cents <= 500",
    'context.arguments.to == "x"',
    "context.arguments has cents",
    "context.arguments has more",
    "context.arguments.more == 1",
    'context.environment like "p*"',
    'context.started_by == "user/bob"',
    'resource == Tool::"pay"',
    'resource in [Tool::"other", Tool::"pay"]',
    "resource is Tool",
    'resource.effect == "write"',
    'principal in Role::"lead"',
    'principal == User::"bob"',
    '(if context.risk == "low" then context.risk_level == 0 else true)',
]
CONDITIONS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
    ),
    max_leaves=5,
)


def known_of(context: Mapping[str, Any], hidden: frozenset[str]) -> dict[str, Any]:
    """What is known of a context of which some members are not, or not exactly."""
    found: dict[str, Any] = {name: item for name, item in context.items() if name not in hidden}
    if "data_class" in hidden:
        found["data_class"] = Between(0, context["data_class"])
    if "data_class_name" in hidden:
        found["data_class_name"] = OneOf(frozenset({context["data_class_name"], "public"}))
    if "cents" in hidden and "arguments" in found:
        found["arguments"] = {"to": context["arguments"]["to"]}
    return found


@settings(max_examples=200, deadline=None)
@given(CONDITIONS, CONTEXTS, st.frozensets(st.sampled_from([*RUN, "cents"])), st.booleans())
def test_it_is_never_more_certain_than_cedar(
    condition: str, context: Mapping[str, Any], hidden: frozenset[str], when: bool
) -> None:
    text = f'@id("a") permit (principal, action, resource) {"when" if when else "unless"} {{ {condition} }};'
    [policy] = parse_policies({"a.cedar": text})
    said = satisfied(policy.body["conditions"], Facts("tool.call", PAY, {"effect": "write"}, known_of(context, hidden)))
    actor = Actor(UUID(int=0), "user", "bob", frozenset({"lead"}))
    request = PolicyRequest(actor, "tool.call", ResourceRef(*PAY, {"effect": "write"}), {**context, "skipped": []})
    decision = PolicySet.parse({"a.cedar": text}).decide(request)
    if said is not None:
        assert decision.permit == said or decision.errors, (text, said)


@pytest.mark.parametrize(
    ("condition", "known", "said"),
    [
        ('context.risk == "low"', {"risk": "low"}, True),
        ('context.risk == "low"', {}, None),
        ('context.risk == "low" && context.local', {"risk": "high"}, False),
        ('context.risk == "low" || context.local', {"risk": "low"}, True),
        ("context.data_class > 2", {"data_class": Between(0, 1)}, False),
        ("context.data_class <= 2", {"data_class": Between(0, 1)}, True),
        ("context.data_class > 0", {"data_class": Between(0, 1)}, None),
        ('context.data_class_name == "regulated"', {"data_class_name": OneOf(frozenset({"public"}))}, False),
        ('context.approved_by.contains("user/a")', {"approved_by": []}, False),
        ("context.approved_by.isEmpty()", {}, None),
        ("context.arguments.cents < 500", {"arguments": {"cents": 700}}, False),
        ("context.arguments.cents < 500", {"arguments": {}}, None),
        ('ip(context.started_by) == ip("127.0.0.1")', {"started_by": "x"}, None),
        ("principal has name", {}, None),
    ],
)
def test_what_is_known_decides(condition: str, known: Mapping[str, Any], said: bool | None) -> None:
    [policy] = parse_policies({"a.cedar": f'@id("a") permit (principal, action, resource) when {{ {condition} }};'})
    assert satisfied(policy.body["conditions"], Facts("tool.call", PAY, {}, known)) is said
