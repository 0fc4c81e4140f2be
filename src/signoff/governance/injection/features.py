"""Hashed n-grams of words and characters (Weinberger et al., ICML 2009): no vocabulary to load."""

from __future__ import annotations

import re
from zlib import crc32

import numpy as np
import numpy.typing as npt

BUCKETS_BITS = 17
BUCKETS = 1 << BUCKETS_BITS
"""Of each kind of n-gram. Two that fall together share a weight, which costs little at this size."""
WORD_ORDERS = (1, 2, 3)
CHARACTER_ORDERS = (3, 5)

Indexes = npt.NDArray[np.int64]

_TOKEN = re.compile(r"\w+|[^\w\s]")
_DIGITS = re.compile(r"\d")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_STEP = np.uint64(1_000_003)
_SHIFT = np.uint64(29)
_KEEP = np.uint64(64 - BUCKETS_BITS)


def word_buckets(text: str) -> Indexes:
    """The buckets of the text's words, pairs and triples of words, each once. Digits are all alike."""
    tokens = _TOKEN.findall(_DIGITS.sub("0", text.lower()))
    codes = np.array([crc32(token.encode()) for token in tokens], dtype=np.uint64)
    return _buckets(codes, WORD_ORDERS)


def character_buckets(text: str) -> Indexes:
    """The buckets of the text's runs of three and of five characters, each once."""
    padded = f" {_DIGITS.sub('0', text.lower())} "
    codes = np.frombuffer(padded.encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    return _buckets(codes, CHARACTER_ORDERS)


def _buckets(codes: npt.NDArray[np.uint64], orders: tuple[int, ...]) -> Indexes:
    found: list[npt.NDArray[np.uint64]] = []
    for order in orders:
        if len(codes) < order:
            break
        # The order is in the hash, so that "a" and "a a" differ. Overflow is meant: it is arithmetic modulo 2^64.
        value = np.full(len(codes) - order + 1, order, dtype=np.uint64)
        for offset in range(order):
            value = value * _STEP + codes[offset : len(codes) - order + 1 + offset]
        value ^= value >> _SHIFT
        found.append((value * _MULTIPLIER) >> _KEEP)
    if not found:
        return np.zeros(0, dtype=np.int64)
    return np.unique(np.concatenate(found)).astype(np.int64)
