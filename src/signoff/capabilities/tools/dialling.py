"""A TCP connection to a host with several addresses: one that does not answer must not cost the whole time."""

from __future__ import annotations

import asyncio
import socket
from itertools import chain, zip_longest
from typing import Any

ATTEMPT_DELAY_S = 0.25
"""How long an address is tried before the next one is tried beside it (RFC 8305, section 5), in seconds."""

_Address = tuple[socket.AddressFamily, Any]


async def dial(host: str, port: int, *, local_address: str | None = None) -> socket.socket:
    """A connected, non-blocking socket: of the first address that answers, the families by turns (RFC 8305).

    Raises:
        OSError: the host has no address, or none of them could be connected to; the last one's error.
    """
    loop = asyncio.get_running_loop()
    known = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    waiting = _by_turns([(family, address) for family, _, _, _, address in known])
    tries: set[asyncio.Task[socket.socket]] = set()
    failure: OSError = OSError(f"'{host}' has no address")
    try:
        while waiting or tries:
            if waiting:
                tries.add(asyncio.create_task(_connected(*waiting.pop(0), local_address)))
            delay_s = ATTEMPT_DELAY_S if waiting else None
            ended, tries = await asyncio.wait(tries, timeout=delay_s, return_when=asyncio.FIRST_COMPLETED)
            for attempt in ended:
                try:
                    return attempt.result()
                except OSError as error:
                    failure = error
        raise failure
    finally:
        for attempt in tries:
            attempt.cancel()
            attempt.add_done_callback(_given_up)


async def _connected(family: socket.AddressFamily, address: Any, local_address: str | None) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        if local_address is not None:
            made.bind((local_address, 0))
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


def _by_turns(addresses: list[_Address]) -> list[_Address]:
    """The addresses of the family that comes first and the others, one by one; within a family in the given order."""
    if not addresses:
        return []
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for address in chain.from_iterable(zip_longest(first, others)) if address is not None]


def _given_up(attempt: asyncio.Task[socket.socket]) -> None:
    """Close what connected although nobody wanted it any more."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
