"""What is between an event's JSON and the bytes in the database: a boundary that can be extended.

The first byte says how the rest was written. Plain JSON is its own form, as it begins with `{`: rows from before this
boundary, and all small ones, are what they always were.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, Protocol

from signoff.core.errors import ConflictError

# The API of Python 3.14's standard library, by its backport before: three times as fast as zlib, and smaller.
_zstd: Any = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")

COMPRESS_FROM_BYTES = 4096
"""Smaller data is stored as it is: compressing it would cost more than it saves."""
UNPACKED_BYTES = 64 * 1024 * 1024
"""What one stored value may grow to when it is read, so that a few bytes cannot fill the memory."""

LAST_HEADER = 31
"""No JSON of ours begins with a byte up to this one."""

_LEVEL = 1


class CodecError(ConflictError):
    """Stored bytes that cannot be read, as no codec for them is configured here."""

    code = "codec"
    title = "Stored data cannot be read"


class DamagedError(CodecError):
    """Stored bytes that are not what was written, or a journal that lacks an event."""

    code = "damaged"
    title = "Stored data is damaged"


class Codec(Protocol):
    """One way to write bytes."""

    @property
    def header(self) -> int:
        """The first byte of all that it writes: 1 to 31, which no JSON begins with. 1 is `ZstdCodec`'s."""
        ...

    def encode(self, data: bytes) -> bytes:
        """The data as it is stored, without the header."""
        ...

    def decode(self, data: bytes) -> bytes:
        """What `encode` was given.

        Raises:
            CodecError: these bytes are not of this codec's making.
        """
        ...


class ZstdCodec:
    """Compression by Zstandard (RFC 8878)."""

    header = 1

    def encode(self, data: bytes) -> bytes:
        """Compressed."""
        return _zstd.compress(data, _LEVEL)

    def decode(self, data: bytes) -> bytes:
        """Decompressed, up to `UNPACKED_BYTES`."""
        decompressor = _zstd.ZstdDecompressor()
        try:
            found: bytes = decompressor.decompress(data, UNPACKED_BYTES)
        except _zstd.ZstdError as error:
            raise DamagedError(f"the compressed data is damaged: {error}") from error
        if decompressor.unused_data:
            raise DamagedError("the compressed data is damaged: something follows it")
        if not decompressor.eof:
            raise DamagedError(f"the compressed data is cut off, or grows past {UNPACKED_BYTES} bytes")
        return found


class Payloads:
    """Which codec writes, from which size on, and which others can still be read. Thread-safe once set up."""

    def __init__(self, *, from_bytes: int = COMPRESS_FROM_BYTES) -> None:
        """Write by compression data of at least that size; smaller data is plain JSON."""
        self._from_bytes = from_bytes
        self._codec: Codec = ZstdCodec()
        self._by_header: dict[int, Codec] = {self._codec.header: self._codec}

    def write_with(self, codec: Codec, *, from_bytes: int = COMPRESS_FROM_BYTES) -> None:
        """From now on write data of at least that size by this codec. What others wrote is read as before.

        Raises:
            ValueError: the header is another codec's, or one that JSON may begin with.
        """
        self.read_with(codec)
        self._codec, self._from_bytes = codec, from_bytes

    def read_with(self, codec: Codec) -> None:
        """Also read what this codec wrote.

        Raises:
            ValueError: the header is another codec's, or one that JSON may begin with.
        """
        known = self._by_header.get(codec.header, codec)
        if not 1 <= codec.header <= LAST_HEADER or type(known) is not type(codec):
            raise ValueError(f"header {codec.header} is not free for {type(codec).__name__}")
        self._by_header[codec.header] = codec

    def pack(self, data: bytes) -> bytes:
        """The bytes to store. Small data stays what it is: this costs one comparison."""
        return data if len(data) < self._from_bytes else self.seal(data)

    def seal(self, data: bytes) -> bytes:
        """The bytes to store of data that may be no JSON: written by the codec whatever its size."""
        return bytes((self._codec.header,)) + self._codec.encode(data)

    def unpack(self, data: bytes) -> bytes:
        """The JSON that was packed.

        Raises:
            CodecError: no codec here can read it, or it is damaged.
        """
        if not data or data[0] > LAST_HEADER:
            return data
        codec = self._by_header.get(data[0])
        if codec is None:
            raise CodecError(f"no codec with the header {data[0]} is set up here to read it")
        return codec.decode(data[1:])


PAYLOADS = Payloads()
"""What this process writes and reads with. Whoever extends it does so at the start, in servers and workers alike."""
