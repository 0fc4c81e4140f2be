"""The first thing that sees a request: names it, bounds it, and lets nobody in whom it does not know.

It stands before routing, so that a route somebody adds is closed until its path is listed as open here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signoff.api.compatible.exchange import error_answer
from signoff.api.compatible.headers import headers_of
from signoff.api.compatible.keys import KnownKeys
from signoff.api.compatible.placing import key_text_of
from signoff.api.compatible.routes import endpoint_of, handler_of, shape_of
from signoff.api.problems import TooLargeError, internal_response, problem_response
from signoff.core.actors import Actor
from signoff.core.errors import SignoffError, UnauthenticatedError, UnavailableError
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.governance.identity import authenticate

OPEN_PATHS = frozenset(("/health/live", "/health/ready", "/openapi.json", "/docs"))
"""Everything else needs an API key, paths that do not exist included."""

REQUEST_ID_HEADER = "x-request-id"
_ID_HEADER = REQUEST_ID_HEADER.encode()
_OWN_HEADERS = (_ID_HEADER, b"x-content-type-options")

_CARRIES_FILES = re.compile(r"/v1/projects/[^/]+/(releases|environments/[^/]+/plan)")
"""Bodies that hold a whole project; they have a limit of their own."""

REQUEST_ID_BYTES = 16
"""Of randomness in the id of a request that brings none."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class Boundary:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        database: Database,
        now: Callable[[], datetime],
        max_body_bytes: int,
        max_project_bytes: int,
        max_chat_bytes: int,
        known_keys: KnownKeys,
    ) -> None:
        self._app = app
        self._database = database
        self._now = now
        self._max_body_bytes = max_body_bytes
        self._max_project_bytes = max_project_bytes
        self._max_chat_bytes = max_chat_bytes
        self._known_keys = known_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = headers_of(scope)
        given = headers.get(REQUEST_ID_HEADER, "")
        request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(REQUEST_ID_BYTES).hex()
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        started = False

        async def named_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = _bounded_headers(message["headers"], request_id)
            await send(message)

        place = {"instance": scope["path"], "request_id": request_id}
        endpoint = endpoint_of(scope["path"])
        try:
            if endpoint is not None:
                state["actor"] = await self._known_keys.actor(key_text_of(headers))
            elif scope["path"] not in OPEN_PATHS:
                state["actor"] = await self._authenticate(headers)
            most = self._max_chat_bytes if endpoint is not None else self._most(scope["path"])
            bounded = self._bounded(most, headers, receive)
            handler = handler_of(scope) if endpoint is not None else None
            if handler is None:
                await self._app(scope, bounded, named_send)
            else:
                answer = await handler(Request(scope, bounded))
                await answer(scope, bounded, named_send)
        except Exception as error:
            if started:
                raise
            if endpoint is not None:
                shape = shape_of(endpoint, anthropic="anthropic-version" in headers)
                await error_answer(error, shape, request_id=request_id)(scope, receive, named_send)
                return
            expected = isinstance(error, SignoffError) and (error.status < 500 or isinstance(error, UnavailableError))  # noqa: PLR2004  (HTTP's server errors)
            make = problem_response if expected else internal_response
            await make(error, **place)(scope, receive, named_send)  # pyright: ignore[reportArgumentType]  (expected implies SignoffError)

    async def _authenticate(self, headers: Mapping[str, str]) -> Actor:
        scheme, _, text = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise UnauthenticatedError(
                "Show an API key: 'Authorization: Bearer so_…'. 'signoff keys create' makes one."
            )
        # The key itself says whose it is; the transaction needs some organisation to be set until then.
        async with self._database.transaction(DEFAULT_ORG_ID) as connection:
            return await authenticate(connection, text.strip(), now=self._now())

    def _most(self, path: str) -> int:
        return self._max_project_bytes if _CARRIES_FILES.fullmatch(path) else self._max_body_bytes

    def _bounded(self, most: int, headers: Mapping[str, str], receive: Receive) -> Receive:
        """The body, cut off with an error where it grows past the limit, announced or not."""
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > most:
            raise _too_large(most)
        seen_bytes = 0

        async def bounded_receive() -> Message:
            nonlocal seen_bytes
            message = await receive()
            seen_bytes += len(message.get("body", b""))
            if seen_bytes > most:
                raise _too_large(most)
            return message

        return bounded_receive


def _bounded_headers(given: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    found = [(name, value) for name, value in given if name not in _OWN_HEADERS]
    if not any(name == b"cache-control" for name, _ in found):
        found.append((b"cache-control", b"no-store"))
    return [*found, (_ID_HEADER, request_id.encode()), (b"x-content-type-options", b"nosniff")]


def _too_large(most: int) -> TooLargeError:
    return TooLargeError(f"The body has more than {most} bytes, the most this server takes.")
