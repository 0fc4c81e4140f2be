"""How a vendor is asked over HTTP: by our own connections, or by httpx where requests are signed or a proxy is between.

httpx makes anew for each request what is the same for all of a model: its URL, its headers, its cookies (there are
none). Where nothing has to look at single requests, their head is made once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Protocol, cast

import httpx

from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers.http1 import Exchange, Origin, port_of, transport_for
from signoff.capabilities.gateway.tracing import HEADER, traced

READ_TIMEOUT_S = 600.0
"""The clients' own limit, in seconds, never reached before the task's."""


class Answer(Protocol):
    """What a vendor answers. Close it, whatever came of it.

    Attributes:
        status: of HTTP.
        headers: names in lower case.
    """

    status: int
    headers: Mapping[str, str]

    async def more(self) -> bytes | None:
        """More of the body as it arrives; none at its end.

        Raises:
            httpx.HTTPError: it broke off, or took too long.
        """
        ...

    async def aclose(self) -> None:
        """Done with it: its connection serves the next request where the body was read to its end."""
        ...


class VendorClient:
    """Posts to one vendor.

    Args:
        url: where the model is; other URLs that are posted to are of the same host.
        headers: sent with every request, the key among them.
        auth: what signs each request, where a header does not do.
        connect_s: how long a connection may take to open, in seconds.
        loopback: whether it is this machine itself, to which no proxy leads.
        traces: whether the vendor is told to which trace a call belongs.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        auth: httpx.Auth | None,
        connect_s: float,
        loopback: bool,
        traces: bool = False,
    ) -> None:
        def client() -> httpx.AsyncClient:
            return httpx.AsyncClient(
                timeout=httpx.Timeout(READ_TIMEOUT_S, connect=connect_s),
                follow_redirects=False,
                headers=headers,
                auth=auth,
                # A proxy of the environment is honoured, except to this machine itself.
                trust_env=not loopback,
                transport=transport,
            )

        self._traces = traces
        transport = transport_for(url, loopback=loopback)
        self._direct = transport if auth is None else None
        self._connect_s = connect_s
        self._heads: dict[str, tuple[Origin, bytes]] = {}
        self._made = client
        self._client = client()
        self._under_way = 0
        self._closing = False

    async def post(self, url: str, body: bytes) -> Answer:
        """Send a request, and wait for the head of its answer.

        Raises:
            httpx.HTTPError: there is none.
            ProviderError: a header cannot be sent.
        """
        more = {HEADER: trace} if self._traces and (trace := traced()) else {}
        if self._direct is None:
            return await self._by_httpx(url, body, more)
        origin, head = self._heads.get(url) or self._headed(url)
        told = b"".join(f"\r\n{name}: {value}".encode() for name, value in more.items())
        request = b"%b%d%b\r\n\r\n%b" % (head, len(body), told, body)
        return _Direct(await self._direct.exchanged(origin, request, connect_s=self._connect_s, read_s=READ_TIMEOUT_S))

    async def aclose(self) -> None:
        """Close the connections: those in use at the end of their answers, as the client may be left by one call only.

        Whoever still holds it may go on asking; no connection is kept then.
        """
        self._closing = True
        if self._direct is not None:
            await self._direct.aclose()
        if not self._under_way:
            await self._client.aclose()

    async def _by_httpx(self, url: str, body: bytes, more: Mapping[str, str]) -> Answer:
        if self._client.is_closed:
            self._client = self._made()
        self._under_way += 1
        try:
            request = self._client.build_request("POST", url, content=body, headers=more)
            return _OfHttpx(await self._client.send(request, stream=True), self._done)
        except BaseException:
            await self._done()
            raise

    async def _done(self) -> None:
        """One call less; the last one closes what was to be closed."""
        self._under_way -= 1
        if self._closing and not self._under_way:
            await self._client.aclose()

    def _headed(self, url: str) -> tuple[Origin, bytes]:
        """A request's head up to the length of its body. A model has two or three URLs."""
        request = self._client.build_request("POST", url)
        lines = [b"POST %b HTTP/1.1" % request.url.raw_path]
        for name, value in request.headers.raw:
            if b"\r" in value or b"\n" in value:
                raise ProviderError("setup", f"The header `{name.decode('ascii', 'replace')}` has a line break in it.")
            if name.lower() != b"content-length":
                lines.append(b"%b: %b" % (name, value))
        origin = (request.url.scheme, request.url.host, request.url.port or port_of(request.url.scheme))
        self._heads[url] = (origin, b"\r\n".join(lines) + b"\r\ncontent-length: ")
        return self._heads[url]


class _Direct:
    """Of our own connections."""

    def __init__(self, exchange: Exchange) -> None:
        self.status = exchange.status
        self.headers: Mapping[str, str] = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in exchange.headers
        }
        self._exchange = exchange
        self._decoded: _OfHttpx | None = None
        if self.headers.get("content-encoding", "identity") != "identity":
            self._decoded = _OfHttpx(httpx.Response(self.status, headers=exchange.headers, stream=exchange))

    async def more(self) -> bytes | None:
        return await (self._exchange if self._decoded is None else self._decoded).more()

    async def aclose(self) -> None:
        await (self._exchange if self._decoded is None else self._decoded).aclose()


class _OfHttpx:
    """httpx's, decoded."""

    def __init__(self, response: httpx.Response, done: Callable[[], Awaitable[None]] | None = None) -> None:
        self._done = done
        self.status = response.status_code
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self._response = response
        # A generator, which has to be closed where its reader leaves early.
        self._chunks = cast("AsyncGenerator[bytes]", response.aiter_bytes())

    async def more(self) -> bytes | None:
        return await anext(self._chunks, None)

    async def aclose(self) -> None:
        done, self._done = self._done, None
        try:
            await self._chunks.aclose()
            await self._response.aclose()
        finally:
            if done is not None:
                await done()
