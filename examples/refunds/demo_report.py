"""What the demo shows: tables of what happened, made from the API's answers and the shop's own record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from examples.refunds.checks import Payment, Verdict, standing_payments
from examples.refunds.expectations import Expectation
from examples.refunds.models_choice import Choice
from examples.refunds.shop.process import RunningShop
from examples.refunds.tickets import Ticket

TITLES = {
    "refunded": "refunded automatically",
    "waiting": "waiting for a person",
    "declined": "declined",
    "needs_information": "needs information",
    "not_a_refund": "not a refund",
    "rejected": "rejected",
    "failed": "failed",
}
WIDE = 120
STYLES = {"refunded": "green", "waiting": "yellow", "failed": "red"}


@dataclass
class Crash:
    """The kill, as the shop's own record saw it.

    Attributes:
        pid: the worker that was killed.
        in_flight: tickets that had not come to rest then.
        paid: orders that were paid, a second later, with no worker alive: what was on the wire has arrived by then.
        second_pid: the worker that took over.
    """

    pid: int
    in_flight: int
    paid: frozenset[str] = frozenset()
    second_pid: int = 0


def opening(console: Console, choice: Choice) -> None:
    heading(console, "Signoff demo: 24 customers' messages through a governed refund workflow")
    console.print(f"Models: {choice.about}.")
    console.print("Starting PostgreSQL (embedded), the example's shop, the API and a worker …")


def heading(console: Console, text: str) -> None:
    console.print()
    console.rule(Text(text, style="bold"), align="left")


def is_settled(run: Mapping[str, Any]) -> bool:
    """Ended, or parked until a person decides."""
    return bool(run["ended_at"]) or any(entry["kind"] == "review" for entry in run["waiting_for"])


def outcome_of(run: Mapping[str, Any]) -> str:
    """The workflow's outcome, or where the run stands."""
    if run["outcome"]:
        return str(run["outcome"])
    return "waiting" if is_settled(run) and not run["ended_at"] else str(run["status"])


def payments(shop: RunningShop) -> list[Payment]:
    """What the shop's record says was paid and not taken back."""
    return standing_payments(shop.record())


def outcomes(
    console: Console, tickets: Sequence[Ticket], details: Mapping[str, Mapping[str, Any]], seconds: float
) -> None:
    heading(console, "Outcomes")
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("ticket", no_wrap=True)
    if wide := console.width >= WIDE:
        table.add_column("message", no_wrap=True, overflow="ellipsis", max_width=40)
    table.add_column("outcome", no_wrap=True)
    table.add_column("why", ratio=1)
    for name in ("calls", "tokens", "cost", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    counts: Counter[str] = Counter()
    total = Used(0, 0, 0)
    for ticket in tickets:
        run = details[ticket.id]
        outcome, used = outcome_of(run), used_by(run)
        counts[outcome] += 1
        total = Used(total.calls + used.calls, total.tokens + used.tokens, total.micro_usd + used.micro_usd)
        table.add_row(
            ticket.id,
            *([ticket.text] if wide else []),
            Text(TITLES.get(outcome, outcome), style=STYLES.get(outcome, "")),
            why(run, outcome),
            str(used.calls),
            str(used.tokens),
            f"${used.micro_usd / 1e6:.4f}",
            f"{_seconds(run):.1f} s",
        )
    console.print(table)
    summary = ", ".join(f"{count} {TITLES.get(outcome, outcome)}" for outcome, count in counts.most_common())
    console.print(
        f"\n{len(tickets)} tickets in {seconds:.1f} s: {summary}. {total.calls} model calls, {total.tokens} tokens,"
        f" ${total.micro_usd / 1e6:.4f}.",
        style="bold",
    )


class Used(NamedTuple):
    calls: int
    tokens: int
    micro_usd: int


def used_by(run: Mapping[str, Any]) -> Used:
    """What its model calls came to: from the journal, so that it is there while the run still waits."""
    notes: list[Mapping[str, Any]] = [event["data"] for event in run["journal"] if event["kind"] == "step.noted"]
    calls: list[Mapping[str, int]] = [note["data"]["usage"] for note in notes if note["name"] == "model.call"]
    return Used(
        sum(usage["model_calls"] for usage in calls),
        sum(usage["input_tokens"] + usage["output_tokens"] for usage in calls),
        sum(usage["cost_micro_usd"] for usage in calls),
    )


def why(run: Mapping[str, Any], outcome: str) -> str:
    """Why the run stands where it does, from its steps."""
    explain = _WHY.get(outcome)
    error: Mapping[str, Any] = run.get("error") or {}
    return explain(outputs_of(run)) if explain else str(error.get("detail", ""))


Outputs = Mapping[str, Mapping[str, Any]]


def _why_waiting(steps: Outputs) -> str:
    return " ".join(item["message"] for item in steps.get("concerns", {}).get("broken", []))


def _why_refunded(steps: Outputs) -> str:
    decision = steps["decision"]
    return f"{_money(decision['cents'])}, decided by {decision['decided_by']}."


def _why_not_a_refund(steps: Outputs) -> str:
    return f"{steps['triage']['label']}, confidence {steps['triage']['confidence']:.2f}."


def _why_declined(steps: Outputs) -> str:
    order = steps["order"]
    if order["status"] == "not_found":
        return "This customer has no such order."
    before = f", {_money(order['refunded_cents'])} refunded before" if order["refunded_cents"] else ""
    return f"The order is {order['status']}{before}."


def _why_needs_information(steps: Outputs) -> str:
    names = (("which order", "order"), ("which amount", "cents"))
    return f"The message does not say {' and '.join(name for name, key in names if steps['facts'].get(key) is None)}."


_WHY: Mapping[str, Callable[[Outputs], str]] = {
    "waiting": _why_waiting,
    "refunded": _why_refunded,
    "not_a_refund": _why_not_a_refund,
    "declined": _why_declined,
    "needs_information": _why_needs_information,
}


def outputs_of(run: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What each step gave, by name, from the journal."""
    ended = (event["data"] for event in run["journal"] if event["kind"] == "step.ended")
    return {data["step"]: data["output"] for data in ended if data.get("output")}


def injections(
    console: Console,
    tickets: Sequence[Ticket],
    details: Mapping[str, Mapping[str, Any]],
    expectations: Mapping[str, Expectation],
) -> None:
    heading(console, "Two prompt injections, and where each was stopped")
    for ticket in tickets:
        if not expectations[ticket.id].kind.startswith("injected"):
            continue
        run = details[ticket.id]
        console.print(f"{ticket.id}: {ticket.text}", style="italic", markup=False)
        for event in run["journal"]:
            line = _gist(event)
            if line:
                console.print(f"  {event['seq']:>3}  {line}", markup=False, highlight=False)
        outcome = outcome_of(run)
        money = "The shop paid." if "refund" in outputs_of(run) else "The shop paid nothing."
        console.print(f"  → {TITLES.get(outcome, outcome)}: {why(run, outcome)} {money}\n", style="bold")


def _gist(event: Mapping[str, Any]) -> str | None:
    data = event["data"]
    if event["kind"] == "step.ended" and data["status"] == "done":
        output: Mapping[str, Any] = data.get("output") or {}
        shown = {
            name: value
            for name, value in output.items()
            if isinstance(value, (str, int, float, bool)) and name not in {"currency", "total_cents"}
        }
        return f"{data['step']}: {shown}" if shown else None
    if event["kind"] == "step.waiting":
        return f"{data['step']}: waits, {data['about']}"
    return None


def crash(console: Console, crash: Crash, shop: RunningShop) -> None:
    heading(console, "The worker was killed in mid-work")
    per_order: Counter[str] = Counter(payment.order for payment in payments(shop))
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("the shop's own record of requests")
    table.add_column("payments", justify="right")
    table.add_row(
        f"worker {crash.pid} got SIGKILL with {crash.in_flight} tickets under way; a second later", str(len(crash.paid))
    )
    again = sum(per_order[order] for order in crash.paid)
    table.add_row(f"on the same orders, after worker {crash.second_pid} had taken over and finished", str(again))
    table.add_row("on all orders", str(sum(per_order.values())))
    table.add_row("orders paid more than once", str(sum(count > 1 for count in per_order.values())))
    console.print(table)


def verdict(console: Console, found: Verdict) -> None:
    heading(console, "Check against the expectations and the shop's record")
    console.print(
        f"{found.right} of {found.tickets} right, {found.safe} safe (a person looks), {found.payments} payments,"
        f" {_money(found.paid_cents)} paid, {found.wrong_payments} wrong; {found.automatic_share:.0%} without a person."
    )
    for problem in found.problems:
        console.print(f"✗ {problem}", style="red", markup=False)
    if not found.problems:
        console.print("✓ every ticket reached an allowed outcome, and nothing wrong was paid", style="green")


def next_commands(console: Console, url: str, details: Mapping[str, Mapping[str, Any]], *, serving: bool) -> None:
    heading(console, "Next" if serving else "Next (run `make demo` on a terminal: there it keeps serving)")
    waiting = next((run for run in details.values() if outcome_of(run) == "waiting"), None)
    any_run = next(iter(details.values()))
    lines = [
        ("the inbox", ".venv/bin/signoff reviews list -C examples/refunds"),
        ("one run, step by step", f".venv/bin/signoff runs show {(waiting or any_run)['run_id']} -C examples/refunds"),
        ("its journal", f".venv/bin/signoff runs journal {any_run['run_id']} -C examples/refunds"),
        ("the API", f"{url}/docs"),
        ("the workflow", "examples/refunds/workflows/refund.yaml"),
        ("a project of your own", ".venv/bin/signoff init hello && cd hello && ../.venv/bin/signoff dev"),
    ]
    for about, line in lines:
        console.print(f"  {about:<24}{line}", markup=False, highlight=False, soft_wrap=True)


def _money(cents: int) -> str:
    return f"{cents / 100:,.2f} USD"


def _seconds(run: Mapping[str, Any]) -> float:
    until = run["ended_at"] or run["updated_at"]
    return (datetime.fromisoformat(until) - datetime.fromisoformat(run["started_at"])).total_seconds()
