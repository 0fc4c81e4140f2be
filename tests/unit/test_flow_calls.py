"""Called workflows: which end one came to chooses what it gives, and it trusts what it is given as its caller does."""

from __future__ import annotations

import pytest
from support.flow_at_random import checked

from signoff.core.labels import DataClass, Labels, Trust
from signoff.runtime.inputs import input_labels, scope_of

CASE = """workflow: case
version: 1.0.0
input: schemas/ticket.json
steps:
  kid: {call: child, with: {text: "${input.text}", payee: "${input.customer}"}}
  pay:
    tool: pay.transfer
    with: {payee: "PAYEE", cents: 100}
    once: pay/${input.id}
outcome: {done: "true"}
---
workflow: child
version: 1.0.0
input: {type: object, properties: {text: {type: string}, payee: {type: string}}, required: [text, payee]}
steps:
  kept: {set: {payee: "${input.payee}"}}
outcome:
  long: {when: size(input.text) > 3, give: {same: "${kept.payee}", payee: "${kept.payee}"}}
  short: {when: "true", give: {same: "${kept.payee}", payee: "house"}}
"""
GIVEN = {"text": {"class": "internal", "trust": "untrusted"}, "payee": {"class": "public", "trust": "trusted"}}


@pytest.mark.parametrize(
    ("payee", "codes"),
    [
        ("${kid.output.same}", set[str]()),
        ("${kid.output.payee}", {"flow-argument"}),
        ("${kid.outcome == 'long' ? 'ana' : 'house'}", {"flow-argument"}),
        ("${has(kid.output.same) ? 'ana' : 'house'}", {"flow-argument"}),
    ],
)
def test_the_end_of_a_called_workflow_chooses_what_its_ends_give_differently(payee: str, codes: set[str]) -> None:
    _, result, found = checked(CASE.replace("PAYEE", payee))
    assert found == codes
    assert "kid" in result.calls


def test_what_is_given_is_trusted_as_the_caller_had_it_and_no_less_secret_than_declared() -> None:
    project, _, _ = checked(CASE.replace("PAYEE", "house"))
    started = {"input": {"text": "t", "payee": "ana"}, "parent": {"labels": GIVEN, "control": GIVEN["text"]}}
    labels = input_labels(project.workflows["child"], started)
    assert (labels["payee",].trust, labels["text",].trust) == (Trust.TRUSTED, Trust.UNTRUSTED)
    assert labels["payee",].data_class is DataClass.INTERNAL
    scope = scope_of(project.workflows["child"], started, {})
    assert scope.control == Labels(DataClass.INTERNAL, Trust.UNTRUSTED)
