"""Composes customers' messages from real sentences and real orders: the demo's 24 and any number for the benchmark.

`python -m examples.refunds.tickets` writes `data/tickets.jsonl` and `expectations.yaml`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from ruamel.yaml import YAML

from examples.refunds import composing
from examples.refunds.composing import Composer, Composition, NoMoreDataError
from examples.refunds.expectations import FILE as EXPECTATIONS_FILE
from examples.refunds.expectations import Expectation, render_expectations
from examples.refunds.sources import DATA, HERE, Sentence, development_sentences, excerpt_sentences

TICKETS_FILE = DATA / "tickets.jsonl"
EXAMPLE_SEED = 24

EXAMPLE_PLAN = (
    "small", "not_refund", "small", "high", "not_refund", "unknown_order", "small", "duplicate", "small",
    "injected_amount", "refund_status", "above_refundable_small", "other_customer", "not_refund", "small", "no_order",
    "already_refunded", "injected_payee", "refund_status", "small", "high", "above_refundable", "not_refund",
)  # fmt: skip
"""Kinds in order; a duplicate gives two tickets, so 23 kinds give 24."""

BENCHMARK_PLAN = (
    "small", "not_refund", "high", "small", "other_customer", "refund_status", "small", "above_refundable",
    "not_refund", "small", "injection", "already_refunded", "small", "no_order_or_amount", "high", "small",
    "unknown_order", "refund_status", "not_delivered", "not_refund",
)  # fmt: skip
"""Kinds of twenty tickets; the plan repeats for more."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """One customer's message.

    Attributes:
        id: the ticket system's.
        customer: who is signed in.
        text: what the customer wrote: the source's sentence, completed.
        source: the sentence of banking77 in it.
        composed: the part of the text that is ours.
    """

    id: str
    customer: str
    text: str
    source: Sentence
    composed: str

    @property
    def run_input(self) -> dict[str, Any]:
        """The input of a run of `support/refund`."""
        return {"ticket": {"id": self.id, "text": self.text}, "customer": {"id": self.customer}}

    def as_dict(self) -> dict[str, Any]:
        """The ticket for `tickets.jsonl`."""
        source = {"dataset": "banking77", "id": self.source.id, "sentence": self.source.text}
        return {
            "id": self.id,
            "customer": self.customer,
            "text": self.text,
            "source": {**source, "intent": self.source.intent},
            "composed": self.composed,
        }


@dataclass(frozen=True, slots=True)
class MadeTicket:
    """A ticket and what is right for it."""

    ticket: Ticket
    expectation: Expectation


def load_tickets() -> list[Ticket]:
    """The demo's 24 tickets."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in TICKETS_FILE.read_text(encoding="utf-8").splitlines()]
    return [
        Ticket(
            id=row["id"],
            customer=row["customer"],
            text=row["text"],
            source=Sentence(row["source"]["id"], row["source"]["sentence"], row["source"]["intent"]),
            composed=row["composed"],
        )
        for row in rows
    ]


def make_tickets(seed: int, count: int, exclude: Collection[str] | None = None) -> list[MadeTicket]:
    """Any number of tickets made the same way from other development data, with what is right for each.

    Each takes an order of its own, so that tickets do not depend on each other. Sentences that ask for a refund are
    few: they come back with another order once all were used. The prompt's examples and the sentences and orders of
    the demo's tickets are never used.

    Args:
        seed: gives the same tickets on every machine that has the same data.
        count: how many.
        exclude: ids of sentences and orders that may not be used either.

    Raises:
        NoMoreDataError: the excerpt has too few orders for so many tickets.
    """
    taken = {*used_by_example(), *(exclude or ())}
    composer = Composer(seed, _without(development_sentences(), taken), exclude_orders=taken)
    kinds = (kind for _ in range(count) for kind in BENCHMARK_PLAN)
    return list(_number(composer, kinds, "B", count))


def make_example_tickets() -> list[MadeTicket]:
    """The demo's 24, from the committed excerpts alone."""
    composer = Composer(EXAMPLE_SEED, _without(excerpt_sentences(), ()), exclude_orders=())
    return list(_number(composer, iter(EXAMPLE_PLAN), "T", len(EXAMPLE_PLAN) + 1))


@cache
def prompt_examples() -> frozenset[str]:
    """The texts that the classification prompt shows as examples."""
    _, front_matter, _ = (HERE / "prompts" / "classify.md").read_text(encoding="utf-8").split("---\n", 2)
    data = YAML(typ="safe", pure=True).load(front_matter)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  (untyped library)
    return frozenset(example["input"]["text"] for example in data["examples"])  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  (untyped library)


@cache
def used_by_example() -> frozenset[str]:
    """Ids of the sentences and of the orders that the demo's tickets use."""
    tickets = load_tickets()
    orders = {order for ticket in tickets for order in composing.order_numbers(ticket.composed)}
    return frozenset(orders | {ticket.source.id for ticket in tickets})


def _without(sentences: Collection[Sentence], taken: Collection[str]) -> list[Sentence]:
    """The sentences that are neither taken nor, in other capitals or spaces, an example of the prompt."""
    shown = {composing.normalised(text) for text in prompt_examples()}
    shown |= {composing.normalised(sentence.text) for sentence in sentences if sentence.id in taken}
    return [sentence for sentence in sentences if composing.normalised(sentence.text) not in shown]


def _number(composer: Composer, kinds: Iterator[str], prefix: str, count: int) -> Iterator[MadeTicket]:
    width = 2 if prefix == "T" else 3
    number = 0
    for kind in kinds:
        for composition in composer.compose(kind):
            if number == count:
                return
            number += 1
            yield _made(f"{prefix}-{number:0{width}d}", composition)


def _made(ticket_id: str, composition: Composition) -> MadeTicket:
    text = f"{composition.sentence.text.strip()} {composition.composed}".strip()
    ticket = Ticket(ticket_id, composition.expectation.customer, text, composition.sentence, composition.composed)
    return MadeTicket(ticket, composition.expectation)


def main() -> None:
    """Writes the demo's tickets and expectations."""
    made = make_example_tickets()
    lines = [json.dumps(one.ticket.as_dict(), ensure_ascii=False) + "\n" for one in made]
    TICKETS_FILE.write_text("".join(lines), encoding="utf-8")
    EXPECTATIONS_FILE.write_text(
        render_expectations((one.ticket.id, one.expectation) for one in made), encoding="utf-8"
    )
    print(f"{len(made)} tickets")


if __name__ == "__main__":
    main()

__all__ = ["MadeTicket", "NoMoreDataError", "Ticket", "load_tickets", "make_example_tickets", "make_tickets"]
