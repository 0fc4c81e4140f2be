"""Connections of HTTP tools: a request leaves in one piece, and only if it may at that very moment.

httpcore writes head and body one after the other, and the loop has turns between them and before each. A process that
is stopped in such a turn for longer than its lease would go on with the write, although others have its runs by then.
So what httpcore writes is gathered until it wants the answer. Then it goes to the kernel by one system call; right
before that call, with nothing between but the interpreter, whoever made the request is asked whether it still may. That
holds below TLS too: what is gathered is encrypted first, in memory.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import anyio
import httpcore
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute, TLSStream

from signoff.capabilities.tools.dialling import dial

SocketOption = tuple[int, int, int]

_DISCARD = struct.pack("ii", 1, 0)  # SO_LINGER for no time: closing resets the connection


@dataclass(slots=True)
class Departure:
    """A request on its way out.

    Attributes:
        may_send: asked right before each system call that sends of it; raises to send nothing, or nothing more.
        sent: whether any byte of it may have reached the other side.
    """

    may_send: Callable[[], None]
    sent: bool = False

    def leave(self) -> None:
        """Its next bytes go out now."""
        self.may_send()
        self.sent = True


DEPARTURE: ContextVar[Departure | None] = ContextVar("DEPARTURE", default=None)
"""What the task at hand is sending. A connection serves many requests, and httpcore tells it of none."""


class _Socket(ByteStream):
    """A non-blocking socket. asyncio's own transports keep what the kernel does not take, and send it unasked later.

    Attributes:
        departure: of the request whose bytes are being sent; none where they are a handshake's.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._unanswered = False
        self.departure: Departure | None = None

    async def send(self, item: bytes) -> None:
        left = memoryview(item)
        while left:
            try:
                if self.departure is not None:
                    self.departure.leave()
                sent = self._socket.send(left)  # nothing may stand between the line before and this one
            except (BlockingIOError, InterruptedError):
                await anyio.wait_writable(self._socket)
            except OSError as error:
                raise anyio.BrokenResourceError from error
            else:
                self._unanswered = True
                left = left[sent:]

    async def receive(self, max_bytes: int = 65536) -> bytes:
        while True:
            try:
                data = self._socket.recv(max_bytes)
            except (BlockingIOError, InterruptedError):
                await anyio.wait_readable(self._socket)
            except OSError as error:
                raise anyio.BrokenResourceError from error
            else:
                break
        if not data:
            raise anyio.EndOfStream
        self._unanswered = False
        return data

    async def send_eof(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        """Close it. What was sent and has no answer is given up: the kernel forgets what it has not delivered yet."""
        if self._unanswered and self._socket.fileno() >= 0:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
        self._socket.close()

    @property
    def readable(self) -> bool:
        """Whether something came unasked: of an idle connection mostly its end."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            pass
        return True

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {}


class _Connection(httpcore.AsyncNetworkStream):
    """A connection as httpcore sees it; over `stream`, at the bottom of which is `bottom`."""

    def __init__(self, stream: ByteStream, bottom: _Socket) -> None:
        self._stream = stream
        self._bottom = bottom
        self._gathered: list[bytes] = []
        self._write_timeout_s: float | None = None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  (httpcore's signature)
        """Gather it. A request is bounded by `max_request_bytes`, and in memory anyway."""
        if buffer:
            self._gathered.append(buffer)
            self._write_timeout_s = timeout

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  (as above)
        """Send what was gathered, then receive. Where the other side takes no more it may have answered all the same.

        Raises:
            Exception: what `may_send` raises; nothing was sent, or of a long request not the rest.
        """
        if self._gathered:
            await self._send()
        try:
            async with asyncio.timeout(timeout):
                return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except TimeoutError as error:
            raise httpcore.ReadTimeout from error
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError) as error:
            raise httpcore.ReadError(str(error)) from error

    async def _send(self) -> None:
        data, self._gathered = b"".join(self._gathered), []
        self._bottom.departure = DEPARTURE.get()
        try:
            async with asyncio.timeout(self._write_timeout_s):
                await self._stream.send(data)
        except TimeoutError as error:
            raise httpcore.WriteTimeout from error
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # as httpcore does: the answer, or that there is none, tells
        except ssl.SSLError as error:
            raise httpcore.WriteError(str(error)) from error
        finally:
            self._bottom.departure = None

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  (as above)
    ) -> httpcore.AsyncNetworkStream:
        """Shake hands. Whatever went over the connection before was a proxy's business, and no request of ours."""
        if (departure := DEPARTURE.get()) is not None:
            departure.sent = False
        try:
            async with asyncio.timeout(timeout):
                stream = await TLSStream.wrap(
                    self._stream, hostname=server_hostname, ssl_context=ssl_context, standard_compatible=False
                )
        except TimeoutError as error:
            await self.aclose()
            raise httpcore.ConnectTimeout from error
        except (anyio.BrokenResourceError, anyio.EndOfStream, ssl.SSLError, OSError) as error:
            await self.aclose()
            raise httpcore.ConnectError(str(error)) from error
        except BaseException:
            await self.aclose()
            raise
        return _Connection(stream, self._bottom)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._bottom.readable
        if info == "ssl_object":
            return self._stream.extra(TLSAttribute.ssl_object, None)  # noqa: S610  (anyio's, not Django's)
        return None


class Connecting(httpcore.AsyncNetworkBackend):
    """Opens connections whose requests leave in one piece."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the host's addresses that answers."""
        try:
            async with asyncio.timeout(timeout):
                connected = await dial(host, port, local_address=local_address)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in socket_options or ():
            connected.setsockopt(*option)
        bottom = _Socket(connected)
        return _Connection(bottom, bottom)
