"""An answer's head goes with what comes right behind it, and is never kept from a client that waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

from signoff.api.connection import Joining

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Sent:
    """A transport that keeps what it sends."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.pieces.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def joined() -> tuple[Joining, Sent]:
    sent = Sent()
    transport: Any = sent
    return Joining(transport), sent


async def test_a_head_goes_with_its_body() -> None:
    connection, sent = joined()
    connection.write(HEAD)
    connection.write(b"answer")
    connection.write(b"more")
    assert sent.pieces == [HEAD + b"answer", b"more"]
    await asyncio.sleep(0)
    assert len(sent.pieces) == 2


async def test_a_head_whose_body_comes_later_goes_by_itself() -> None:
    connection, sent = joined()
    connection.write(HEAD)
    assert not sent.pieces
    await asyncio.sleep(0)
    assert sent.pieces == [HEAD]
    connection.write(b"answer")
    assert sent.pieces == [HEAD, b"answer"]


async def test_what_looks_like_a_head_stays_in_its_place() -> None:
    connection, sent = joined()
    for piece in (HEAD, HEAD, HEAD, b"end"):
        connection.write(piece)
    connection.close()
    assert b"".join(sent.pieces) == HEAD * 3 + b"end"


async def test_a_head_is_sent_before_the_connection_is_closed_and_not_after() -> None:
    connection, sent = joined()
    connection.write(HEAD)
    connection.close()
    await asyncio.sleep(0)
    assert (sent.pieces, sent.closed, connection.is_closing()) == ([HEAD], True, True)
    connection, sent = joined()
    connection.write(HEAD)
    sent.closed = True  # by the client
    await asyncio.sleep(0)
    assert not sent.pieces
