"""The shop's database: orders, refunds and tickets in SQLite, and the shop's own rules about money."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CURRENCY = "USD"
BUSY_TIMEOUT_S = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS customer (id TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS purchase (
  id TEXT PRIMARY KEY,
  customer TEXT NOT NULL REFERENCES customer,
  status TEXT NOT NULL CHECK (status IN ('pending', 'processed', 'delivered', 'cancelled')),
  items TEXT NOT NULL,
  total_cents INTEGER NOT NULL CHECK (total_cents >= 0),
  refunded_before_cents INTEGER NOT NULL CHECK (refunded_before_cents BETWEEN 0 AND total_cents)
);
CREATE TABLE IF NOT EXISTS refund (
  id TEXT PRIMARY KEY,
  purchase TEXT NOT NULL REFERENCES purchase,
  cents INTEGER NOT NULL CHECK (cents > 0),
  status TEXT NOT NULL CHECK (status IN ('paid', 'reversed')),
  idempotency_key TEXT,
  fingerprint TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS refund_key ON refund (idempotency_key);
CREATE INDEX IF NOT EXISTS refund_purchase ON refund (purchase);
CREATE TABLE IF NOT EXISTS ticket (id TEXT PRIMARY KEY, resolution TEXT NOT NULL);
"""


class RefusedError(Exception):
    """The shop does not do it; `status` is the HTTP status that says so."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail


class Ledger:
    """All of the shop's data. Safe to use from several threads; every change is one SQLite transaction."""

    def __init__(self, file: Path, *, deduplicate: bool = True) -> None:
        """Opens the database, makes it where it is new.

        Args:
            file: the SQLite database.
            deduplicate: false makes it the worst sink that a caller could meet: it ignores idempotency keys and pays
                whatever it is told, as often as it is told.
        """
        self._deduplicate = deduplicate
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=BUSY_TIMEOUT_S)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Closes the database."""
        self._connection.close()

    def fill(self, data: Mapping[str, Any]) -> None:
        """Takes over customers and orders that are not there yet."""
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO customer (id, name) VALUES (:id, :name)",
                data["customers"],
            )
            connection.executemany(
                "INSERT OR IGNORE INTO purchase VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        order["id"],
                        order["customer"],
                        order["status"],
                        json.dumps(order["items"]),
                        sum(item["cents"] for item in order["items"]),
                        sum(payment["cents"] for payment in order["payments"] if payment["type"] == "refund"),
                    )
                    for order in data["orders"]
                ],
            )

    def order(self, customer: str, order_id: str) -> dict[str, Any]:
        """That customer's order.

        Raises:
            RefusedError: 404, also for an order of somebody else: whether it exists is nobody else's business.
        """
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT * FROM purchase WHERE id = ? AND customer = ?", (order_id.removeprefix("#"), customer)
            ).fetchone()
            if row is None:
                raise RefusedError(404, "No such order", f"Customer {customer} has no order {order_id}.")
            return self._order(connection, row)

    def pay_refund(
        self, order_id: str, cents: int, key: str | None, *, customer: str | None = None
    ) -> tuple[dict[str, Any], bool]:
        """Pays money back on an order, once for each key. Returns the refund and whether it was paid just now.

        Where a customer is named, the order has to be theirs.

        Keys work as in the IETF draft "The Idempotency-Key HTTP Header Field".

        Raises:
            RefusedError: 404 no such order; 409 more than is refundable; 422 the key was used with another body.
        """
        order_id = order_id.removeprefix("#")
        fingerprint = hashlib.sha256(json.dumps([order_id, cents]).encode()).hexdigest()
        with self._transaction() as connection:
            if self._deduplicate and key is not None:
                known = connection.execute("SELECT * FROM refund WHERE idempotency_key = ?", (key,)).fetchone()
                if known is not None:
                    if known["fingerprint"] != fingerprint:
                        raise RefusedError(
                            422, "Idempotency key reused", f"The key {key} belongs to another refund request."
                        )
                    return _refund(known), False
            purchase = connection.execute("SELECT * FROM purchase WHERE id = ?", (order_id,)).fetchone()
            if purchase is None or customer not in (None, purchase["customer"]):
                raise RefusedError(404, "No such order", f"There is no order {order_id}.")
            refundable_cents = self._order(connection, purchase)["refundable_cents"]
            if self._deduplicate and cents > refundable_cents:
                raise RefusedError(
                    409,
                    "Not refundable",
                    f"{cents} cents were asked for; {refundable_cents} cents of order {order_id} are refundable.",
                )
            row = connection.execute(
                "INSERT INTO refund VALUES (?, ?, ?, 'paid', ?, ?) RETURNING *",
                (f"R-{uuid.uuid4().hex[:12]}", order_id, cents, key, fingerprint),
            ).fetchone()
            return _refund(row), True

    def reverse_refund(self, refund_id: str) -> tuple[dict[str, Any], bool]:
        """Takes a refund back; once more changes nothing. Returns the refund and whether it was reversed just now.

        Raises:
            RefusedError: 404 no such refund.
        """
        with self._transaction() as connection:
            row = connection.execute("SELECT * FROM refund WHERE id = ?", (refund_id,)).fetchone()
            if row is None:
                raise RefusedError(404, "No such refund", f"There is no refund {refund_id}.")
            if row["status"] == "reversed":
                return _refund(row), False
            row = connection.execute(
                "UPDATE refund SET status = 'reversed' WHERE id = ? RETURNING *", (refund_id,)
            ).fetchone()
            return _refund(row), True

    def find_refund(self, key: str) -> dict[str, Any]:
        """The refund that was paid with that idempotency key.

        Raises:
            RefusedError: 404 no refund was paid with it.
        """
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT * FROM refund WHERE idempotency_key = ? ORDER BY rowid LIMIT 1", (key,)
            ).fetchone()
            if row is None:
                raise RefusedError(404, "No such refund", f"No refund was paid with the key {key}.")
            return _refund(row)

    def close_ticket(self, ticket_id: str, resolution: str) -> dict[str, Any]:
        """Closes a ticket; the first resolution stands, so that asking again changes nothing."""
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO ticket VALUES (?, ?)", (ticket_id, resolution))
            row = connection.execute("SELECT * FROM ticket WHERE id = ?", (ticket_id,)).fetchone()
            return {"id": row["id"], "status": "closed", "resolution": row["resolution"]}

    def totals(self) -> dict[str, int]:
        """What the shop paid so far, by its own count."""
        with self._transaction() as connection:
            row = connection.execute(
                """SELECT count(*) AS payments, coalesce(sum(cents), 0) AS paid_cents,
                          count(*) FILTER (WHERE status = 'reversed') AS reversals,
                          (SELECT count(*) FROM ticket) AS tickets_closed
                   FROM refund"""
            ).fetchone()
            return dict(row)

    def _order(self, connection: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
        paid_cents: int = connection.execute(
            "SELECT coalesce(sum(cents), 0) FROM refund WHERE purchase = ? AND status = 'paid'", (row["id"],)
        ).fetchone()[0]
        refunded_cents = row["refunded_before_cents"] + paid_cents
        # The shop's rule: goods that arrived, and one refund for an order. Cancelled orders were paid back when they
        # were cancelled; pending ones are cancelled, not refunded.
        refundable = row["status"] in ("delivered", "cancelled") and refunded_cents == 0
        return {
            "id": row["id"],
            "customer": row["customer"],
            "status": row["status"],
            "total_cents": row["total_cents"],
            "refunded_cents": refunded_cents,
            "refundable_cents": row["total_cents"] if refundable else 0,
            "currency": CURRENCY,
            "items": json.loads(row["items"]),
        }

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _refund(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "order": row["purchase"],
        "cents": row["cents"],
        "currency": CURRENCY,
        "status": row["status"],
    }
