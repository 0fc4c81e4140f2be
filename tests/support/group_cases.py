"""Workflows with groups, calls and waits, and what they name."""

from __future__ import annotations

import pytest
from support.workflow_cases import INTEGER, STRING, record

from signoff.core.errors import DefinitionError, Problem
from signoff.workflows import Contract, Contracts, Workflow, compile_workflow

FILE = "workflows/orders.yaml"
LINE = record(sku=STRING, count=INTEGER)
CONTRACTS = Contracts(
    prompts={"settle@^1": Contract(record(text=STRING), record(summary=STRING))},
    tools={
        "shop.order": Contract(record(id=STRING), record(id=STRING, lines={"type": "array", "items": LINE})),
        "shop.price": Contract(record(sku=STRING), record(cents=INTEGER)),
        "job.status": Contract(record(cursor=STRING), record(state={"enum": ["busy", "ready"]}, cursor=STRING)),
        "shop.ship": Contract(record(sku=STRING), record(id=STRING), effect=True),
        "shop.refund": Contract(record(order=STRING, cents=INTEGER), record(), effect=True),
        "shop.recall": Contract(record(id=STRING), record(), effect=True),
    },
    workflows={
        "support/refund_line": Contract(record(order=STRING), record(refund=STRING), outcomes=("refunded", "rejected")),
    },
)
HEAD = """\
workflow: shop/orders
version: 1.0.0
input: {type: object, properties: {id: {type: string}, due_at: {type: string}, n: {type: integer}}, \
required: [id, due_at, n]}
"""
END = """\
outcome: {fine: 'true'}
"""


def document(steps: str, end: str = END) -> str:
    """A document with these steps, whose lines begin with two spaces."""
    return f"{HEAD}steps:\n{steps}{end}"


def compiled(steps: str, end: str = END, contracts: Contracts = CONTRACTS) -> Workflow:
    return compile_workflow(document(steps, end), FILE, contracts)


def problems(steps: str, end: str = END, contracts: Contracts = CONTRACTS) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as caught:
        compiled(steps, end, contracts)
    return caught.value.problems


ORDER = """\
  order: {tool: shop.order, with: {id: "${input.id}"}}
"""
LINES = """\
  lines:
    for: ${order.lines}
    as: line
    at_once: 5
    max: 500
    steps:
      price: {tool: shop.price, with: {sku: "${line.sku}"}}
    give: {sku: "${line.sku}", cents: "${price.cents}", place: "${index}"}
"""
POLL = """\
  poll:
    repeat: {ask: {tool: job.status, with: {cursor: "${last.cursor}"}}}
    until: ask.state == 'ready'
    max: 20
    every: 30s
    start: {cursor: ""}
    give: {cursor: "${ask.cursor}"}
"""
