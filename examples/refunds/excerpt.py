"""Makes the committed excerpts in `data/` from the original data sets: `python -m examples.refunds.excerpt DATA`.

DATA holds `tau_bench/retail/data/` and `banking77/dev/`. The result depends on nothing else, so anyone can repeat it.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from examples.refunds.sources import DATA, SMALL_CENTS, is_usable_sentence

SEED = 77
OTHER_ORDERS = {"delivered": 40, "cancelled": 20, "pending": 15, "processed": 10}
"""How many orders without a small item are taken, by status; delivered ones with a small item are taken all."""
SENTENCES = {"request_refund": 130, "Refund_not_showing_up": 50}
"""How many sentences of an intent are taken; of every other intent, `SENTENCES_OF_OTHERS`."""
SENTENCES_OF_OTHERS = 4


def cents(price: float) -> int:
    """A price in US dollars as integer cents."""
    return round(price * 100)


def shop_order(order: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a tau-bench order that a refund needs; addresses are left out."""
    return {
        "id": order["order_id"].removeprefix("#"),
        "customer": order["user_id"],
        "status": order["status"],
        "items": [
            {"id": item["item_id"], "name": item["name"], "cents": cents(item["price"])} for item in order["items"]
        ],
        "payments": [
            {"type": payment["transaction_type"], "cents": cents(payment["amount"])}
            for payment in order["payment_history"]
        ],
    }


def choose_orders(originals: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The excerpt's orders, by id."""
    generator = random.Random(SEED)
    orders = sorted((shop_order(order) for order in originals.values()), key=lambda order: order["id"])
    small = [
        order
        for order in orders
        if order["status"] == "delivered" and any(item["cents"] < SMALL_CENTS for item in order["items"])
    ]
    chosen = {order["id"]: order for order in small}
    for status, count in OTHER_ORDERS.items():
        rest = [order for order in orders if order["status"] == status and order["id"] not in chosen]
        chosen.update({order["id"]: order for order in generator.sample(rest, count)})
    return [chosen[key] for key in sorted(chosen)]


def choose_sentences(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The excerpt's sentences, in their original order."""
    generator = random.Random(SEED)
    chosen: set[str] = set()
    for intent in sorted({row["intent"] for row in rows}):
        usable = [row["id"] for row in rows if row["intent"] == intent and is_usable_sentence(row)]
        chosen.update(generator.sample(usable, min(SENTENCES.get(intent, SENTENCES_OF_OTHERS), len(usable))))
    return [row for row in rows if row["id"] in chosen]


def main() -> None:
    """Writes `data/shop.json` and `data/sentences.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder with tau_bench/ and banking77/")
    source: Path = parser.parse_args().data
    retail = source / "tau_bench" / "retail" / "data"
    orders = choose_orders(json.loads((retail / "orders.json").read_text(encoding="utf-8")))
    users = json.loads((retail / "users.json").read_text(encoding="utf-8"))
    customers = [
        {"id": key, "name": " ".join(users[key]["name"].values())} for key in sorted({o["customer"] for o in orders})
    ]
    lines = [json.dumps(order, separators=(",", ":")) for order in orders]
    people = [json.dumps(customer, separators=(",", ":")) for customer in customers]
    shop = ['{"customers":[', ",\n".join(people), '],"orders":[', ",\n".join(lines), "]}", ""]
    (DATA / "shop.json").write_text("\n".join(shop), encoding="utf-8")
    text = (source / "banking77" / "dev" / "train.jsonl").read_text(encoding="utf-8")
    sentences = choose_sentences([json.loads(line) for line in text.splitlines()])
    (DATA / "sentences.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sentences), encoding="utf-8")
    print(f"{len(customers)} customers, {len(orders)} orders, {len(sentences)} sentences")


if __name__ == "__main__":
    main()
