"""The refund workflow of the design, and the contracts that it names."""

from __future__ import annotations

from typing import Any

from signoff.workflows import Contract, Contracts

STRING: dict[str, Any] = {"type": "string"}
INTEGER: dict[str, Any] = {"type": "integer"}
TRUSTED = {"x-signoff": {"trust": "trusted", "class": "internal"}}


def record(**properties: Any) -> dict[str, Any]:
    """The schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


REQUEST = record(ticket=record(id={**STRING, **TRUSTED}, text=STRING), customer=record(id={**STRING, **TRUSTED}))

CONTRACTS = Contracts(
    prompts={
        "classify@^3": Contract(
            record(text=STRING), record(label={"enum": ["refund", "other"]}, confidence={"type": "number"})
        ),
        "extract@^2": Contract(record(text=STRING), record(order=STRING, cents=INTEGER)),
    },
    tools={
        "shop.get_order": Contract(record(id=STRING, customer=STRING), record(id=STRING, refundable_cents=INTEGER)),
        "payments.refund": Contract(record(order=STRING, cents=INTEGER), record(id=STRING), effect=True),
        "payments.reverse": Contract(record(refund=STRING), record(), effect=True),
    },
    indexes={"refund-policy": Contract(record(query=STRING), record(hits={"type": "array"}))},
    rules={"refund-limits": Contract(record(cents=INTEGER), record(review={"type": "boolean"}))},
    schemas={"schemas/refund_request.json": REQUEST},
)

REFUND = """\
workflow: support/refund
version: 1.2.0
about: Refund a ticket. A person decides when the model is unsure or the amount is high.
owner: team/support
goals: {wrong_refunds: 0, automatic: 40%, hours_to_resolve: 4}
risk: medium
input: schemas/refund_request.json
limits: {cost: 0.25 USD, time: 3d}

steps:
  triage:
    ai: classify@^3
    with: {text: "${input.ticket.text}"}
  facts:
    when: triage.label == 'refund'
    ai: extract@^2
    with: {text: "${input.ticket.text}"}
  docs:
    when: triage.label == 'refund'
    retrieve: refund-policy
    query: "${input.ticket.text}"
    top: 5
  order:
    tool: shop.get_order
    with: {id: "${facts.order}", customer: "${input.customer.id}"}
  decision:
    review: Refund this order?
    needed: triage.confidence < 0.9 || facts.cents > 10000 || facts.cents > order.refundable_cents
    by: role/support-lead
    propose: {cents: "${facts.cents}"}
    editable: [cents]
    show: [input.ticket.text, order, docs]
    escalate: {open_for: 4h, also: role/finance-manager}
    expire: 2d
  refund:
    requires: decision
    assert: decision.cents > 0 && decision.cents <= order.refundable_cents
    tool: payments.refund
    with: {order: "${order.id}", cents: "${decision.cents}"}
    once: refund/${order.id}
    retry: {times: 4, delay: 2s, backoff: 2}
    undo: {tool: payments.reverse, with: {refund: "${result.id}"}}
  notify: {requires: refund, emit: support.refund.completed.v1, payload: {order: "${order.id}"}}

outcome:
  refunded: refund.done
  not_a_refund: triage.label != 'refund'
  rejected: decision.result in ['rejected', 'expired']
"""
