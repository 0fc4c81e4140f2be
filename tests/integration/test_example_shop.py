"""The example's shop over real HTTP, as a process of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from examples.refunds.shop.process import RunningShop, run_shop
from examples.refunds.sources import Order, orders

# One client, as each reads whom to trust with TLS, which the shop has none of. Each request has its own connection.
HTTP = httpx.Client(trust_env=False, verify=False, limits=httpx.Limits(max_keepalive_connections=0))
DELIVERED = next(order for order in orders() if order.status == "delivered" and order.total_cents > 20_000)
CANCELLED = next(order for order in orders() if order.status == "cancelled")
PENDING = next(order for order in orders() if order.status == "pending")


@pytest.fixture(scope="module")
def module_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    with run_shop(tmp_path_factory.mktemp("shop")) as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[RunningShop]:
    with run_shop(tmp_path) as running:
        yield running


def pay(shop: RunningShop, order: str, cents: int, key: str) -> httpx.Response:
    return HTTP.post(f"{shop.url}/refunds", json={"order": order, "cents": cents}, headers={"Idempotency-Key": key})


def refundable_cents(shop: RunningShop, order: Order) -> int:
    answer = HTTP.get(f"{shop.url}/customers/{order.customer}/orders/{order.id}").raise_for_status()
    return answer.json()["refundable_cents"]


def test_an_order_is_shown_to_its_customer_only(module_shop: RunningShop) -> None:
    own = HTTP.get(f"{module_shop.url}/customers/{DELIVERED.customer}/orders/%23{DELIVERED.id}")
    assert own.status_code == 200
    assert own.json()["total_cents"] == own.json()["refundable_cents"] == DELIVERED.total_cents
    other = HTTP.get(f"{module_shop.url}/customers/{CANCELLED.customer}/orders/{DELIVERED.id}")
    missing = HTTP.get(f"{module_shop.url}/customers/{DELIVERED.customer}/orders/W0000000")
    assert other.status_code == missing.status_code == 404
    assert other.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("order", [CANCELLED, PENDING], ids=lambda order: order.status)
def test_what_was_paid_back_or_not_delivered_is_not_refundable(module_shop: RunningShop, order: Order) -> None:
    assert refundable_cents(module_shop, order) == 0
    assert pay(module_shop, order.id, 1, f"refused/{order.id}").status_code == 409


def test_one_key_pays_once_and_belongs_to_one_body(shop: RunningShop) -> None:
    with ThreadPoolExecutor(8) as pool:
        tries = [pool.submit(pay, shop, DELIVERED.id, 1234, "once") for _ in range(16)]
    answers = [one.result() for one in tries]
    assert sorted(answer.status_code for answer in answers) == [200] * 15 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert pay(shop, DELIVERED.id, 1235, "once").status_code == 422
    assert HTTP.get(f"{shop.url}/totals").json()["paid_cents"] == 1234
    assert HTTP.get(f"{shop.url}/refunds", params={"key": "once"}).json()["cents"] == 1234
    assert HTTP.get(f"{shop.url}/refunds", params={"key": "never"}).status_code == 404


def test_an_order_is_refunded_once_and_again_only_after_a_reversal(shop: RunningShop) -> None:
    refund = pay(shop, DELIVERED.id, 500, "first").json()
    assert refundable_cents(shop, DELIVERED) == 0
    assert pay(shop, DELIVERED.id, 500, "second").status_code == 409
    for _ in range(2):
        assert HTTP.post(f"{shop.url}/refunds/{refund['id']}/reverse").json()["status"] == "reversed"
    assert refundable_cents(shop, DELIVERED) == DELIVERED.total_cents
    assert [entry["effect"]["kind"] for entry in shop.record() if entry["effect"]] == ["payment", "reversal"]
    assert HTTP.post(f"{shop.url}/refunds/R-none/reverse").status_code == 404


@pytest.mark.parametrize(
    "body", [{"order": "W1"}, {"order": "W1", "cents": 0}, {"order": "W1", "cents": "5"}, {"order": 1, "cents": 1}, []]
)
def test_a_malformed_refund_is_a_problem_that_names_the_field(module_shop: RunningShop, body: object) -> None:
    answer = HTTP.post(f"{module_shop.url}/refunds", json=body, headers={"Idempotency-Key": "bad"})
    assert answer.status_code == 422
    assert "body" in answer.json()["detail"]


def test_a_refund_needs_a_key_and_no_more_than_is_refundable(module_shop: RunningShop) -> None:
    assert HTTP.post(f"{module_shop.url}/refunds", json={"order": DELIVERED.id, "cents": 1}).status_code == 400
    assert pay(module_shop, DELIVERED.id, DELIVERED.total_cents + 1, "much").status_code == 409
    assert pay(module_shop, "W0000000", 1, "none").status_code == 404


def test_a_ticket_is_closed_once(shop: RunningShop) -> None:
    first = HTTP.post(f"{shop.url}/tickets/T-01/close", json={"resolution": "refunded"}).json()
    again = HTTP.post(f"{shop.url}/tickets/T-01/close", json={"resolution": "declined"}).json()
    assert first == again == {"id": "T-01", "status": "closed", "resolution": "refunded"}


def test_the_record_holds_every_request_and_outlives_the_process(tmp_path: Path) -> None:
    with run_shop(tmp_path) as shop:
        pay(shop, DELIVERED.id, 700, "kept")
    with run_shop(tmp_path) as shop:
        assert pay(shop, DELIVERED.id, 700, "kept").status_code == 200
        assert HTTP.get(f"{shop.url}/totals").json()["payments"] == 1
        paid, again, _ = shop.record()
    assert (paid["method"], paid["path"], paid["idempotency_key"]) == ("POST", "/refunds", "kept")
    assert paid["body"] == {"order": DELIVERED.id, "cents": 700}
    assert (paid["status"], paid["effect"]["cents"]) == (201, 700)
    assert (again["request"], again["status"], again["effect"]) == (2, 200, None)


def test_without_deduplication_every_request_pays(tmp_path: Path) -> None:
    with run_shop(tmp_path, arguments=["--no-dedup"]) as shop:
        assert {pay(shop, DELIVERED.id, 900, "same").status_code for _ in range(3)} == {201}
        assert HTTP.get(f"{shop.url}/totals").json() == {
            "payments": 3,
            "paid_cents": 2700,
            "reversals": 0,
            "tickets_closed": 0,
        }


def test_injected_faults_hit_the_first_refunds_only(tmp_path: Path) -> None:
    with run_shop(tmp_path, arguments=["--fail-first", "1", "--drop-first", "1"]) as shop:
        assert pay(shop, DELIVERED.id, 100, "faulty").status_code == 500
        with pytest.raises(httpx.RemoteProtocolError):
            pay(shop, DELIVERED.id, 100, "faulty")
        assert pay(shop, DELIVERED.id, 100, "faulty").status_code == 200
        faults = [(entry["fault"], entry["effect"] is not None) for entry in shop.record()]
    assert faults == [("error", False), ("dropped", True), (None, False)]


def test_its_openapi_document_names_every_path(module_shop: RunningShop) -> None:
    paths = HTTP.get(f"{module_shop.url}/openapi.json").json()["paths"]
    assert set(paths) >= {"/customers/{customer}/orders/{order_id}", "/refunds", "/refunds/{refund_id}/reverse"}


def test_its_database_forbids_impossible_refunds(shop: RunningShop) -> None:
    with sqlite3.connect(shop.database) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO refund VALUES ('R-1', ?, -5, 'paid', NULL, '')", (DELIVERED.id,))
    connection.close()
