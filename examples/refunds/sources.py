"""The real data behind the example: orders of tau-bench retail and sentences of banking77."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

HERE = Path(__file__).parent
DATA = HERE / "data"
SMALL_CENTS = 10_000
"""Amounts up to this need no person by the refund policy, in cents."""

Kind = Literal["refund", "refund_status", "other"]

AMBIGUOUS_INTENTS = frozenset(
    {
        # They complain about a charge or ask for money back without the word: people disagree whether that asks for
        # a refund, so neither label would be fair.
        "cancel_transfer",
        "card_payment_fee_charged",
        "card_payment_not_recognised",
        "cash_withdrawal_charge",
        "cash_withdrawal_not_recognised",
        "direct_debit_payment_not_recognised",
        "exchange_charge",
        "extra_charge_on_statement",
        "reverted_card_payment?",
        "top_up_by_bank_transfer_charge",
        "top_up_by_card_charge",
        "top_up_reverted",
        "transaction_charged_twice",
        "transfer_fee_charged",
        "wrong_amount_of_cash_received",
    }
)
_GENERAL_QUESTION = re.compile(
    r"policy|procedure|process\?|learning more|^are |do you (offer|give|have)|"
    r"what do i need|where do i|what is|how does|how long|\bcar\b|tutor|fee\b|charge|statement",
    re.IGNORECASE,
)
_ASKS_FOR_REFUND = re.compile(r"refund|money back|back my money|money refunded", re.IGNORECASE)
_CONFUSED_STATUS = re.compile(
    r"^i need (my|a) refund|right away|instead of|as soon as|just refund|hurry|direct refund", re.IGNORECASE
)
LONGEST_SENTENCE = 220
"""In characters: longer ones fill a terminal's table with nothing new."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One message of banking77 as its writer wrote it."""

    id: str
    text: str
    intent: str

    @property
    def kind(self) -> Kind:
        """What the refund workflow should take it for."""
        return {"request_refund": "refund", "Refund_not_showing_up": "refund_status"}.get(self.intent, "other")  # type: ignore[return-value]  # a dict's values widen to str


@dataclass(frozen=True, slots=True)
class Order:
    """One order of the shop's excerpt; amounts in integer cents of US dollars."""

    id: str
    customer: str
    status: str
    items: tuple[tuple[str, int], ...]
    total_cents: int
    refunded_cents: int


def is_usable_sentence(row: dict[str, str]) -> bool:
    """Whether a row of banking77 says clearly what the example needs it to say.

    Questions about refunds in general, numbers (they would compete with the composed amount) and intents that people
    would label differently are left out.
    """
    text = row["text"]
    if row["intent"] in AMBIGUOUS_INTENTS or len(text) > LONGEST_SENTENCE or re.search(r"[\d$€£#\n]", text):
        return False
    if row["intent"] == "request_refund":
        return bool(_ASKS_FOR_REFUND.search(text)) and not _GENERAL_QUESTION.search(text)
    if row["intent"] == "Refund_not_showing_up":
        return "refund" in text.lower() and not _CONFUSED_STATUS.search(text)
    return "refund" not in text.lower()


def shared_data() -> Path | None:
    """The folder of the full data sets: `SIGNOFF_SHARED_DATA`, or `shared/data` beside the checkout; none if absent."""
    named = os.environ.get("SIGNOFF_SHARED_DATA")
    folder = Path(named) if named else HERE.parents[2] / "shared" / "data"
    return folder if (folder / "banking77" / "dev" / "train.jsonl").is_file() else None


def _sentences(file: Path) -> tuple[Sentence, ...]:
    rows: list[dict[str, str]] = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return tuple(Sentence(row["id"], row["text"], row["intent"]) for row in rows if is_usable_sentence(row))


@cache
def excerpt_sentences() -> tuple[Sentence, ...]:
    """The committed excerpt of banking77's training split."""
    return _sentences(DATA / "sentences.jsonl")


@cache
def development_sentences() -> tuple[Sentence, ...]:
    """All of banking77's training split where it is there, else the committed excerpt."""
    folder = shared_data()
    return excerpt_sentences() if folder is None else _sentences(folder / "banking77" / "dev" / "train.jsonl")


@cache
def shop_data() -> dict[str, Any]:
    """The shop's excerpt of tau-bench retail: `customers` and `orders`."""
    data: dict[str, Any] = json.loads((DATA / "shop.json").read_text(encoding="utf-8"))
    return data


@cache
def orders() -> tuple[Order, ...]:
    """The orders of the shop's excerpt, by id."""
    return tuple(
        Order(
            id=order["id"],
            customer=order["customer"],
            status=order["status"],
            items=tuple((item["name"], item["cents"]) for item in order["items"]),
            total_cents=sum(item["cents"] for item in order["items"]),
            refunded_cents=sum(payment["cents"] for payment in order["payments"] if payment["type"] == "refund"),
        )
        for order in shop_data()["orders"]
    )
