"""The codec boundary: small data stays as it is, old rows are read for ever, damage is told."""

from __future__ import annotations

import pytest

from signoff.runtime.codec import COMPRESS_FROM_BYTES, CodecError, Payloads, ZstdCodec
from signoff.runtime.events import decode, encode

LARGE = encode({"text": "refund " * 2000})


class Reversed:
    header = 7

    def encode(self, data: bytes) -> bytes:
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


class Another(Reversed):
    pass


def test_small_data_is_stored_as_it_is():
    data = encode({"n": 1})
    payloads = Payloads()
    assert payloads.pack(data) is data
    assert payloads.unpack(data) is data
    edge = b"x" * COMPRESS_FROM_BYTES
    assert payloads.pack(edge[1:]) is not None
    assert payloads.pack(edge[1:])[:1] == b"x"
    assert payloads.pack(edge)[0] == ZstdCodec.header


def test_large_data_is_compressed_and_read_back():
    packed = Payloads().pack(LARGE)
    assert len(packed) < len(LARGE) / 10
    assert Payloads().unpack(packed) == LARGE
    assert decode(packed) == decode(LARGE)


@pytest.mark.parametrize("old", [b'{"a":1}', b"[]", b'"x"', b"-1", b"true", b"null"])
def test_plain_json_of_earlier_versions_is_read(old: bytes):
    assert encode(decode(old)) == old


def test_a_codec_of_ones_own_writes_and_what_others_wrote_is_still_read():
    compressed = Payloads().pack(LARGE)
    payloads = Payloads()
    payloads.write_with(Reversed(), from_bytes=0)
    packed = payloads.pack(b'{"a":1}')
    assert packed == b'\x07}1:"a"{'[:1] + b'{"a":1}'[::-1]
    assert payloads.unpack(packed) == b'{"a":1}'
    assert payloads.unpack(compressed) == LARGE
    with pytest.raises(ValueError, match="header 7 is not free"):
        payloads.read_with(Another())
    with pytest.raises(CodecError, match="header 7"):
        Payloads().unpack(packed)


def test_a_header_that_json_may_begin_with_is_refused():
    class Brace(Reversed):
        header = ord("{")

    with pytest.raises(ValueError, match="not free"):
        Payloads().write_with(Brace())


def test_damage_is_told():
    packed = Payloads().pack(LARGE)
    with pytest.raises(CodecError, match="cut off"):
        Payloads().unpack(packed[:-5])
    with pytest.raises(CodecError, match="damaged"):
        Payloads().unpack(packed[:1] + b"\xff" * 20)
