"""The client of vendors: what it writes, and answers that are packed or repeat a header."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import cast

import httpx
import pytest

from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers.client import Answer, VendorClient


class _Vendor(asyncio.Protocol):
    """Gives one answer to everything, and hears what is sent."""

    def __init__(self, answer: bytes, heard: list[bytes]) -> None:
        self._answer, self._heard, self._received = answer, heard, b""
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, ended, body = self._received.partition(b"\r\n\r\n")
        if ended and len(body) == int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            self._heard.append(self._received)
            self._received = b""
            cast("asyncio.Transport", self._transport).write(self._answer)


@asynccontextmanager
async def _vendor(answer: bytes, heard: list[bytes]) -> AsyncGenerator[str]:
    server = await asyncio.get_running_loop().create_server(lambda: _Vendor(answer, heard), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat?version=2"
    finally:
        server.close()


def _client(url: str, **headers: str) -> VendorClient:
    return VendorClient(url, headers, auth=None, connect_s=5, loopback=True)


async def test_a_request_has_its_head_and_all_of_its_body_each_time() -> None:
    heard: list[bytes] = []
    async with _vendor(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nyo", heard) as url:
        client = _client(url, authorization="Bearer k")
        for body in (b"{}", b'{"long": 1}'):
            async with aclosing(await client.post(url, body)) as answer:
                assert (answer.status, await answer.more(), await answer.more()) == (200, b"yo", None)
        await client.aclose()
    heads = [request.split(b"\r\n\r\n")[0] for request in heard]
    assert [request.partition(b"\r\n\r\n")[2] for request in heard] == [b"{}", b'{"long": 1}']
    assert all(head.startswith(b"POST /v1/chat?version=2 HTTP/1.1\r\n") for head in heads)
    assert all(b"authorization: Bearer k" in head.replace(b"Authorization", b"authorization") for head in heads)
    assert [head.count(b"content-length") for head in heads] == [1, 1]


async def test_a_packed_answer_is_unpacked() -> None:
    packed = gzip.compress(b'{"a": 1}')
    answer_bytes = b"HTTP/1.1 429 No\r\ncontent-encoding: gzip\r\nRetry-After: 3\r\ncontent-length: %d\r\n\r\n" % len(
        packed
    )
    async with _vendor(answer_bytes + packed, []) as url:
        client = _client(url)
        for _ in range(2):
            async with aclosing(await client.post(url, b"{}")) as answer:
                assert (answer.status, await _all(answer), answer.headers["retry-after"]) == (429, b'{"a": 1}', "3")
        await client.aclose()


async def test_a_header_of_the_project_writes_no_other_header() -> None:
    heard: list[bytes] = []
    async with _vendor(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", heard) as url:
        client = _client(url, team="a\r\nauthorization: Bearer other")
        with pytest.raises(ProviderError, match="line break"):
            await client.post(url, b"{}")
        await client.aclose()
    assert not heard


async def _all(answer: Answer) -> bytes:
    found = b""
    while (chunk := await answer.more()) is not None:
        found += chunk
    return found


@pytest.mark.parametrize("auth", [None, httpx.BasicAuth("a", "b")])
async def test_a_client_that_is_closed_lets_answers_end_and_may_be_asked_again(auth: httpx.Auth | None) -> None:
    """More models than are kept: one that is closed for another may be in use, or chosen already."""
    release, gone = asyncio.Event(), asyncio.Queue[None]()

    async def vendor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n{}")
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfi")
                await release.wait()
                writer.write(b"ne")
        gone.put_nowait(None)
        writer.close()

    server = await asyncio.start_server(vendor, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat"
    client = VendorClient(url, {}, auth=auth, connect_s=5, loopback=True)
    async with server:
        async with aclosing(await client.post(url, b"{}")) as answer:
            assert await answer.more() == b"fi"
            await client.aclose()
            release.set()
            assert await _all(answer) == b"ne"
        await gone.get()
        async with aclosing(await client.post(url, b"{}")) as answer:
            assert await _all(answer) == b"fine"
        await gone.get()
        await client.aclose()
