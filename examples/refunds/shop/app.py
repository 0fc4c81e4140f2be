"""The shop's HTTP interface. Its OpenAPI document is served at /openapi.json."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from examples.refunds.shop.ledger import Ledger, RefusedError
from examples.refunds.shop.middleware import Faults, RecordedRequests
from examples.refunds.shop.record import Record


class Item(BaseModel):
    """One line of an order."""

    id: str
    name: str
    cents: int


class Order(BaseModel):
    """A customer's order; amounts in integer cents."""

    id: str
    customer: str
    status: Literal["pending", "processed", "delivered", "cancelled"]
    total_cents: int
    refunded_cents: int
    refundable_cents: int
    currency: Literal["USD"]
    items: list[Item]


class RefundRequest(BaseModel):
    """Money to pay back on an order, in integer cents; of this customer's order only, where one is named."""

    model_config = ConfigDict(extra="forbid", strict=True)

    customer: str | None = Field(default=None, min_length=1, max_length=80)
    order: str = Field(min_length=1, max_length=40)
    cents: int = Field(gt=0)


class Refund(BaseModel):
    """Money that was paid back."""

    id: str
    order: str
    cents: int
    currency: Literal["USD"]
    status: Literal["paid", "reversed"]


class Close(BaseModel):
    """Why a ticket is closed."""

    model_config = ConfigDict(extra="forbid")

    resolution: str = Field(min_length=1, max_length=200)


class Ticket(BaseModel):
    """A closed ticket."""

    id: str
    status: Literal["closed"]
    resolution: str


class Totals(BaseModel):
    """What the shop paid so far, by its own count."""

    payments: int
    paid_cents: int
    reversals: int
    tickets_closed: int


def _problem(status: int, title: str, detail: str) -> JSONResponse:
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(content, status_code=status, media_type="application/problem+json")


def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusedError)
    return _problem(error.status, error.title, error.detail)


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    detail = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
    return _problem(422, "Invalid request", detail)


def create_app(ledger: Ledger, record: Record, *, faults: Faults | None = None, deduplicate: bool = True) -> FastAPI:
    """The shop on that database, with every request in that record.

    Args:
        ledger: the shop's data.
        record: where every request is written.
        faults: what goes wrong on purpose.
        deduplicate: whether a refund needs an idempotency key.
    """
    app = FastAPI(title="Shop", version="1.0.0", description="Orders, refunds and tickets of a small shop.")
    app.add_middleware(RecordedRequests, record=record, faults=faults or Faults())
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    _add_reads(app, ledger)
    _add_writes(app, ledger, deduplicate=deduplicate)
    return app


def _add_reads(app: FastAPI, ledger: Ledger) -> None:
    def health() -> dict[str, str]:
        return {"status": "ok"}

    def get_order(customer: str, order_id: str) -> dict[str, Any]:
        return ledger.order(customer, order_id)

    def find_refund(key: Annotated[str, Query(description="An idempotency key.", max_length=200)]) -> dict[str, Any]:
        return ledger.find_refund(key)

    def totals() -> dict[str, int]:
        return ledger.totals()

    app.get("/health")(health)
    app.get("/customers/{customer}/orders/{order_id}", response_model=Order, responses={404: {}})(get_order)
    app.get("/refunds", response_model=Refund, responses={404: {}})(find_refund)
    app.get("/totals", response_model=Totals)(totals)


def _add_writes(app: FastAPI, ledger: Ledger, *, deduplicate: bool) -> None:
    def pay_refund(
        body: RefundRequest,
        request: Request,
        response: Response,
        idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
    ) -> dict[str, Any]:
        if deduplicate and not idempotency_key:
            raise RefusedError(400, "Idempotency key missing", "A refund needs the header Idempotency-Key.")
        refund, paid = ledger.pay_refund(body.order, body.cents, idempotency_key, customer=body.customer)
        if paid:
            effect = {"kind": "payment", "refund": refund["id"], "order": refund["order"], "cents": refund["cents"]}
            request.state.effect = effect
        else:
            response.status_code = 200
            response.headers["Idempotent-Replayed"] = "true"
        return refund

    def reverse_refund(refund_id: str, request: Request) -> dict[str, Any]:
        refund, reversed_now = ledger.reverse_refund(refund_id)
        if reversed_now:
            effect = {"kind": "reversal", "refund": refund["id"], "order": refund["order"], "cents": refund["cents"]}
            request.state.effect = effect
        return refund

    def close_ticket(ticket_id: str, body: Close, request: Request) -> dict[str, Any]:
        ticket = ledger.close_ticket(ticket_id, body.resolution)
        request.state.effect = {"kind": "ticket_closed", "ticket": ticket["id"], "resolution": ticket["resolution"]}
        return ticket

    app.post("/refunds", status_code=201, response_model=Refund, responses={409: {}, 422: {}})(pay_refund)
    app.post("/refunds/{refund_id}/reverse", response_model=Refund, responses={404: {}})(reverse_refund)
    app.post("/tickets/{ticket_id}/close", response_model=Ticket)(close_ticket)
