"""What stands around the shop's application: the record of requests, and faults on demand for tests."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from examples.refunds.shop.record import Record

MAX_BODY_SIZE_BYTES = 64_000
UNRECORDED = frozenset({"/health", "/openapi.json", "/docs"})


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong on purpose, for requests whose path starts with `path` and whose method is POST.

    Attributes:
        path: which requests are hit.
        delay_s: how long each waits before it is processed, in seconds.
        fail_first: how many are answered 500 without being processed.
        drop_first: of those after, how many are processed and then lose their connection before the answer.
    """

    path: str = "/refunds"
    delay_s: float = 0.0
    fail_first: int = 0
    drop_first: int = 0


class RecordedRequests:
    """ASGI middleware: records each request and its outcome, and injects the faults."""

    def __init__(self, app: ASGIApp, *, record: Record, faults: Faults) -> None:
        self._app = app
        self._record = record
        self._faults = faults
        self._hits: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs one request."""
        if scope["type"] != "http" or scope["path"] in UNRECORDED:
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        # The record's fsync would hold up the event loop, and with it other requests' answers.
        request = await asyncio.to_thread(
            self._record.received,
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            body=_as_json(body),
            idempotency_key=headers.get("idempotency-key"),
        )
        fault = self._fault(scope)
        if fault is not None and self._faults.delay_s:
            await asyncio.sleep(self._faults.delay_s)
        scope.setdefault("state", {})["effect"] = None
        messages = _server_error() if fault == "error" else await self._process(scope, body)
        lost = fault if fault in ("error", "dropped") else None
        await asyncio.to_thread(
            self._record.answered, request, status=messages[0]["status"], effect=scope["state"]["effect"], fault=lost
        )
        if lost == "dropped":
            # An answer that promises a body and ends without it makes the server close the connection.
            await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"100000")]})
            return
        for message in messages:
            await send(message)

    def _fault(self, scope: Scope) -> str | None:
        if scope["method"] != "POST" or not scope["path"].startswith(self._faults.path):
            return None
        self._hits["all"] += 1
        if self._hits["all"] <= self._faults.fail_first:
            return "error"
        if self._hits["all"] <= self._faults.fail_first + self._faults.drop_first:
            return "dropped"
        return "delayed"

    async def _process(self, scope: Scope, body: bytes) -> list[Message]:
        sent: list[Message] = []

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def collect(message: Message) -> None:
            sent.append(message)

        await self._app(scope, replay, collect)
        return sent


async def _read_body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False) or len(body) > MAX_BODY_SIZE_BYTES:
            return body[: MAX_BODY_SIZE_BYTES + 1]


def _as_json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode("utf-8", "replace")


def _server_error() -> list[Message]:
    body = json.dumps({"title": "Internal error", "status": 500, "detail": "Injected by --fail-first."}).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    return [
        {"type": "http.response.start", "status": 500, "headers": headers},
        {"type": "http.response.body", "body": body},
    ]
