"""A proxy before PostgreSQL's socket that cuts, or holds back, what goes through it; itself a Unix socket, or TCP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from signoff.core.errors import UnavailableError

Answer = TypeVar("Answer")
SOCKET = ".s.PGSQL.{port}"


class Proxy:
    """Connections to the server behind it.

    Attributes:
        cuts: how many connections were cut.
    """

    def __init__(self, server: Path) -> None:
        self._server = server
        self._open: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.cuts = 0

    def cut(self) -> None:
        """Break every connection, in the middle of whatever is under way; new ones are taken."""
        for writer in self._open:
            writer.transport.abort()
            self.cuts += 1
        self._open.clear()

    def turn_to(self, server: Path) -> None:
        """Lead new connections to another server's socket, as an address does that a standby has taken over."""
        self._server = server

    def hold(self) -> None:
        """Let nothing through, in either direction, as a network does that has lost its route."""
        self._flowing.clear()

    def release(self) -> None:
        """Let everything through again, what was held back first."""
        self._flowing.set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        try:
            with contextlib.suppress(OSError):
                there, back = await asyncio.open_unix_connection(str(self._server))
                self._open |= {writer, back}
                await asyncio.gather(self._pump(reader, back), self._pump(there, writer), return_exceptions=True)
        finally:
            writer.close()  # also where there is no server behind

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
            self._open.discard(writer)


async def once_back(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """What is answered once the server can be reached again: connecting takes a starved machine its time."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(UnavailableError):
                return await ask()


@asynccontextmanager
async def proxied(url: str, directory: Path) -> AsyncGenerator[tuple[Proxy, str]]:
    """A proxy before the server of a URL like that of the tests' server, and the URL that goes through it."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    host, port = query["host"][0], query.get("port", ["5432"])[0]
    name = SOCKET.format(port=port)
    proxy = Proxy(Path(host) / name)
    server = await asyncio.start_unix_server(proxy.connected, str(directory / name))
    try:
        yield proxy, url.replace(parts.query, parts.query.replace(host, str(directory)))
    finally:
        proxy.release()
        proxy.cut()
        server.close()


@asynccontextmanager
async def listening(url: str, host: str) -> AsyncGenerator[tuple[Proxy, str]]:
    """The same by TCP, on an address of this machine: for workers that the server's socket is out of reach for."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    proxy = Proxy(Path(query["host"][0]) / SOCKET.format(port=query.get("port", ["5432"])[0]))
    server = await asyncio.start_server(proxy.connected, host, 0)
    port = server.sockets[0].getsockname()[1]
    user, _, _ = parts.netloc.rpartition("@")
    try:
        yield proxy, f"postgresql://{user or 'postgres'}@{host}:{port}{parts.path}"
    finally:
        proxy.release()
        proxy.cut()
        server.close()
