"""Identifiers. Time-ordered UUIDs (RFC 9562, version 7) keep an index's new rows together."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Callable

_VERSION_BITS = 0x7 << 76
_VARIANT_BITS = 0x2 << 62

IdSource = Callable[[], uuid.UUID]


def uuid7(*, time_ms: int | None = None, random_bytes: bytes | None = None) -> uuid.UUID:
    """A UUID of version 7 (RFC 9562, section 5.7): 48 bits of Unix time in milliseconds, then 74 random bits.

    Args:
        time_ms: milliseconds since the Unix epoch; now where not given.
        random_bytes: ten bytes of randomness; from the operating system where not given.
    """
    moment = time.time_ns() // 1_000_000 if time_ms is None else time_ms
    noise = int.from_bytes(os.urandom(10) if random_bytes is None else random_bytes, "big")
    value = (moment & 0xFFFF_FFFF_FFFF) << 80 | _VERSION_BITS | (noise >> 68 & 0xFFF) << 64
    return uuid.UUID(int=value | _VARIANT_BITS | noise & 0x3FFF_FFFF_FFFF_FFFF)


def derived_id(namespace: uuid.UUID, name: str) -> uuid.UUID:
    """The same id for the same namespace and name, for ever (RFC 9562, version 5).

    It makes a retried insert land on the row that the first try wrote.
    """
    return uuid.uuid5(namespace, name)


def digest(content: bytes) -> str:
    """The SHA-256 of bytes as lower-case hexadecimal: how releases, policies and definitions are pinned."""
    return hashlib.sha256(content).hexdigest()
