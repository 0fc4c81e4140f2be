"""Asks an endpoint of chat completions, so many at once, and times each answer: `python -m benchmarks.gateway_load`.

Told one line of JSON: host, port, path, key, model, stream, in_flight, paced, and when it ends: after so many `seconds`
or at `most` so many requests. It says the latencies back; of paced answers without the time that the stub waited.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from itertools import chain
from typing import Any

import uvloop

from benchmarks.gateway_upstream import delay_s


class _Caller(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._received = b""
        self._done: asyncio.Future[bytes] | None = None
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (the protocol's)
        if self._done is not None and not self._done.done():
            self._done.set_exception(ConnectionError("closed in an answer"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            whole = body.endswith(b"0\r\n\r\n")
        else:
            whole = len(body) >= int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if whole and self._done is not None and not self._done.done():
            answer, self._received = self._received, b""
            self._done.set_result(answer)

    def close(self) -> None:
        self._transport.close()

    async def ask(self, request: bytes) -> bytes:
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._done


def _request(told: dict[str, Any], number: int) -> bytes:
    body: dict[str, Any] = {
        "model": told["model"],
        "messages": [
            {"role": "system", "content": "You answer customers of a shop, briefly and kindly."},
            {"role": "user", "content": f"Where is my parcel? I ordered a blue jug on Monday, order {number}."},
        ],
        "max_tokens": 200,
    }
    if told["stream"]:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    data = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST {told['path']} HTTP/1.1\r\nhost: {told['host']}\r\nauthorization: Bearer {told['key']}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


async def _load(told: dict[str, Any]) -> dict[str, Any]:
    loop, asked = asyncio.get_running_loop(), told.get("from", 0)
    last = asked + told["most"]
    latencies: list[float] = []
    wrong: list[str] = []
    began_s = time.perf_counter()
    until_s = began_s + told["seconds"]

    async def calling() -> None:
        nonlocal asked
        _, caller = await loop.create_connection(_Caller, told["host"], told["port"])
        while asked < last and (sent_s := time.perf_counter()) < until_s:
            asked += 1
            # Each its own question, so that nothing is known from before.
            number = 1_000_000 + asked
            request = _request(told, number)
            answer = await caller.ask(request)
            took_s = time.perf_counter() - sent_s
            latencies.append(took_s - delay_s(number) if told["paced"] else took_s)
            ended = b"[DONE]" in answer if told["stream"] else b'"finish_reason"' in answer
            if not answer.startswith(b"HTTP/1.1 200") or not ended:
                wrong.append(answer[:600].decode("utf-8", "replace"))
        caller.close()

    await asyncio.gather(*(calling() for _ in range(told["in_flight"])))
    elapsed_s = time.perf_counter() - began_s
    return {"latencies": latencies, "elapsed_s": elapsed_s, "wrong": len(wrong), "example": wrong[0] if wrong else ""}


def main() -> None:
    # Not print: with PYTHONUNBUFFERED it goes on after a short write, and libuv has long writes to a pipe cut short.
    with open(sys.stdout.fileno(), "w", encoding="utf-8", closefd=False) as said:
        for answer in chain(({"ready": True},), (uvloop.run(_load(json.loads(line))) for line in sys.stdin)):
            said.write(json.dumps(answer) + "\n")
            said.flush()


if __name__ == "__main__":
    main()
