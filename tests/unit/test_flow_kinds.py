"""Models that are no language models choose as freely, and see what policy lets them see."""

from __future__ import annotations

import pytest
from support.flow_runs import SHARED

from signoff.catalog.flow import project_flow
from signoff.catalog.projects import load_project_files

WORKFLOW = """workflow: case
version: 1.0.0
input: schemas/patient.json
steps:
  sorted: {model: classify, labels: [ill, well], with: {text: "${input.file}"}}
outcome: {done: "true"}
"""
MODELS = b'@id("models") permit (principal, action == Action::"model.call", resource)'


@pytest.mark.parametrize(("limit", "codes"), [(b";", []), (b" when { context.data_class <= 2 };", ["flow-class"])])
def test_regulated_data_reaches_a_classifier_where_a_policy_permits_it_only(limit: bytes, codes: list[str]) -> None:
    policies = SHARED["policies/all.cedar"]
    assert MODELS + b";" in policies
    changed = {"policies/all.cedar": policies.replace(MODELS + b";", MODELS + limit)}
    project = load_project_files({**SHARED, **changed, "workflows/case.yaml": WORKFLOW.encode()})
    assert [problem.code for problem in project_flow(project).problems] == codes
