"""HTTP/1.1 to vendors, as httpx's transport: connections that stay open, each answer parsed in C as it arrives.

httpx's own transport looks at every idle connection with system calls for every request, and takes more time than all
else in a call through the gateway. What it can do beside (proxies, HTTP/2) is not needed here: where a proxy is
configured, it is used instead.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager, suppress
from functools import cache
from types import TracebackType
from typing import Any, cast
from urllib.request import getproxies

import httptools
import httpx

MAX_IDLE = 64
"""Connections that are kept open to one host; more are closed after their answer."""
IDLE_S = 60.0
"""How long an unused connection is kept, in seconds: less than vendors' servers keep them."""
MAX_BUFFERED_BYTES = 1 << 20
"""How much of an answer may wait to be read; then the connection is not read from until it is."""
MAX_HEADER_BYTES = 1 << 17

Origin = tuple[str, str, int]
"""A scheme, a host and a port."""


def transport_for(url: str, *, loopback: bool) -> VendorTransport | None:
    """The transport to a vendor; none where the environment has a proxy for it."""
    if not loopback and getproxies():
        return None
    return VendorTransport() if url.startswith(("http://", "https://")) else None


class VendorTransport(httpx.AsyncBaseTransport):
    """Connections to one vendor."""

    def __init__(self) -> None:
        self._idle: dict[Origin, deque[_Connection]] = {}
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and wait for the head of its answer, as httpx wants it."""
        timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
        body = await request.aread()
        origin = (request.url.scheme, request.url.host, request.url.port or port_of(request.url.scheme))
        told = await self.exchanged(
            origin, _head(request) + body, connect_s=timeouts.get("connect"), read_s=timeouts.get("read")
        )
        return httpx.Response(told.status, headers=told.headers, stream=told, extensions={"http_version": b"HTTP/1.1"})

    async def exchanged(
        self, origin: Origin, request: bytes, *, connect_s: float | None, read_s: float | None
    ) -> Exchange:
        """Send a request as it is written, and wait for the head of its answer.

        Raises:
            httpx.HTTPError: there is none.
        """
        connection = self._kept(origin) or await _opened(origin, connect_s)
        try:
            connection.begin()
            connection.write(request)
            await connection.headed(read_s)
        except BaseException:
            connection.abort()
            raise
        return Exchange(connection, read_s, lambda: self._keep(origin, connection))

    async def aclose(self) -> None:
        """Close every idle connection, and each that is in use when its answer is there: none is kept any more."""
        self._closed = True
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()

    def _kept(self, origin: Origin) -> _Connection | None:
        """The idle connection that was used last."""
        connections, now_s = self._idle.get(origin), asyncio.get_running_loop().time()
        while connections:
            connection = connections.pop()
            if now_s - connection.idle_since_s < IDLE_S and connection.quiet:
                return connection
            connection.abort()
        return None

    def _keep(self, origin: Origin, connection: _Connection) -> None:
        connections = self._idle.setdefault(origin, deque())
        if self._closed or not connection.reusable or len(connections) >= MAX_IDLE:
            connection.abort()
            return
        connection.idle_since_s = asyncio.get_running_loop().time()
        connections.append(connection)


class _Connection(asyncio.Protocol):
    """One connection: the answer under way, as its parser tells of it."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._waiter: asyncio.Future[None] | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered_bytes = 0
        self._failure: Exception | None = None
        self._begun = False
        self._complete = True
        self._keeps = True
        self._head_bytes = 0
        self.open = False
        self.idle_since_s = 0.0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by their class.
        self._transport, self.open = cast("asyncio.Transport", transport), True

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if not self._complete and self._until_closed:
            self._complete = True
        elif not self._complete:
            self._fail(
                httpx.RemoteProtocolError("the server closed the connection in an answer") if exc is None else exc
            )
        self._wake()

    def data_received(self, data: bytes) -> None:
        if self._complete:
            # Bytes that nobody asked for: what belongs to which answer would not be known any more.
            self._fail(httpx.RemoteProtocolError("the server sent more than its answer"))
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if not self._complete:
                self._fail(httpx.RemoteProtocolError("the server's answer is no HTTP"))
            self.abort()
        if not self._begun:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEADER_BYTES:
                self._fail(httpx.RemoteProtocolError("the head of the server's answer is too long"))
                self.abort()
        self._wake()

    # --- what the parser calls ---

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._begun = self.status >= httpx.codes.OK
        if not self._begun:  # an interim answer: the real one follows
            self.headers.clear()

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered_bytes += len(body)
        if self._buffered_bytes > MAX_BUFFERED_BYTES and self._transport is not None:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._begun:
            self._complete = True
            self._keeps = self._parser.should_keep_alive()

    # --- what the transport calls ---

    @property
    def reusable(self) -> bool:
        """Whether another request may follow."""
        return self.open and self._complete and self._keeps and self._failure is None and not self._chunks

    @property
    def quiet(self) -> bool:
        """Whether it is open and nothing came meanwhile: an end that came may not have been read yet."""
        if not self.open or self._transport is None:
            return False
        looking = select.poll()
        looking.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not looking.poll(0)

    @property
    def _until_closed(self) -> bool:
        """Whether the answer says no length, so that its end is the connection's."""
        named = {name.lower() for name, _ in self.headers}
        return self._begun and not named & {b"content-length", b"transfer-encoding"}

    def begin(self) -> None:
        """Be ready for an answer."""
        self._parser = httptools.HttpResponseParser(self)
        self._begun, self._complete, self._head_bytes = False, False, 0
        self.status, self.headers = 0, []

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    async def headed(self, timeout_s: float | None) -> None:
        """Return when the head of the answer is there."""
        with self._waiting(timeout_s):
            while not self._begun:
                await self._more()

    async def body(self, timeout_s: float | None) -> bytes | None:
        """More of the body; none at its end."""
        if not self._chunks and not self._complete:
            with self._waiting(timeout_s):
                while not self._chunks and not self._complete:
                    await self._more()
        if not self._chunks:
            return None
        # All that is there at once: a vendor's words come in bursts.
        chunk = self._chunks.popleft() if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        paused, self._buffered_bytes = self._buffered_bytes > MAX_BUFFERED_BYTES, 0
        if paused and self.open and self._transport is not None:
            with suppress(RuntimeError):
                self._transport.resume_reading()
        return chunk

    def abort(self) -> None:
        """Close it at once."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    async def _more(self) -> None:
        if self._failure is not None:
            raise self._failure
        if not self.open:
            raise httpx.RemoteProtocolError("the server closed the connection before its answer")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    @contextmanager
    def _waiting(self, timeout_s: float | None) -> Generator[None]:
        """At most so long: the connection fails then, which takes a third of the time of asyncio's own limits."""
        if timeout_s is None:
            yield
            return
        limit = asyncio.get_running_loop().call_later(timeout_s, self._late)
        try:
            yield
        finally:
            limit.cancel()

    def _late(self) -> None:
        self._fail(httpx.ReadTimeout("the server did not answer in time"))
        self.abort()
        self._wake()

    def _fail(self, error: Exception) -> None:
        if self._failure is None:
            told = error if isinstance(error, httpx.HTTPError) else httpx.ReadError(str(error))
            self._failure = told

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Exchange(httpx.AsyncByteStream):
    """An answer whose body still comes.

    Attributes:
        status, headers: as they came.
    """

    def __init__(self, connection: _Connection, timeout_s: float | None, done: Callable[[], None]) -> None:
        self.status, self.headers = connection.status, connection.headers
        self._connection = connection
        self._timeout_s = timeout_s
        self._done = done
        self._closed = False

    async def more(self) -> bytes | None:
        """More of the body; none at its end."""
        return await self._connection.body(self._timeout_s)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self.more()) is not None:
            yield chunk

    async def aclose(self) -> None:
        """Keep the connection for the next request where the answer was read to its end, else close it."""
        if not self._closed:
            self._closed = True
            self._done()


class _limited:  # noqa: N801  (used like a function)
    """A time limit whose end is an error of httpx."""

    __slots__ = ("_error", "_timeout")

    def __init__(self, seconds: float | None, error: type[httpx.TimeoutException]) -> None:
        self._timeout = asyncio.timeout(seconds)
        self._error = error

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise self._error("the server did not answer in time") from None


async def _opened(origin: Origin, timeout_s: float | None) -> _Connection:
    scheme, host, port = origin
    more: dict[str, Any] = {"ssl": _tls(), "server_hostname": host} if scheme == "https" else {}
    try:
        async with _limited(timeout_s, httpx.ConnectTimeout):
            _, connection = await asyncio.get_running_loop().create_connection(_Connection, host, port, **more)
    except (OSError, ssl.SSLError) as error:
        raise httpx.ConnectError(str(error)) from error
    return connection


@cache
def _tls() -> ssl.SSLContext:
    """One for all vendors: reading the certificates takes a while."""
    return httpx.create_ssl_context()


def port_of(scheme: str) -> int:
    """The port of a URL that names none."""
    return 443 if scheme == "https" else 80


def _head(request: httpx.Request) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%b: %b" % pair for pair in request.headers.raw]
    return b"\r\n".join(lines) + b"\r\n\r\n"
