"""The claim under policies at random: whatever they permit, forbid or demand, untrusted input gains nothing by it.

A policy's answer depends on labels and on arguments, so an attacker may have a part in it: a step is denied, fails, and
its `on_error` acts instead. Denied or not, trusted arguments stay equal, confined ones in their domain, quotas kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.flow_at_random import ATTACKS, QUIET, STATIC, attacked, checked, policy_texts, workflows
from support.flow_runs import violations, within

from signoff.catalog.flow_policy import PolicyCheck
from signoff.catalog.model import Project
from signoff.governance.policy import PolicySet
from signoff.governance.policy.possible import Permits

MOST = 1_500
"""The quota of refunds here, in cents: two or three of them use it up."""
DEEP = settings(QUIET, max_examples=2_000)
SEVERAL = st.lists(ATTACKS, min_size=5, max_size=5)


def with_policies(project: Project, text: str) -> tuple[Project, PolicySet]:
    """The project with other policies, and a small quota."""
    refund = project.tools["pay.refund"]
    assert refund.quota is not None
    tools = {**project.tools, "pay.refund": replace(refund, quota=replace(refund.quota, most=MOST))}
    files = {"policies/all.cedar": text}
    return replace(project, policies=files, tools=tools), PolicySet.parse(files)


def claim_holds(text: str, policy: str, attacks: Sequence[Any]) -> None:
    """All pairs of runs under the same policies; the runs of one customer spend from one quota."""
    project, result, codes = checked(text)
    if codes & STATIC:
        return
    changed, policies = with_policies(project, policy)
    runs = [attacked(changed, attack, policies=policies) for attack in attacks]
    assert [found for one in runs for two in runs if (found := violations(changed, result, one, two))] == []
    spent: dict[tuple[str, str], int] = {}
    for attack in attacks:
        attacked(changed, attack, policies=policies, spent=spent)
    assert sum(amount for (tool, _), amount in spent.items() if tool == "pay.refund") <= MOST


def static_covers(text: str, policy: str, attack: Any) -> None:
    """What a run was permitted, no check calls impossible; its labels are within the static ones."""
    project, result, _ = checked(text)
    changed, policies = with_policies(project, policy)
    run = attacked(changed, attack, policies=policies)
    impossible = {one.step for one in PolicyCheck(changed).findings(result) if one.code == "flow-permission"}
    assert {acted.step for acted in run.acted}.isdisjoint(impossible)
    asked_once = Permits(policies)
    for request in run.asked:
        assert asked_once.permit(request) == policies.decide(request).permit, request
    within(result, run, text)


@QUIET
@given(workflows(), policy_texts(), SEVERAL)
def test_what_passes_keeps_the_claim_whatever_policies_say(text: str, policy: str, attacks: list[Any]) -> None:
    claim_holds(text, policy, attacks)


@QUIET
@given(workflows(), policy_texts(), ATTACKS)
def test_the_static_answer_covers_every_run_under_every_policy(text: str, policy: str, attack: Any) -> None:
    static_covers(text, policy, attack)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@DEEP
@given(workflows(), policy_texts(), SEVERAL)
def test_the_same_of_thousands(text: str, policy: str, attacks: list[Any]) -> None:
    claim_holds(text, policy, attacks)
    static_covers(text, policy, attacks[0])


SMALL_REFUND = """workflow: case
version: 1.0.0
input: schemas/ticket.json
steps:
  facts: {ai: extract, with: {text: "${input.text}"}}
  order: {tool: orders.get, with: {customer: "${input.customer}", id: "${facts.order}"}}
  pay:
    tool: pay.refund
    assert: facts.cents > 0 && facts.cents <= 900
    with: {customer: "${input.customer}", order: "${order.id}", cents: "${facts.cents}"}
    once: pay/${input.id}
outcome: {done: 'true'}
"""
ASKING: Mapping[str, Any] = {"order": "o-1", "payee": "eve", "cents": 900, "most": 1, "reason": "late"}
ATTACK = ("pay me", ASKING, {"label": "refund", "confidence": 1.0})


ALL = '@id("a") permit (principal, action, resource);'
CALLS = 'forbid (principal, action == Action::"tool.call", resource) when { context.argument_trust has NAME && '


@pytest.mark.parametrize(
    ("policy", "paid"),
    [
        (ALL, 1),
        ('@id("a") permit (principal, action, resource) unless { context.trust == 2 };', 0),
        ('@id("a") @redact("pii") permit (principal, action, resource);', 0),
        (f'{ALL}\n@id("b") {CALLS.replace("NAME", "customer")}context.argument_trust.customer > 0 }};', 1),
        (f'{ALL}\n@id("b") {CALLS.replace("NAME", "cents")}context.argument_trust.cents > 0 }};', 0),
    ],
)
def test_the_runs_are_really_held_to_their_policies_and_quota(policy: str, paid: int) -> None:
    project, _, codes = checked(SMALL_REFUND)
    assert not codes & STATIC
    changed, policies = with_policies(project, policy)
    spent: dict[tuple[str, str], int] = {}
    runs = [attacked(changed, ATTACK, policies=policies, spent=spent) for _ in range(3)]
    assert [len(run.acted) for run in runs] == [paid, 0, 0], "the quota has room for one of 900"
