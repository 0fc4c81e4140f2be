"""One exchange with a vendor's SDK: what it asks is done only as long as it listens, and every error has its shape."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

import orjson
from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from signoff.api.compatible.faults import SERVER_ERRORS, Fault, Shape, fault_of
from signoff.api.leaving import LEAVING, Leaving
from signoff.capabilities.gateway import GatewayError
from signoff.capabilities.gateway.asking import ChatError

MAX_IGNORED_SHOWN = 20
SEND_TIMEOUT_S = 60.0
"""How long a client may leave one piece of a stream unread, in seconds; then it counts as gone."""
MAX_WAITING_BYTES = 1 << 18
"""How much of a stream may wait for a client that reads slowly; then the vendor waits too."""
CLIENT_GONE = 499
_BODY = "signoff.body"
"""Where a scope keeps its body."""

_logger = logging.getLogger(__name__)

Frames = AsyncGenerator[bytes]
Done = TypeVar("Done")


class ClientGoneError(Exception):
    """Nobody listens any more."""


def json_answer(value: Any, headers: Mapping[str, str]) -> Response:
    """An answer that comes at once."""
    return Response(orjson.dumps(value), media_type="application/json", headers=dict(headers))


def error_answer(error: Exception, shape: Shape, *, request_id: str) -> Response:
    """An error in the vendor's shape."""
    fault = fault_of(error)
    if fault.status >= SERVER_ERRORS and not isinstance(error, GatewayError) and not fault.again:
        _logger.error("request %s failed", request_id, exc_info=error)
    headers = {**fault.headers(), **named(shape, request_id)}
    if isinstance(error, ChatError):
        headers["signoff-call-id"] = str(error.record.id)
    body = orjson.dumps(fault.body(shape, request_id))
    return Response(body, fault.status, media_type="application/json", headers=headers)


def named(shape: Shape, request_id: str) -> dict[str, str]:
    """The request's id where the vendor's SDK looks for it; `x-request-id` is set for all."""
    return {"request-id": request_id} if shape == "anthropic" else {}


class StreamAnswer(Response):
    """Server-sent events, for as long as somebody reads them. What is told last is an error where there was one.

    Args:
        frames: the events.
        failed: the event that tells of an error.
        close: ends what the events come from, however far they got.
        headers: of the answer.
    """

    def __init__(
        self,
        frames: Frames,
        failed: Callable[[Fault], bytes],
        close: Callable[[], Awaitable[None]],
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(media_type="text/event-stream", headers=dict(headers))
        # The length is nobody's to know yet.
        del self.headers["content-length"]
        self._frames = frames
        self._failed = failed
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await while_connected(receive, self._sent(send), scope.get(LEAVING))
        except ClientGoneError:
            return
        finally:
            await self._close()

    async def _sent(self, send: Send) -> None:
        """What is there is sent at once: a vendor's words come in bursts, and each piece costs a system call."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        waiting = _Waiting()
        making = asyncio.ensure_future(self._made(waiting))
        try:
            while (data := await waiting.taken()) is not None:
                await _written(send, data, more=True)
        finally:
            making.cancel()
            await asyncio.wait((making,))
        await _written(send, b"", more=False)

    async def _made(self, waiting: _Waiting) -> None:
        try:
            async with aclosing(self._frames) as frames:
                async for frame in frames:
                    await waiting.add(frame)
        except Exception as error:  # the status is sent: the stream itself has to tell
            fault = fault_of(error)
            if fault.status == SERVER_ERRORS:
                _logger.exception("a stream failed")
            await waiting.add(self._failed(fault))
        finally:
            waiting.end()


class _Waiting:
    """Frames that wait to be sent, bounded."""

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._size_bytes = 0
        self._some, self._room = asyncio.Event(), asyncio.Event()
        self._ended = False

    async def add(self, frame: bytes) -> None:
        """One more; waits for room where the client reads slowly."""
        self._frames.append(frame)
        self._size_bytes += len(frame)
        self._some.set()
        while self._size_bytes > MAX_WAITING_BYTES:
            self._room.clear()
            await self._room.wait()

    def end(self) -> None:
        """There will be no more."""
        self._ended = True
        self._some.set()

    async def taken(self) -> bytes | None:
        """All that wait; none once there are none and will be none."""
        while not self._frames:
            if self._ended:
                return None
            self._some.clear()
            await self._some.wait()
        found = b"".join(self._frames)
        self._frames.clear()
        self._size_bytes = 0
        self._room.set()
        return found


async def _written(send: Send, data: bytes, *, more: bool) -> None:
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await send({"type": "http.response.body", "body": data, "more_body": more})
    except TimeoutError:
        raise ClientGoneError from None


async def while_connected(receive: Receive, work: Coroutine[Any, Any, Done], leaving: Leaving | None = None) -> Done:
    """The result of some work, which is cancelled when the client leaves.

    It is done in the caller's own task, as a task for it alone took longer than much of what it does; its own end is
    thereby awaited: what it set aside is settled, and the vendor's stream is closed.

    Args:
        receive: says that the client has left, where nothing else does; all else was received from it before.
        work: what is done meanwhile.
        leaving: says it too, without a task that waits for it.

    Raises:
        ClientGoneError: it left.
    """
    mine, gone = asyncio.current_task(), False
    assert mine is not None

    def left() -> None:
        nonlocal gone
        gone = True
        mine.cancel()

    stop = _listening(receive, left) if leaving is None else leaving.listen(left)
    try:
        found = await work
    except BaseException as error:
        # Who is cancelled for another reason too, such as the server's end, stays cancelled.
        if gone and (mine.uncancel() == 0 or not isinstance(error, asyncio.CancelledError)):
            raise ClientGoneError from None
        raise
    finally:
        stop()
    if gone:  # it came in the same moment, or would not be stopped
        mine.uncancel()
        raise ClientGoneError
    return found


def _listening(receive: Receive, left: Callable[[], None]) -> Callable[[], None]:
    """Have somebody called once the client is gone; what is returned takes it back."""
    waiting = asyncio.ensure_future(_left(receive))

    def told(_: asyncio.Future[None]) -> None:
        left()

    waiting.add_done_callback(told)

    def stop() -> None:
        waiting.remove_done_callback(told)
        waiting.cancel()

    return stop


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Receive) -> bytes:
    """All of a request's body, which its boundary bounds: most come in one piece."""
    pieces: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def body_of(request: Request) -> bytes:
    """The body of a request that `answered` has read."""
    return request.scope[_BODY]


Handle = Callable[[Request], Awaitable[Response]]


async def answered(request: Request, shape: Shape, handle: Handle) -> Response:
    """What a handler answers, or the error in the vendor's shape."""
    request_id: str = request.state.request_id
    try:
        # The body first: it is all that this connection has to say until it is closed.
        request.scope[_BODY] = await _body(request.receive)
        leaving = request.scope.get(LEAVING)
        return await while_connected(request.receive, _response(handle(request)), leaving)
    except ClientGoneError:
        return Response(status_code=CLIENT_GONE)
    except Exception as error:  # noqa: BLE001  (every error has the vendor's shape)
        return error_answer(error, shape, request_id=request_id)


async def _response(made: Awaitable[Response]) -> Response:
    return await made
