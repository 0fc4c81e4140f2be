"""What `signoff plan` says where an agent or a plan changes: in the words that its author wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.agent_cases import AGENT, files

from signoff.catalog import Project, load_project_files
from signoff.catalog.delivery.differences import compare_projects
from signoff.catalog.delivery.flows import compare_flows

PLAN = """steps:
  settle:
    plan: settle@^1
    with: {text: "${input.text}"}
    tools: [shop.get_order, {tool: pay.refund, with: {order: "${input.order}"}}]
    max_steps: 3
    by: role/lead
outcome: {settled: settle.done}
"""
FIXED = 'with: {order: "${input.order}"}'


def project(agent: str = AGENT, bounds: str = "", models: str = "") -> Project:
    made = files(Path("log"), bounds, agent=agent)
    if models:
        made["models.yaml"] = made["models.yaml"].replace("clever", models)
    return load_project_files({name: text.encode() for name, text in made.items()})


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ({"bounds": "    max_turns: 4\n    max_errors: 1\n"}, ["max_turns was 10, is 4", "max_errors was 3, is 1"]),
        ({"agent": AGENT.replace("      - shop.get_order\n", "")}, ["may no longer call shop.get_order"]),
        (
            {"agent": AGENT.replace(FIXED, 'with: {order: "${input.order}", cents: 5}')},
            [
                (
                    'of pay.refund, with was {"order": "${input.order}", "cents": "${call.arguments.cents}"},'
                    ' is {"order": "${input.order}", "cents": 5}'
                )
            ],
        ),
        (
            {"agent": AGENT.replace(FIXED, f"{FIXED}\n        assert: call.arguments.cents < 9")},
            ["of pay.refund, asserts was nothing, is ['call.arguments.cents < 9']"],
        ),
        (
            {"agent": AGENT.replace('{text: "${input.text}"}', "{text: Hello}")},
            ['with was {"text": "${input.text}"}, is {"text": "Hello"}'],
        ),
        ({"agent": AGENT.replace("agent: settle@^1", "agent: settle")}, ["target was settle@^1, is settle"]),
    ],
)
def test_a_changed_agent_is_told_once(new: dict[str, Any], told: list[str]) -> None:
    [change] = compare_projects(project(), project(**new))
    assert (change.kind, change.name) == ("workflow", "desk/reply")
    assert list(change.details) == [f"step settle: {one}" for one in told]


def test_a_changed_plan_too() -> None:
    new = PLAN.replace("by: role/lead", "by: role/lead\n    expire: 2h").replace("max_steps: 3", "max_steps: 5")
    new = new.replace("[shop.get_order, ", "[")
    [change] = compare_projects(project(PLAN), project(new))
    assert list(change.details) == [
        "step settle: max_steps was 3, is 5",
        "step settle: expire was nothing, is 7200.0",
        "step settle: may no longer call shop.get_order",
    ]


def test_its_models_are_told_with_their_route() -> None:
    changes = {(one.kind, one.name): one for one in compare_projects(project(), project(models="cleverer"))}
    assert changes["route", "task generate"].details == ("was clever, is cleverer",)


def test_what_it_chooses_no_more_is_another_flow() -> None:
    fixed = project(AGENT.replace(FIXED, 'with: {order: "${input.order}", cents: 5}'))
    [change] = compare_flows(project(), fixed)
    assert (change.place, change.after) == ("settle/calls/call_pay_refund.with.cents", "trusted, public")
