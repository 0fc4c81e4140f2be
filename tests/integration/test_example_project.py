"""The refunds example is a valid project, and its policies say what the example promises."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from examples.refunds.sources import HERE

from signoff.catalog import Project, load_project
from signoff.core.actors import Actor
from signoff.core.ids import digest
from signoff.core.labels import DataClass, Labels
from signoff.governance.policy import PolicySet, model_request, review_request, start_request, tool_request
from signoff.runtime.handlers import Approval, RunFacts

ORG = UUID("00000000-0000-7000-8000-000000000001")
INTAKE = Actor(ORG, "key", "tickets", frozenset({"ticket-intake"}))
LEAD = Actor(ORG, "user", "lead@example.com", frozenset({"support-lead"}))
ADMIN = Actor(ORG, "user", "admin@example.com", frozenset({"admin"}))
RUN = RunFacts(ORG, ORG, "support/refund", "1.2.0", digest(b""), "medium", INTAKE, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def project() -> Project:
    return load_project(HERE)


@pytest.fixture(scope="module")
def policies(project: Project) -> PolicySet:
    return PolicySet.parse(project.policies)


def approval(decided_by: str) -> Approval:
    result = "not_needed" if decided_by == "policy" else "approved"
    return Approval("decision", "review", digest(b""), decided_by, result)


def test_the_project_loads_with_all_its_parts(project: Project, policies: PolicySet) -> None:
    assert project.name == "refunds"
    workflow = project.workflows["support/refund"]
    assert [outcome.name for outcome in workflow.outcomes] == [
        "refunded", "not_a_refund", "needs_information", "declined", "rejected",
    ]  # fmt: skip
    assert set(project.models.profiles) == {"qwen", "openai", "anthropic", "compatible"}
    assert len(project.knowledge["refund-policy"]) == 4
    assert policies.warnings() == ()


@pytest.mark.parametrize(
    ("cents", "decided_by", "permitted"),
    [
        (4776, "policy", True),
        (10_000, "policy", True),
        (10_001, "policy", False),
        (10_001, "user/lead@example.com", True),
        (4776, None, False),
    ],
)
def test_high_refunds_need_a_person(policies: PolicySet, cents: int, decided_by: str | None, permitted: bool) -> None:
    request = tool_request(
        RUN,
        tool="payments.refund",
        effect="write",
        arguments={"order": "W1841226", "cents": cents},
        labels=Labels(DataClass.INTERNAL),
        approvals=[approval(decided_by)] if decided_by else [],
    )
    decision = policies.decide(request)
    assert decision.permit is permitted, decision.as_dict()
    assert permitted or any("person" in policy or "decision" in policy for policy in decision.policies)


def test_no_other_workflow_and_no_other_tool_pays(policies: PolicySet) -> None:
    request = tool_request(RUN, tool="payments.payout", effect="write", arguments={}, labels=Labels())
    assert policies.decide(request).policies == ()


@pytest.mark.parametrize(("actor", "permitted"), [(INTAKE, True), (LEAD, True), (ADMIN, False)])
def test_who_starts_refunds(policies: PolicySet, actor: Actor, permitted: bool) -> None:
    request = start_request(actor, workflow="support/refund", version="1.2.0", risk="medium")
    assert policies.decide(request).permit is permitted


@pytest.mark.parametrize(("actor", "permitted"), [(INTAKE, False), (LEAD, True), (ADMIN, False)])
def test_who_decides_refunds(policies: PolicySet, actor: Actor, permitted: bool) -> None:
    request = review_request(
        actor,
        workflow="support/refund",
        version="1.2.0",
        risk="medium",
        step="decision",
        result="approved",
        assigned_roles=["support-lead"],
        started_by=str(INTAKE),
    )
    assert policies.decide(request).permit is permitted


@pytest.mark.parametrize(
    ("model", "local", "data_class", "permitted"),
    [
        ("local/minilm", True, DataClass.CONFIDENTIAL, True),
        ("local/minilm", True, DataClass.REGULATED, False),
        ("openai/mini", False, DataClass.INTERNAL, True),
        ("openai/mini", False, DataClass.CONFIDENTIAL, False),
        ("unknown/model", False, DataClass.PUBLIC, False),
    ],
)
def test_which_models_see_what(
    policies: PolicySet, model: str, local: bool, data_class: DataClass, permitted: bool
) -> None:
    request = model_request(
        RUN,
        model=model,
        provider="any",
        task="classify",
        prompt="classify",
        prompt_version="3.0.0",
        labels=Labels(data_class),
        local=local,
    )
    assert policies.decide(request).permit is permitted
