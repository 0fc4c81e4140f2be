"""A vendor's API on loopback whose model names select what it says and what goes wrong: for tests and benchmarks.

It speaks OpenAI's chat completions, responses and embeddings, and Anthropic's messages, whole and streamed. Its bytes
are written by hand, so that it can also be wrong where no HTTP library would let it.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, cast

from signoff.testing.vendor_words import Endpoint, Said, endpoint_of, error_body, error_event, streamed, whole

WORDS = ("The ", "parcel ", "is ", "on ", "its ", "way.")
"""What models say whose name says nothing else."""
FAULTS = (
    "refused",
    "silence",
    "limit-after",
    "limit",
    "500",
    "529",
    "malformed",
    "half",
    "clean-half",
    "error-event",
    "drip",
    "long-length",
    "short-length",
    "tls",
)
"""What can go wrong, by the models' names.

`refused`: nobody listens. `silence`: no answer. `limit-after`, `limit`: 429 with Retry-After and without. `malformed`:
JSON that is none. `half`: the connection ends in the middle. `clean-half`: the body ends in due form in the middle of
the answer. `error-event`: an error after some of the answer. `drip`: a word now and then, for ever. `long-length`,
`short-length`: a Content-Length that is more, or less, than what comes. `tls`: no TLS where https is asked for.
"""
RETRY_AFTER_S = 1
_STATUS = {"limit-after": 429, "limit": 429, "500": 500, "529": 529, "too-long": 400}
_DRIP_S = 0.05
_TLS_HANDSHAKE = b"\x16"


@dataclass(slots=True)
class Asked:
    """One request that arrived.

    Attributes:
        endpoint: which of the API's.
        model: its name.
        body: its JSON.
        left: set when the client closed the connection before the answer was whole.
    """

    endpoint: Endpoint
    model: str
    body: Mapping[str, Any]
    left: asyncio.Event = field(default_factory=asyncio.Event)


def _said(model: str) -> Said:
    """What a model says, by its name."""
    if model == "tool":
        return Said(model, tool="weather")
    if model == "refuses":
        return Said(model, refusal="I will not say.")
    if model == "thinks":
        return Said(model, WORDS, thoughts="Where is it?")
    if model == "length":
        return Said(model, WORDS, finish="length")
    if model == "json":
        return Said(model, ('{"where": ', '"road"}'))
    return Said(model, WORDS)


class FaultyVendor:
    """The server, open while its block lasts.

    Models named `tool`, `refuses`, `thinks`, `length` and `json` answer so; those named by `FAULTS` fail so; `too-long`
    finds every request too long; others say `WORDS`.

    Attributes:
        asked: every request, in order.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._server: asyncio.Server | None = None
        self._refusing = socket.socket()
        self.connections: set[_Connection] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        # Bound and never listened on: nobody else gets the port, and whoever connects is refused.
        self._refusing.bind(("127.0.0.1", 0))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self.connections):
            connection.end()
        self._refusing.close()

    def base_url(self, fault: str = "") -> str:
        """Where a model of that name is found, with the path that OpenAI's API has."""
        assert self._server is not None
        if fault == "refused":
            return f"http://127.0.0.1:{self._refusing.getsockname()[1]}/v1"
        scheme = "https" if fault == "tls" else "http"
        return f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"


class _Connection(asyncio.Protocol):
    """One connection: requests one after the other."""

    def __init__(self, vendor: FaultyVendor) -> None:
        self._vendor = vendor
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._asked: Asked | None = None
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by their class.
        self._transport = cast("asyncio.Transport", transport)
        self._vendor.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (the protocol's)
        self._vendor.connections.discard(self)
        if self._asked is not None:
            self._asked.left.set()
        if self._answering is not None:
            self._answering.cancel()

    def end(self) -> None:
        """Close it, whatever it does."""
        assert self._transport is not None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.startswith(_TLS_HANDSHAKE):
            self.end()
        elif self._answering is None or self._answering.done():
            self._next()

    def _next(self) -> None:
        """Answer the request that is there, if it is whole."""
        head, found, rest = bytes(self._received).partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self._received = bytearray(rest[length:])
        body = json.loads(rest[:length] or b"{}")
        self._asked = Asked(endpoint_of(first.split(" ")[1]), str(body.get("model", "")), body)
        self._vendor.asked.append(self._asked)
        self._answering = asyncio.get_running_loop().create_task(self._answer(self._asked))

    async def _answer(self, asked: Asked) -> None:
        assert self._transport is not None
        answer = _Answer(asked, self._transport.write)
        stays = await (answer.streamed() if asked.body.get("stream") else answer.whole())
        self._asked = None
        if not stays:
            self._transport.close()
        elif self._received:
            asyncio.get_running_loop().call_soon(self._next)


@dataclass(slots=True)
class _Answer:
    """One answer, right or wrong."""

    asked: Asked
    write: Callable[[bytes], None]

    async def whole(self) -> bool:
        """It at once; true where the connection stays open."""
        asked = self.asked
        if (early := await self._early()) is not None:
            return early
        inputs = asked.body.get("input")
        said = _said(asked.model)
        data = json.dumps(whole(asked.endpoint, said, len(inputs) if isinstance(inputs, list) else 1)).encode()  # pyright: ignore[reportUnknownArgumentType]  (of JSON)
        middle = len(data) // 2
        fault = asked.model
        if fault == "malformed":
            self._send(200, b"{" + data)
        elif fault == "error-event":
            self._send(200, json.dumps(error_body(asked.endpoint, 500)).encode())
        elif fault == "clean-half":
            self._send(200, data[:middle])
        elif fault == "half":
            self._send(200, data[:middle], length=len(data))
        elif fault == "long-length":
            self._send(200, data, length=len(data) + 50)
        elif fault == "short-length":
            self._send(200, data, length=middle)
        elif fault == "drip":
            self._send(200, b"", length=len(data) * 1000)
            await self._dripping(lambda: b" ")
        else:
            self._send(200, data)
            return True
        return False

    async def streamed(self) -> bool:
        """It as events; true where the connection stays open."""
        if (early := await self._early()) is not None:
            return early
        endpoint, fault = self.asked.endpoint, self.asked.model
        events = streamed(endpoint, _said(fault))
        half = events[: len(events) // 2]
        if fault in ("long-length", "short-length"):
            data = b"".join(events)
            length = len(data) + 50 if fault == "long-length" else len(b"".join(half))
            self._send(200, data, "text/event-stream", length=length)
            return False
        self._begin()
        if fault == "malformed":
            half.append(b'data: {"choices": [{"delta": {"con\n\n')
        elif fault == "error-event":
            half.append(error_event(endpoint))
        elif fault == "drip":
            for event in half[:-1]:
                self._chunk(event)
            await self._dripping(lambda: self._chunked(half[-1]))
        elif fault not in ("half", "clean-half"):
            half = events
        for event in half:
            self._chunk(event)
            await asyncio.sleep(0)
        if fault == "half":
            return False
        self.write(b"0\r\n\r\n")
        return True

    async def _early(self) -> bool | None:
        """What goes wrong before any answer; none where nothing does."""
        fault = self.asked.model
        if fault == "silence":
            await asyncio.Event().wait()
        if fault not in _STATUS:
            return None
        more = f"retry-after: {RETRY_AFTER_S}\r\n" if fault == "limit-after" else ""
        status = _STATUS[fault]
        self._send(status, json.dumps(error_body(self.asked.endpoint, status)).encode(), more=more)
        return True

    async def _dripping(self, more: Callable[[], bytes]) -> None:
        while True:
            self.write(more())
            await asyncio.sleep(_DRIP_S)

    def _send(
        self, status: int, data: bytes, kind: str = "application/json", *, length: int | None = None, more: str = ""
    ) -> None:
        told = len(data) if length is None else length
        head = f"HTTP/1.1 {status} Scripted\r\ncontent-type: {kind}\r\ncontent-length: {told}\r\n{more}\r\n"
        self.write(head.encode() + data)

    def _begin(self) -> None:
        self.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        self.write(self._chunked(data))

    def _chunked(self, data: bytes) -> bytes:
        return f"{len(data):x}\r\n".encode() + data + b"\r\n"
