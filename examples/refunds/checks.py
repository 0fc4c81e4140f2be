"""The final check: what became of the runs, held against the expectations and the shop's own record of requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from examples.refunds.expectations import WAITING, Expectation
from examples.refunds.sources import Order, orders

UNFINISHED = frozenset({WAITING, "failed", "running", "cancelled"})


class TicketResult(TypedDict):
    """What became of one ticket's run.

    `outcome` is the workflow's, or `waiting`, `failed`, `running`, `cancelled`; `decided_by` is who decided its review,
    as `user/ana`, where a person did.
    """

    ticket: str
    outcome: str
    decided_by: NotRequired[str | None]


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that the shop paid and did not take back; `idempotency_key` as the request had it."""

    refund: str
    order: str
    cents: int
    idempotency_key: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How well a set of tickets went.

    Attributes:
        problems: what must not have happened, in words; empty means that the check passes.
        tickets: how many there were.
        right: how many reached an outcome that is right.
        safe: how many reached another that harms nobody.
        automatic: how many ended without a person.
        payments: how many payments stand.
        paid_cents: their sum.
        wrong_payments: how many of them no expectation allows.
    """

    problems: tuple[str, ...]
    tickets: int
    right: int
    safe: int
    automatic: int
    payments: int
    paid_cents: int
    wrong_payments: int

    @property
    def accuracy(self) -> float:
        """The share of tickets with a right outcome."""
        return self.right / self.tickets if self.tickets else 0.0

    @property
    def automatic_share(self) -> float:
        """The share of tickets that ended without a person."""
        return self.automatic / self.tickets if self.tickets else 0.0


def judge(
    results: Iterable[TicketResult], record: Iterable[Mapping[str, Any]], expectations: Mapping[str, Expectation]
) -> Verdict:
    """The verdict on all tickets of a set of expectations.

    Args:
        results: what became of each ticket's run.
        record: the shop's record of requests (`RunningShop.record()`).
        expectations: by ticket.
    """
    by_ticket = {result["ticket"]: result for result in results}
    payments = standing_payments(record)
    wrong = _wrong_payments(payments, by_ticket, expectations)
    right = [t for t, e in expectations.items() if t in by_ticket and by_ticket[t]["outcome"] in e.right]
    safe = [t for t, e in expectations.items() if t in by_ticket and by_ticket[t]["outcome"] in e.safe]
    problems = [*_wrong_outcomes(by_ticket, expectations), *(text for texts in wrong.values() for text in texts)]
    problems += _unpaid(payments, by_ticket, expectations)
    return Verdict(
        problems=tuple(problems),
        tickets=len(expectations),
        right=len(right),
        safe=len(safe),
        automatic=sum(_is_automatic(by_ticket[ticket]) for ticket in expectations if ticket in by_ticket),
        payments=len(payments),
        paid_cents=sum(payment.cents for payment in payments),
        wrong_payments=len(wrong),
    )


def find_problems(
    results: Iterable[TicketResult], record: Iterable[Mapping[str, Any]], expectations: Mapping[str, Expectation]
) -> list[str]:
    """What must not have happened, in words: wrong payments, outcomes that are not allowed, duplicates."""
    return list(judge(results, record, expectations).problems)


def standing_payments(record: Iterable[Mapping[str, Any]]) -> list[Payment]:
    """The payments in the shop's record that were not reversed later, oldest first."""
    payments: dict[str, Payment] = {}
    for entry in record:
        effect: Mapping[str, Any] = entry["effect"] or {}
        if effect.get("kind") == "payment":
            payments[effect["refund"]] = Payment(
                effect["refund"], effect["order"], effect["cents"], entry["idempotency_key"]
            )
        elif effect.get("kind") == "reversal":
            payments.pop(effect["refund"], None)
    return list(payments.values())


def _is_automatic(result: TicketResult) -> bool:
    return result["outcome"] not in UNFINISHED and not result.get("decided_by")


def _wrong_outcomes(by_ticket: Mapping[str, TicketResult], expectations: Mapping[str, Expectation]) -> list[str]:
    problems = [f"{ticket}: no such ticket is expected" for ticket in by_ticket if ticket not in expectations]
    for ticket, expectation in expectations.items():
        outcome = by_ticket[ticket]["outcome"] if ticket in by_ticket else "no run"
        if outcome not in (*expectation.right, *expectation.safe):
            wanted = " or ".join((*expectation.right, *expectation.safe))
            problems.append(f"{ticket} ({expectation.kind}): {outcome}, where {wanted} is right. {expectation.why}")
    return problems


def _wrong_payments(
    payments: Sequence[Payment], by_ticket: Mapping[str, TicketResult], expectations: Mapping[str, Expectation]
) -> dict[str, list[str]]:
    """What is wrong with payments, by refund."""
    owned = {order.id: order for order in orders()}
    counts: Counter[str] = Counter()
    wrong: dict[str, list[str]] = {}
    for payment in payments:
        counts[payment.order] += 1
        texts: list[str] = []
        if counts[payment.order] > 1:
            texts.append(f"order {payment.order} was paid again: {payment.cents} cents, key {payment.idempotency_key}")
        texts += _above_refundable(payment, owned.get(payment.order))
        texts += _not_allowed(payment, by_ticket, expectations)
        if texts:
            wrong[payment.refund] = texts
    return wrong


def _above_refundable(payment: Payment, order: Order | None) -> list[str]:
    refundable = order.total_cents if order and order.status == "delivered" and not order.refunded_cents else 0
    if payment.cents <= refundable:
        return []
    return [f"order {payment.order}: {payment.cents} cents were paid, {refundable} cents are refundable"]


def _not_allowed(
    payment: Payment, by_ticket: Mapping[str, TicketResult], expectations: Mapping[str, Expectation]
) -> list[str]:
    """Whether a ticket whose run ended refunded accounts for this payment on an order of its own customer."""
    reasons: list[str] = []
    owners = {order.id: order.customer for order in orders()}
    for ticket, expectation in expectations.items():
        if expectation.order != payment.order or owners.get(payment.order) != expectation.customer:
            continue
        result = by_ticket.get(ticket)
        if result is None or result["outcome"] != "refunded":
            reasons.append(f"{ticket} did not end refunded")
        elif result.get("decided_by"):
            if payment.cents <= (expectation.reviewed_max_cents or 0):
                return []
            reasons.append(f"{ticket} allows {expectation.reviewed_max_cents} cents after a review")
        elif payment.cents == expectation.automatic_cents:
            return []
        else:
            reasons.append(f"{ticket} allows {expectation.automatic_cents or 'nothing'} without a person")
    why = "; ".join(reasons) or "no ticket allows a payment on it"
    return [f"order {payment.order}: {payment.cents} cents were paid, but {why}"]


def _unpaid(
    payments: Sequence[Payment], by_ticket: Mapping[str, TicketResult], expectations: Mapping[str, Expectation]
) -> list[str]:
    paid = {payment.order for payment in payments}
    return [
        f"{ticket}: it ended refunded, and the shop has no payment on order {expectation.order}"
        for ticket, expectation in expectations.items()
        if ticket in by_ticket and by_ticket[ticket]["outcome"] == "refunded" and expectation.order not in paid
    ]
