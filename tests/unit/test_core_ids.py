from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from signoff.core.ids import derived_id, digest, uuid7

TIMES_MS = st.integers(0, 2**48 - 1)


@given(time_ms=TIMES_MS, noise=st.binary(min_size=10, max_size=10))
def test_the_layout_is_that_of_the_standard(time_ms: int, noise: bytes) -> None:
    made = uuid7(time_ms=time_ms, random_bytes=noise)
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == time_ms


@given(first=TIMES_MS, second=TIMES_MS)
def test_they_sort_by_time(first: int, second: int) -> None:
    low, high = sorted((first, second))
    assert uuid7(time_ms=low, random_bytes=bytes(10)) <= uuid7(time_ms=high, random_bytes=b"\xff" * 10)


@given(noises=st.sets(st.integers(0, 2**74 - 1), min_size=2, max_size=2))
def test_all_74_random_bits_count(noises: set[int]) -> None:
    made = {uuid7(time_ms=0, random_bytes=noise.to_bytes(10, "big")) for noise in noises}
    assert len(made) == 2


def test_without_arguments_they_differ() -> None:
    assert len({uuid7() for _ in range(1000)}) == 1000


def test_a_derived_id_is_the_same_for_ever() -> None:
    namespace = uuid.UUID("00000000-0000-7000-8000-000000000001")
    assert derived_id(namespace, "refund/7") == derived_id(namespace, "refund/7")
    assert derived_id(namespace, "refund/7") != derived_id(namespace, "refund/8")
    assert str(derived_id(uuid.NAMESPACE_DNS, "www.example.com")) == "2ed6657d-e927-568b-95e1-2665a8aea6a2"  # RFC 9562


def test_a_digest_is_sha_256() -> None:
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
