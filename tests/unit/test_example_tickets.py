"""The example's tickets: real sentences, marked compositions, nothing the classifier was shown, and strict checks."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from examples.refunds import composing
from examples.refunds.checks import TicketResult, find_problems, judge
from examples.refunds.demo_report import injections
from examples.refunds.expectations import Expectation, load_expectations, render_expectations
from examples.refunds.sources import DATA, HERE, SMALL_CENTS, excerpt_sentences, orders, shop_data
from examples.refunds.tickets import (
    NoMoreDataError,
    Ticket,
    load_tickets,
    make_example_tickets,
    make_tickets,
    prompt_examples,
    used_by_example,
)
from rich.console import Console

TICKETS = load_tickets()
EXPECTATIONS = load_expectations()
ORDERS = {order.id: order for order in orders()}


def test_the_committed_tickets_are_the_ones_that_the_program_makes() -> None:
    made = make_example_tickets()
    assert [one.ticket for one in made] == TICKETS
    assert {one.ticket.id: one.expectation for one in made} == EXPECTATIONS
    rendered = render_expectations((one.ticket.id, one.expectation) for one in made)
    assert (HERE / "expectations.yaml").read_text(encoding="utf-8") == rendered


def test_there_are_24_of_all_the_kinds_that_the_example_promises() -> None:
    kinds = [EXPECTATIONS[ticket.id].kind for ticket in TICKETS]
    assert len(TICKETS) == len({ticket.id for ticket in TICKETS}) == 24
    assert kinds.count("not_refund") + kinds.count("refund_status") >= 6
    assert kinds.count("duplicate") == 2
    assert kinds.count("injected_amount") == kinds.count("injected_payee") == 1
    assert set(kinds) >= {
        "small_amount", "high_amount", "above_refundable", "unknown_order", "no_order", "other_customer",
        "already_refunded",
    }  # fmt: skip


@pytest.mark.parametrize("ticket", TICKETS, ids=lambda ticket: ticket.id)
def test_a_ticket_is_a_real_sentence_and_a_marked_rest(ticket: Ticket) -> None:
    known = {sentence.id: sentence for sentence in excerpt_sentences()}
    assert known[ticket.source.id] == ticket.source
    assert ticket.text == f"{ticket.source.text.strip()} {ticket.composed}".strip()
    customers = {customer["id"] for customer in shop_data()["customers"]}
    assert ticket.customer in customers


def test_everything_taken_from_others_is_attributed() -> None:
    text = (DATA / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for name in ("shop.json", "sentences.jsonl", "tickets.jsonl", "classify.md", "CC-BY-4.0", "MIT", "sierra-research"):
        assert name in text
    assert f"{len(orders())} of 1,000 orders" in text
    assert f"{len((DATA / 'sentences.jsonl').read_text(encoding='utf-8').splitlines())} of 10,003" in text
    assert "Copyright (c) 2024 Sierra" in (DATA / "LICENSE-tau-bench.txt").read_text(encoding="utf-8")


def test_no_ticket_uses_what_the_classifier_is_shown_or_what_the_demo_uses() -> None:
    examples = {composing.normalised(text) for text in prompt_examples()}
    assert 0 < len(examples) <= 40
    shown_ids = used_by_example()
    for ticket in [*TICKETS, *(one.ticket for one in make_tickets(3, 200))]:
        assert composing.normalised(ticket.source.text) not in examples
        if ticket.id.startswith("B"):
            assert ticket.source.id not in shown_ids
            assert not composing.order_numbers(ticket.composed) & shown_ids


def test_generated_tickets_follow_their_seed_and_may_be_excluded() -> None:
    first = make_tickets(11, 40)
    assert first == make_tickets(11, 40)
    assert first != make_tickets(12, 40)
    gone = {first[0].ticket.source.id, str(first[0].expectation.order)}
    again = make_tickets(11, 40, exclude=gone)
    assert not {one.ticket.source.id for one in again} & gone
    assert not {one.expectation.order for one in again} & gone


def test_generated_tickets_do_not_share_orders_that_may_be_paid() -> None:
    paid = [one.expectation.order for one in make_tickets(5, 200) if one.expectation.order]
    assert len(paid) == len(set(paid))


@pytest.mark.parametrize("seed", range(3))
def test_expectations_agree_with_the_orders(seed: int) -> None:
    for one in make_tickets(seed, 200):
        expectation, numbers = one.expectation, composing.order_numbers(one.ticket.composed)
        if expectation.order is not None:
            order = ORDERS[expectation.order]
            assert (order.status, order.customer) == ("delivered", expectation.customer)
            assert numbers <= {order.id}
            assert (expectation.reviewed_max_cents or 0) == order.total_cents
            assert (expectation.automatic_cents or 0) <= min(SMALL_CENTS, order.total_cents)
        if expectation.kind in ("other_customer", "injected_payee"):
            assert all(ORDERS[number].customer != expectation.customer for number in numbers)
        if expectation.kind == "unknown_order":
            assert not numbers & set(ORDERS)


def test_more_tickets_than_orders_is_an_error_and_not_a_repetition() -> None:
    with pytest.raises(NoMoreDataError):
        make_tickets(1, 2_000)


def payment(order: str, cents: int, refund: str = "R-1") -> dict[str, Any]:
    effect = {"kind": "payment", "refund": refund, "order": order, "cents": cents}
    return {"effect": effect, "idempotency_key": f"refund/{order}"}


def results(**changes: str) -> list[TicketResult]:
    outcomes = {ticket: expectation.right[0] for ticket, expectation in EXPECTATIONS.items()} | changes
    return [{"ticket": ticket, "outcome": outcome} for ticket, outcome in outcomes.items()]


def record() -> list[dict[str, Any]]:
    due: dict[str, Expectation] = {
        e.order: e for e in EXPECTATIONS.values() if e.order is not None and e.automatic_cents is not None
    }
    return [
        payment(order, expectation.automatic_cents or 0, f"R-{order}") for order, expectation in sorted(due.items())
    ]


def one_of(kind: str) -> tuple[str, Expectation]:
    return next((ticket, expectation) for ticket, expectation in EXPECTATIONS.items() if expectation.kind == kind)


def test_the_check_passes_what_is_right() -> None:
    verdict = judge(results(), record(), EXPECTATIONS)
    assert verdict.problems == ()
    assert (verdict.right, verdict.accuracy, verdict.wrong_payments) == (24, 1.0, 0)
    assert verdict.payments == len(record())
    assert verdict.automatic == sum(expectation.right[0] != "waiting" for expectation in EXPECTATIONS.values())


def test_the_check_passes_what_is_safe_without_calling_it_right() -> None:
    ticket, expectation = one_of("small_amount")
    kept = [entry for entry in record() if entry["effect"]["order"] != expectation.order]
    changed = results(**{ticket: "waiting"})
    verdict = judge(changed, kept, EXPECTATIONS)
    assert (verdict.problems, verdict.right, verdict.safe) == ((), 23, 1)


def test_the_check_finds_what_is_wrong() -> None:
    small_ticket, small = one_of("small_amount")
    other_ticket, _ = one_of("other_customer")
    high_ticket, high = one_of("high_amount")
    assert small.order is not None
    assert small.automatic_cents is not None
    assert high.order is not None
    cancelled = next(order for order in orders() if order.status == "cancelled")
    again = payment(small.order, small.automatic_cents, "R-again")
    reversal = {"effect": {**again["effect"], "kind": "reversal"}, "idempotency_key": None}
    assert "was paid again" in find_problems(results(), [*record(), again], EXPECTATIONS)[0]
    assert find_problems(results(), [*record(), again, reversal], EXPECTATIONS) == []
    assert "are refundable" in find_problems(results(), [*record(), payment(cancelled.id, 1)], EXPECTATIONS)[0]
    assert other_ticket in find_problems(results(**{other_ticket: "refunded"}), record(), EXPECTATIONS)[0]
    assert "no payment" in find_problems(results(), record()[1:], EXPECTATIONS)[0]
    assert "no run" in find_problems(results()[1:], record(), EXPECTATIONS)[0]
    assert "no such ticket" in find_problems(results(X="refunded"), record(), EXPECTATIONS)[0]
    assert small_ticket in find_problems(results(**{small_ticket: "failed"}), record(), EXPECTATIONS)[0]
    paid_high = [*record(), payment(high.order, high.reviewed_max_cents or 0)]
    unreviewed = results(**{high_ticket: "refunded"})
    assert "without a person" in find_problems(unreviewed, paid_high, EXPECTATIONS)[0]
    reviewed: list[TicketResult] = [
        {**result, "decided_by": "user/ana"} if result["ticket"] == high_ticket else result for result in unreviewed
    ]
    assert find_problems(reviewed, paid_high, EXPECTATIONS) == []


def test_the_demo_says_of_an_injection_what_its_run_did() -> None:
    ticket = next(ticket for ticket in TICKETS if EXPECTATIONS[ticket.id].kind == "injected_amount")
    decision: dict[str, Any] = {
        "step": "decision",
        "status": "done",
        "output": {"cents": 500, "decided_by": "user/ana"},
    }
    paid: dict[str, Any] = {"step": "refund", "status": "done", "output": {"id": "R-1"}}
    events = [{"seq": seq, "kind": "step.ended", "data": data} for seq, data in enumerate((decision, paid), 1)]
    run: dict[str, Any] = {"outcome": "refunded", "status": "done", "ended_at": "now", "waiting_for": []}
    still: dict[str, Any] = {"outcome": None, "status": "running", "ended_at": None, "waiting_for": [], "journal": []}
    shown: list[str] = []
    for details in ({**run, "journal": events}, still):
        console = Console(width=200, file=io.StringIO(), record=True)
        injections(console, [ticket], {ticket.id: details}, EXPECTATIONS)
        shown.append(console.export_text())
    assert "The shop paid." in shown[0]
    assert "paid nothing" not in shown[0]
    assert "running" in shown[1]


def test_a_ticket_row_names_its_source() -> None:
    for line in (DATA / "tickets.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert row["source"]["dataset"] == "banking77"
        assert row["source"]["id"].startswith("b77-train-")
