"""How vendors cut a stream of bytes into events: server-sent events, JSON lines, AWS event stream messages.

Each decoder takes bytes as they come, in whatever chunks, and gives whole events. What is left undecided when the
bytes end is no event: a stream that broke off in the middle of one loses that one.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterator
from typing import Any, Literal, Protocol, cast

import orjson

from signoff.capabilities.gateway.providers.wire.errors import NotItsFormatError
from signoff.core.values import value

Framing = Literal["sse", "json_lines", "aws"]

MAX_EVENT_BYTES = 32 * 1024 * 1024
"""Longer events break the stream: memory is finite, and pictures as base64 are the longest honest ones."""
_AWS_PRELUDE = 12
_AWS_STRING, _AWS_BYTES = 7, 6
_AWS_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Header value types of a fixed size: booleans, integers, timestamp, UUID."""


@value
class Event:
    """One event of a stream.

    Attributes:
        name: the event's own name where the framing has one; `error` for an AWS exception.
        body: its JSON; empty where `done`.
        done: OpenAI's `[DONE]`.
    """

    name: str
    body: dict[str, Any]
    done: bool = False


class Decoder(Protocol):
    """Bytes to events."""

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that these bytes complete.

        Raises:
            NotItsFormatError: they are not events.
        """
        ...


def decoder(framing: Framing) -> Decoder:
    """A decoder for one stream."""
    return {"sse": ServerSentEvents, "json_lines": JsonLines, "aws": AwsEventStream}[framing]()


class JsonLines:
    """A JSON object per line (Ollama)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Event]:
        """See `Decoder`."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        _bounded(len(self._rest))
        for line in lines:
            if line.strip():
                yield Event("", read_object(line))


class ServerSentEvents:
    """Server-sent events (WHATWG HTML, 9.2.6), on bytes.

    Lines end in CR, LF or both and nothing else; cutting decoded text with `str.splitlines`, as some clients do, breaks
    answers that hold U+2028 or U+0085.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._name = ""
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """See `Decoder`."""
        # A CR at the end may be half of a CR LF: it waits for what follows.
        whole = self._rest + data
        held = whole.endswith(b"\r")
        if b"\r" in whole:
            whole = whole[: len(whole) - held].replace(b"\r\n", b"\n").replace(b"\r", b"\n") + b"\r" * held
        *lines, self._rest = whole.split(b"\n")
        _bounded(len(self._rest) + self._size)
        for line in lines:
            event = self._line(line)
            if event is not None:
                yield event

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")
        return None

    def _dispatch(self) -> Event | None:
        name, data = self._name, b"\n".join(self._data).strip()
        self._name, self._data, self._size = "", [], 0
        if not data:
            return None
        if data == b"[DONE]":
            return Event(name, {}, done=True)
        return Event(name, read_object(data))


class AwsEventStream:
    """AWS's binary messages (`application/vnd.amazon.eventstream`), checksums verified.

    A message is: total length, length of headers, CRC-32 of these; headers; payload; CRC-32 of it all.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Event]:
        """See `Decoder`."""
        self._rest += data
        while len(self._rest) >= _AWS_PRELUDE:
            total = int.from_bytes(self._rest[:4])
            headers_size = int.from_bytes(self._rest[4:8])
            if (
                zlib.crc32(self._rest[:8]) != int.from_bytes(self._rest[8:12])
                or total < _AWS_PRELUDE + 4 + headers_size
            ):
                raise NotItsFormatError("event stream prelude")
            _bounded(total)
            if len(self._rest) < total:
                return
            message, self._rest = self._rest[:total], self._rest[total:]
            if zlib.crc32(message[:-4]) != int.from_bytes(message[-4:]):
                raise NotItsFormatError("event stream checksum")
            headers = _aws_headers(message[_AWS_PRELUDE : _AWS_PRELUDE + headers_size])
            yield _aws_event(headers, message[_AWS_PRELUDE + headers_size : -4])


def _aws_headers(data: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            length = data[at]
            name = data[at + 1 : at + 1 + length].decode()
            kind = data[at + 1 + length]
            at += length + 2
            if kind in (_AWS_STRING, _AWS_BYTES):
                size = int.from_bytes(data[at : at + 2])
                if kind == _AWS_STRING:
                    headers[name] = data[at + 2 : at + 2 + size].decode()
                at += 2 + size
            else:
                at += _AWS_FIXED[kind]
    except (IndexError, KeyError, UnicodeDecodeError):
        raise NotItsFormatError("event stream headers") from None
    return headers


def _aws_event(headers: dict[str, str], payload: bytes) -> Event:
    body = read_object(payload) if payload else {}
    if headers.get(":message-type", "event") != "event":
        kind = headers.get(":exception-type") or headers.get(":error-code") or "error"
        return Event("error", {"__type": kind, **body})
    if "bytes" in body:
        # InvokeModelWithResponseStream wraps the model's own event.
        try:
            return Event("", read_object(base64.b64decode(body["bytes"])))
        except (binascii.Error, TypeError, ValueError):
            raise NotItsFormatError("event stream chunk") from None
    return Event(headers.get(":event-type", ""), body)


def read_object(data: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        NotItsFormatError: it is none.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise NotItsFormatError("JSON") from None
    if not isinstance(value, dict):
        raise NotItsFormatError("a JSON object")
    return cast("dict[str, Any]", value)


def _bounded(size_bytes: int) -> None:
    if size_bytes > MAX_EVENT_BYTES:
        raise NotItsFormatError(f"an event within {MAX_EVENT_BYTES} bytes")
