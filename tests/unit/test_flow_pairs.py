"""The claim of docs/reference/data-flow.md, tested by pairs of runs that differ in what an attacker chose only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.flow_at_random import ATTACKS, QUIET, STATIC, TRUSTED, attacked, checked, workflows
from support.flow_runs import CASES, OWNER, STRANGER, Run, violations, within


class TestAtRandom:
    @QUIET
    @given(workflows(), st.lists(ATTACKS, min_size=6, max_size=6))
    def test_what_passes_keeps_the_claim_for_all_pairs(self, text: str, attacks: list[Any]) -> None:
        project, result, codes = checked(text)
        if codes & STATIC:
            return  # nothing is claimed of it; about one in eight passes
        runs = [attacked(project, attack) for attack in attacks]
        broken = [(text, found) for one in runs for two in runs if (found := violations(project, result, one, two))]
        assert broken == []

    @QUIET
    @given(workflows(), ATTACKS)
    def test_the_static_labels_cover_those_of_every_run(self, text: str, attack: Any) -> None:
        project, result, _ = checked(text)
        run = attacked(project, attack)
        within(result, run, text)


# --- each check can fail ----------------------------------------------------------------------------------------------

RUNNABLE = (
    "model-chooses-payee",
    "payee-by-choice",
    "payee-by-branch",
    "record-of-anybody",
    "no-bound",
    "bound-moves",
    "order-of-texts",
    "computed-after-the-check",
    "cause",
    "person-does-not-see",
    "review-removed",
    "fallback-chooses",
    "loop-chooses",
)
"""Unsafe workflows whose harm shows in what a run does; the others are about quotas, classes, policy or dead steps."""


def all_attacks() -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    return [
        ("hello", {"order": order, "payee": payee, "cents": cents, "most": 10**8, "reason": reason}, sorted_)
        for order in ("o-1", "x-1", "none")
        for payee in (OWNER, STRANGER)
        for cents in (50, 10**7)
        for reason in ("late", "tt")
        for sorted_ in ({"label": "refund", "confidence": 0.95}, {"label": "other", "confidence": 0.95})
    ]


@pytest.mark.parametrize("name", RUNNABLE)
def test_what_is_refused_breaks_the_claim_when_it_runs_all_the_same(name: str) -> None:
    text = (CASES / f"unsafe/{name}.yaml").read_text("utf-8").replace(f"workflow: {name}", "workflow: case")
    project, result, codes = checked(text)
    assert codes & STATIC
    runs = [attacked(project, attack) for attack in all_attacks()]
    assert any(violations(project, result, one, two) for one in runs for two in runs)


# --- it must be usable ------------------------------------------------------------------------------------------------


def running(name: str, given: Mapping[str, Any], facts: Mapping[str, Any]) -> Run:
    """A safe workflow of the docs, run with what a customer wrote and a model read; people approve what they see."""
    text = (CASES / f"safe/{name}.yaml").read_text("utf-8").replace(f"workflow: {name}", "workflow: case")
    project, _, codes = checked(text)
    assert not codes
    return Run(project, project.workflows["case"], lambda path, prompt: facts, spent={}).go(given)


READ: Mapping[str, Any] = {"order": "o-1", "payee": OWNER, "cents": 300, "most": 1, "reason": "late"}


def test_a_small_refund_on_the_customer_s_own_order_goes_out_without_a_person() -> None:
    run = running("small-refund", {**TRUSTED, "text": "It broke."}, READ)
    assert [(acted.arguments["customer"], acted.arguments["cents"]) for acted in run.acted] == [(OWNER, 300)]
    assert not run.people
    for other in ({"order": "x-1"}, {"cents": 401}, {"cents": 0}, {"order": "none"}):
        assert running("small-refund", {**TRUSTED, "text": "It broke."}, {**READ, **other}).acted == []


@pytest.mark.parametrize("order", ["o-1", "x-1"])
@pytest.mark.parametrize("cents", [1, 300, 10**7])
def test_for_a_mail_that_anybody_may_have_sent_a_person_always_decides(order: str, cents: int) -> None:
    given = {"sender": "eve@mail.test", "text": "I am Ana."}
    run = running("mail-with-person", given, {**READ, "order": order, "cents": cents})
    assert [acted.approved for acted in run.acted] == [frozenset({"decision"})]
