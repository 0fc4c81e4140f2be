"""A vendor that answers like OpenAI, as quickly as Python can: its bytes are made once.

`python -m benchmarks.gateway_upstream` runs in a process of its own until its input ends, and says its ports as JSON:
one that answers at once, and one that takes the time of a quick model, which is another for each question.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Any

import uvloop

WORDS = 20
"""Chunks of a stream that have words."""
LEAST_DELAY_S, MOST_DELAY_S = 0.05, 0.15
"""How long the paced port waits before it answers, in seconds: a quick model's first token. The time varies, as models'
times do: were it always the same, all that are in flight would come back at one moment, and again at one moment."""
_STEPS, _STRIDE = 1_009, 387
_NUMBER = re.compile(rb"order (\d+)")
_TEXT = "The parcel left Rotterdam on Tuesday, and is on its way to you; it will be there on Friday."
_COMMON: dict[str, Any] = {"id": "chatcmpl-stub", "created": 1_700_000_000, "model": "stub"}
_USAGE = {"prompt_tokens": 60, "completion_tokens": 20, "total_tokens": 80}


def delay_s(number: int) -> float:
    """How long the paced port takes for a question, by its number, in seconds: spread evenly, the same in each run."""
    return LEAST_DELAY_S + (MOST_DELAY_S - LEAST_DELAY_S) * (number * _STRIDE % _STEPS) / _STEPS


def _whole() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": _TEXT}, "finish_reason": "stop"}
    body = json.dumps({**_COMMON, "object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _stream() -> bytes:
    def chunk(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**_COMMON, "object": "chat.completion.chunk", "choices": [choice]}

    chunks = [chunk({"role": "assistant", "content": ""})]
    chunks += [chunk({"content": f"word{number} "}) for number in range(WORDS)]
    chunks += [chunk({}, "stop"), {**_COMMON, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE}]
    events = [f"data: {json.dumps(one)}\n\n".encode() for one in chunks]
    events.append(b"data: [DONE]\n\n")
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"


_ANSWER, _EVENTS = _whole(), _stream()


class _Vendor(asyncio.Protocol):
    def __init__(self, *, paced: bool) -> None:
        self._paced = paced
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (found := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:found].lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            end = found + 4 + length
            if len(self._received) < end:
                return
            body, self._received = self._received[found + 4 : end], self._received[end:]
            streams = b'"stream":true' in body or b'"stream": true' in body
            answer = _EVENTS if streams else _ANSWER
            if self._paced:
                number = _NUMBER.search(body)
                assert number is not None, "a question without its number"
                asyncio.get_running_loop().call_later(delay_s(int(number[1])), self._transport.write, answer)
            else:
                self._transport.write(answer)


async def _main() -> None:
    loop = asyncio.get_running_loop()

    async def port(*, paced: bool) -> int:
        server = await loop.create_server(lambda: _Vendor(paced=paced), "127.0.0.1", 0, backlog=512)
        return server.sockets[0].getsockname()[1]

    print(json.dumps({"port": await port(paced=False), "paced_port": await port(paced=True)}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_main())
