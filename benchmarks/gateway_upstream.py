"""A vendor that answers like OpenAI, as quickly as Python can: its bytes are made once.

`python -m benchmarks.gateway_upstream [delay_s]` runs in a process of its own until its input
ends, and says its port as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import uvloop

WORDS = 20
"""Chunks of a stream that have words."""
_TEXT = "The parcel left Rotterdam on Tuesday, and is on its way to you; it will be there on Friday."
_COMMON: dict[str, Any] = {"id": "chatcmpl-stub", "created": 1_700_000_000, "model": "stub"}
_USAGE = {"prompt_tokens": 60, "completion_tokens": 20, "total_tokens": 80}


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
    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
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
            if self._delay_s:
                asyncio.get_running_loop().call_later(self._delay_s, self._transport.write, answer)
            else:
                self._transport.write(answer)


async def _main(delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Vendor(delay_s), "127.0.0.1", 0, backlog=512)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
