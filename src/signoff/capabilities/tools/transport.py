"""httpx over connections whose requests leave in one piece (`connections.py`)."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import contextmanager
from functools import cache
from typing import cast

import httpcore
import httpx

from signoff.capabilities.tools.connections import Connecting, SocketOption

_AS_HTTPX: dict[type[BaseException], type[httpx.HTTPError]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.ProxyError: httpx.ProxyError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
}


class OnePieceTransport(httpx.AsyncBaseTransport):
    """What `httpx.AsyncHTTPTransport` does, HTTP/1.1 only, over connections of our own.

    Args:
        max_connections: open connections at once.
        keep_alive_s: how long an idle connection is kept, in seconds.
        socket_options: set on every connection.
        proxy_url: an HTTP proxy for everything.
        ssl_context: whom to trust; the certificates that httpx brings where not given.

    Raises:
        ValueError: the proxy is no HTTP proxy.
    """

    def __init__(
        self,
        *,
        max_connections: int,
        keep_alive_s: float,
        socket_options: Iterable[SocketOption],
        proxy_url: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        ssl_context = ssl_context or _trusted()
        options, backend = list(socket_options), Connecting()
        self._pool: httpcore.AsyncConnectionPool
        if proxy_url is None:
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=ssl_context,
                max_connections=max_connections,
                keepalive_expiry=keep_alive_s,
                socket_options=options,
                network_backend=backend,
            )
            return
        proxy = httpx.Proxy(proxy_url)
        if proxy.url.scheme not in {"http", "https"}:
            raise ValueError("an HTTP proxy's URL begins with http:// or https://")
        self._pool = httpcore.AsyncHTTPProxy(
            proxy_url=_url(proxy.url),
            proxy_auth=proxy.raw_auth,
            ssl_context=ssl_context,
            max_connections=max_connections,
            keepalive_expiry=keep_alive_s,
            socket_options=options,
            network_backend=backend,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the answer's body is still to be read.

        Raises:
            httpx.HTTPError: as httpx's own transport does.
        """
        asked = httpcore.Request(
            request.method,
            _url(request.url),
            headers=request.headers.raw,
            content=cast("httpx.AsyncByteStream", request.stream),
            extensions=request.extensions,
        )
        with _as_httpx():
            answer = await self._pool.handle_async_request(asked)
        body = _Body(cast("httpx.AsyncByteStream", answer.stream))
        return httpx.Response(answer.status, headers=answer.headers, stream=body)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


@cache
def _trusted() -> ssl.SSLContext:
    """One for all pools: reading the certificates takes a while."""
    return httpx.create_ssl_context(trust_env=False)


class _Body(httpx.AsyncByteStream):
    def __init__(self, body: httpx.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for part in self._body:
                yield part

    async def aclose(self) -> None:
        with _as_httpx():
            await self._body.aclose()


def _url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


@contextmanager
def _as_httpx() -> Generator[None]:
    try:
        yield
    except tuple(_AS_HTTPX) as error:
        raise _AS_HTTPX[type(error)](str(error)) from error
