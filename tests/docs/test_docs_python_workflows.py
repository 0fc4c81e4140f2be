"""The refund workflow of the guide, put into the example project: it is sound, and does what the document does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from support.docs_pages import CHECKOUT, pages

from signoff.catalog.model import Project
from signoff.catalog.projects import load_project_files
from signoff.catalog.python_workflows import code_warnings
from signoff.catalog.sources import read_files
from signoff.core.labels import BOTTOM
from signoff.workflows.python import RunOutcome
from signoff.workflows.python.driver import Driver
from signoff.workflows.semantics import Ready, StepState

FILE = "workflows/refund_py.py"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
INPUT = {"ticket": {"id": "t-1", "text": "Refund W1, 12 USD"}, "customer": {"id": "c-1"}}
OUTPUTS: Mapping[str, Mapping[str, Any]] = {
    "triage": {"label": "refund", "confidence": 0.7},
    "gather_2[0]/ai_1": {"order": "W1", "cents": 1200},
    "gather_2[1]/retrieve_1": {"hits": []},
    "order": {"id": "W1", "refundable_cents": 1500},
    "check_4": {"review": True},
    "decision": {"cents": 1100, "comment": None, "decided_by": "user/lea"},
    "refund": {"id": "r-1"},
    "tool_7": {"id": "t-1", "status": "closed"},
    "emit_8": {},
}


@pytest.fixture(scope="module")
def project() -> Project:
    code = next(snippet.text for page in pages() for snippet in page.snippets if snippet.title == FILE)
    return load_project_files({**read_files(CHECKOUT / "examples/refunds"), FILE: code.encode()})


def run(project: Project, changed: Mapping[str, Mapping[str, Any]], **results: str) -> Driver:
    workflow = project.workflows["support/refund_py"]
    assert workflow.python is not None
    outcomes = frozenset(outcome.name for outcome in workflow.outcomes)
    function = workflow.python.load()
    driver = Driver(function, run_id=UUID(int=1), input_value=INPUT, started_at=NOW, labels=BOTTOM, outcomes=outcomes)
    driver.start()
    while driver.finished is None:
        path = next(path for path in driver.issued if driver.waits_for(path))
        issued = driver.issued[path]
        assert isinstance(issued.decision, Ready)
        review, result = issued.step.verb == "review", results.get(path, "approved" if path == "decision" else "done")
        output = changed.get(path, OUTPUTS[path])
        readable = result in ("done", "approved")
        driver.deliver(path, StepState("done", result, output, readable=readable, is_review=review), None, at=NOW)
    return driver


def test_the_guide_s_workflow_is_sound_and_says_the_same_as_the_document(project: Project) -> None:
    assert code_warnings(project) == []
    coded, written = project.workflows["support/refund_py"], project.workflows["support/refund"]
    assert coded.input_schema == written.input_schema
    assert coded.limits == written.limits
    assert {outcome.name for outcome in coded.outcomes} == {outcome.name for outcome in written.outcomes}


def test_it_pays_what_the_reviewer_decided(project: Project) -> None:
    driver = run(project, {})
    assert driver.finished == RunOutcome("refunded", {"refund": "r-1", "cents": 1100})
    assert list(driver.issued) == list(OUTPUTS)
    paid, written = driver.issued["refund"], project.workflows["support/refund"].step("refund")
    assert paid.arguments == {"with": {"customer": "c-1", "order": "W1", "cents": 1100}}
    assert paid.step.requires == ("decision",)
    assert paid.step.undo is not None
    assert written.undo is not None
    assert (paid.step.retry, paid.step.undo.target) == (written.retry, written.undo.target)
    decision, document = driver.issued["decision"].step, project.workflows["support/refund"].step("decision")
    assert decision.settings == document.settings


@pytest.mark.parametrize(
    ("changed", "results", "outcome"),
    [
        ({"triage": {"label": "other", "confidence": 1.0}}, {}, "not_a_refund"),
        ({"gather_2[0]/ai_1": {"order": None, "cents": 5}}, {}, "needs_information"),
        ({"order": {"id": "W1", "refundable_cents": 0}}, {}, "declined"),
        ({}, {"decision": "rejected"}, "rejected"),
        ({}, {"decision": "expired"}, "rejected"),
    ],
)
def test_it_ends_as_the_document_does(
    project: Project, changed: Mapping[str, Mapping[str, Any]], results: dict[str, str], outcome: str
) -> None:
    driver = run(project, changed, **results)
    assert isinstance(driver.finished, RunOutcome)
    assert driver.finished.name == outcome
    assert "refund" not in driver.issued
