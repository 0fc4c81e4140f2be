"""`flow-permission`: what policies can never permit a step, conditions and all, as far as anything is known of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.agent_cases import GET_ORDER, PROMPT, REFUND, TOOLS_PY

from signoff.catalog.flow import project_flow
from signoff.catalog.projects import load_project_files
from signoff.core.errors import Problem

REST = """
@id("rest") permit (principal, action in [Action::"run.start", Action::"review.decide"], resource);
"""
CALLS = f'{REST}@id("calls") permit (principal, action == Action::"tool.call", resource)'
ALL = f'{REST}@id("calls") permit (principal, action, resource);\n'
HEAD = """workflow: desk/pay
version: 1.0.0
about: Pays.
risk: low
input:
  type: object
  properties: {order: {type: string, x-signoff: {trust: trusted}}, cents: {type: integer, x-signoff: {trust: trusted}}}
  required: [order, cents]
steps:
"""
PAY = '  pay: {tool: pay.refund, with: {order: "${input.order}", cents: 700}}\n'
GIVEN = PAY.replace("700", '"${input.cents}"')
APPROVED = """  look: {review: Pay?, by: role/lead, show: [input.order]}
  pay: {requires: look, tool: pay.refund, with: {order: "${input.order}", cents: 700}}
"""
END = "outcome: {done: 'true'}\n"


def found(policy: str, steps: str = PAY) -> Sequence[Problem]:
    texts = {
        "signoff.yaml": "project: desk\nroles: {lead: Decides.}\n",
        "models.yaml": "models: {clever: {provider: scripted}}\nroutes: [{task: generate, use: [clever]}]\n",
        "policies/all.cedar": policy,
        "prompts/settle.md": PROMPT,
        "tools/shop.py": TOOLS_PY,
        "tools/get_order.yaml": GET_ORDER,
        "tools/refund.yaml": REFUND,
        "workflows/pay.yaml": HEAD + steps + END,
    }
    project = load_project_files({name: text.encode() for name, text in texts.items()})
    return project_flow(project).problems


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (CALLS + ' when { context.risk == "high" };', "'calls' wants what is never so (context.risk)."),
        (CALLS + " when { context.arguments.cents <= 500 };", "wants what is never so (context.arguments)"),
        (CALLS + ' when { context.environment == "qa" };', "wants what is never so (context.environment)"),
        (CALLS + ' unless { resource.effect == "write" };', "'calls' wants what is never so."),
        (
            ALL + '@id("four-eyes") forbid (principal, action == Action::"tool.call", resource)'
            " when { context.approved_by.isEmpty() };",
            "'tool.call' on Tool::\"pay.refund\" in every run: what it asks is always so (context.approved_by).",
        ),
        (
            ALL + '@id("no-money") forbid (principal, action == Action::"tool.call", resource == Tool::"pay.refund");',
            "Policy 'no-money' forbids 'tool.call' on Tool::\"pay.refund\" whatever the request says.",
        ),
        (REST, "No policy can ever permit 'tool.call' on Tool::\"pay.refund\"."),
    ],
)
def test_conditions_that_never_hold_are_found(policy: str, says: str) -> None:
    [problem] = found(policy)
    assert (problem.code, problem.pointer, problem.line) == ("flow-permission", "/steps/pay", 10)
    assert says in problem.detail


@pytest.mark.parametrize(
    ("policy", "steps"),
    [
        (CALLS + ' when { context.risk == "low" };', PAY),
        (CALLS + " when { context.arguments.cents <= 500 };", GIVEN),
        (CALLS + " when { context.data_class <= 0 };", GIVEN),
        (CALLS + ' when { context.environment == "prod" };', PAY),
        (CALLS + ' when { principal in Role::"lead" && context.started_by == "user/bob" };', PAY),
        (
            ALL + '@id("b") forbid (principal, action == Action::"tool.call", resource)'
            ' unless { context.approvals.contains("look") };',
            APPROVED,
        ),
        (ALL + '@id("b") forbid (principal in Role::"lead", action == Action::"tool.call", resource);', PAY),
    ],
)
def test_what_may_hold_in_some_run_is_not(policy: str, steps: str) -> None:
    assert found(policy, steps) == ()


def test_a_review_is_asked_for_where_the_policy_wants_one() -> None:
    policy = (
        ALL + '@id("b") forbid (principal, action == Action::"tool.call", resource == Tool::"pay.refund")'
        ' unless { context.approvals.contains("look") };'
    )
    [problem] = found(policy)
    assert problem.suggestion is not None
    assert "'requires'" in problem.suggestion


@pytest.mark.parametrize(
    "whose",
    ['principal == User::"bob", action, resource', "principal, action, resource"],
)
def test_whom_a_policy_names_may_start_the_run(whose: str) -> None:
    when = "" if "bob" in whose else ' when { context.started_by == "user/bob" }'
    steps = '  said: {ai: settle, with: {text: "${input.order}"}}\n  told: {emit: desk.told.v1, payload: {id: "1"}}\n'
    assert found(f'{REST}@id("bob") permit ({whose}){when};', steps) == ()
    impossible = found(f'{REST}@id("bob") permit ({whose}) when {{ context.risk == "high" }};', steps)
    assert {problem.code for problem in impossible} == {"flow-permission"}
