"""A request leaves in the very turn of the loop in which its worker looked at its lease: whole, or not at all.

Whoever stops a worker stops it anywhere. Between the look and the system call no other code may run, as a worker that
is stopped there for longer than its lease sends something that others have looked up, not found, and sent themselves.
"""

from __future__ import annotations

import asyncio
import queue
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from support.raw_server import ANSWER, Arrived, RawServer, raw_server, tls_contexts

from signoff.capabilities.tools.connections import SocketOption
from signoff.capabilities.tools.dialling import dial
from signoff.capabilities.tools.http import HttpTools
from signoff.capabilities.tools.model import ToolSettings
from signoff.capabilities.tools.transport import OnePieceTransport
from signoff.catalog.tools import HttpCall, Idempotency, ToolContract
from signoff.core.clock import SystemClock
from signoff.core.errors import StepError, UnavailableError

SCHEMA: dict[str, Any] = {"type": "object"}


@pytest.fixture(params=["plain", "tls"])
def contexts(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    return tls_contexts(tmp_path) if request.param == "tls" else (None, None)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """Workers run on uvloop, which puts off what asyncio writes at once."""
    with asyncio.Runner(loop_factory=request.param) as running:
        yield running


def contract(url: str) -> ToolContract:
    return ToolContract(
        "pay", "Pays.", HttpCall("POST", url), SCHEMA, SCHEMA, effect=True, idempotency=Idempotency("ask")
    )


def through(trusted: ssl.SSLContext | None, *options: SocketOption) -> HttpTools:
    transport = OnePieceTransport(max_connections=1, keep_alive_s=60.0, socket_options=options, ssl_context=trusted)
    return HttpTools(ToolSettings(), SystemClock(), lambda _: None, transport=transport)


async def call(tools: HttpTools, url: str, may_send: Callable[[], None], **arguments: Any) -> None:
    made = contract(f"{url}/pay")
    assert isinstance(made.call, HttpCall)
    given: dict[str, Any] = {"idempotency_key": None, "timeout_s": 30.0, "settings": {}, "may_send": may_send}
    await tools.call(made, made.call, arguments, **given)


def test_a_request_has_left_before_anything_else_has_its_turn(
    contexts: tuple[ssl.SSLContext | None, ssl.SSLContext | None], runner: asyncio.Runner
):
    server, client = contexts
    looks: list[Arrived | None] = []

    async def paid_twice(service: RawServer) -> None:
        tools = through(client)

        def look() -> None:
            asyncio.get_running_loop().call_soon(next_turn)

        def next_turn() -> None:
            """Blocks the loop: what arrives now was sent before this turn."""
            try:
                looks.append(service.requests.get(timeout=5))
            except queue.Empty:
                looks.append(None)

        for number in (1, 2):  # over a new connection, and over the same again
            await call(tools, service.url, look, n=number)
        await tools.close()

    with raw_server(server) as service:
        runner.run(paid_twice(service))
    assert [None if arrived is None else (arrived.body, arrived.whole) for arrived in looks] == [
        (b'{"n":1}', True),
        (b'{"n":2}', True),
    ]


def test_what_the_kernel_takes_in_parts_is_asked_for_part_by_part(
    contexts: tuple[ssl.SSLContext | None, ssl.SSLContext | None], runner: asyncio.Runner
):
    """The lease is lost while the other side does not read: it gets no whole request, and is told by a reset."""
    server, client = contexts
    looks = 0

    async def paid(service: RawServer) -> None:
        nonlocal looks
        tools = through(client, (socket.SOL_SOCKET, socket.SO_SNDBUF, 4096))

        def look() -> None:
            nonlocal looks
            looks += 1
            if looks == 2:
                raise UnavailableError("the lease is over")
            service.reading.clear()
            asyncio.get_running_loop().call_later(0.2, service.reading.set)

        with pytest.raises(UnavailableError):
            await call(tools, service.url, look, text="x" * 1_000_000)
        await tools.close()

    with raw_server(server, receive_bytes=4096) as service:
        runner.run(paid(service))
    assert looks == 2
    assert not any(arrived.whole for arrived in service.requests.queue)


async def test_what_a_call_that_was_given_up_left_in_the_kernel_is_not_delivered():
    """Its outcome is looked up some time later, and must not change after that."""
    asked = asyncio.Event()
    with raw_server(receive_bytes=4096) as service:
        service.reading.clear()
        tools = through(None)
        task = asyncio.create_task(call(tools, service.url, asked.set, text="x" * 1_000_000))
        await asked.wait()  # what was asked for in that turn of the loop was sent in it
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        service.reading.set()
        await tools.close()
    assert not any(arrived.whole for arrived in service.requests.queue)


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("answering", [False, True], ids=["before the answer", "in the answer"])
def test_a_call_that_is_given_up_more_than_once_gives_its_connection_back(
    runner: asyncio.Runner, times: int, answering: bool
):
    """A worker that wakes from a stop finds its session lost and the call's time over: both give it up at once."""

    async def given_up(service: RawServer) -> None:
        tools, asked = through(None), asyncio.Event()
        service.reading.clear()
        if answering:
            service.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"
            service.reading.set()
        task = asyncio.create_task(call(tools, service.url, asked.set, text="x" * 100))
        await asked.wait()
        if answering:
            await asyncio.to_thread(service.requests.get, timeout=10)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        service.answer = ANSWER
        service.reading.set()
        async with asyncio.timeout(10):
            await call(tools, service.url, lambda: None, n=2)  # the pool has one connection
        await tools.close()

    with raw_server() as service:
        runner.run(given_up(service))


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_call_that_is_given_up_as_it_may_send_no_more_gives_its_connection_back(runner: asyncio.Runner, turns: int):
    """The lease keeps the rest of a request back, and while that is cleaned up the call's time is over."""

    async def given_up(service: RawServer) -> None:
        tools, loop = through(None, (socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)), asyncio.get_running_loop()
        looks = 0

        def later(left: int) -> None:
            loop.call_soon(later, left - 1) if left else task.cancel()

        def look() -> None:
            nonlocal looks
            looks += 1
            if looks == 2:
                later(turns)
                raise UnavailableError("the lease is over")
            service.reading.clear()
            loop.call_later(0.05, service.reading.set)

        task = asyncio.create_task(call(tools, service.url, look, text="x" * 1_000_000))
        with pytest.raises((asyncio.CancelledError, UnavailableError)):
            await task
        async with asyncio.timeout(10):
            await call(tools, service.url, lambda: None, n=2)  # the pool has one connection
        await tools.close()

    with raw_server(receive_bytes=4096) as service:
        runner.run(given_up(service))


async def test_a_tunnel_that_ends_before_the_request_leaves_nothing_in_doubt():
    """What a proxy is told to get through to the tool is no request to the tool."""
    with raw_server() as proxy:
        tools = HttpTools(ToolSettings(proxy_url=proxy.url), SystemClock(), lambda _: None)
        with pytest.raises(StepError) as raised:
            await call(tools, "https://tool.example", lambda: None)
        await tools.close()
        assert proxy.requests.get(timeout=10).head.startswith(b"CONNECT tool.example:443 ")
    assert (raised.value.kind, raised.value.outcome_unknown) == ("unreachable", False)


async def test_a_proxy_passes_requests_on():
    with raw_server() as proxy:
        tools = HttpTools(ToolSettings(proxy_url=proxy.url), SystemClock(), lambda _: None)
        await call(tools, "http://tool.example", lambda: None, n=1)
        await tools.close()
        arrived = proxy.requests.get(timeout=10)
    assert arrived.head.startswith(b"POST http://tool.example/pay ")
    assert arrived.body == b'{"n":1}'


def test_a_proxy_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="http://"):
        HttpTools(ToolSettings(proxy_url="socks5://127.0.0.1:1080"), SystemClock(), lambda _: None)


async def test_an_address_that_refuses_makes_way_for_the_next():
    """`localhost` has an address of each family on most machines; the service listens on one."""
    with raw_server() as service:
        connected = await dial("localhost", int(service.url.rsplit(":", 1)[1]))
        connected.close()


async def test_a_host_where_nobody_listens_says_so():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            await dial("127.0.0.1", bound.getsockname()[1])
