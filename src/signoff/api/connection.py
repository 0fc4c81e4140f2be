"""One client's connection: uvicorn's, which tells its end, and sends an answer in one piece."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from signoff.api.leaving import LEAVING, Leaving

_HEAD = b"HTTP/1.1 "


class Joining:
    """A transport that sends the head of an answer with what comes right behind it.

    Each write is a system call and wakes the client, and uvicorn writes head and body apart.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send it, with the head that waits for it. What may be a head waits until the end of this turn of the loop."""
        if self._head:
            data, self._head = self._head + data, b""
            self._transport.write(data)
        elif data.startswith(_HEAD):
            self._head = data
            asyncio.get_running_loop().call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close it once all is sent."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head and not self._transport.is_closing():
            self._transport.write(self._head)
        self._head = b""


class Connection(HttpToolsProtocol):
    """A connection that tells its end to whoever asks for it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", Joining(cast("asyncio.Transport", transport))))
        self._leaving = Leaving()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)[LEAVING] = self._leaving

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._leaving.tell()
