"""Numbers that no honest vendor says."""

from __future__ import annotations

from signoff.capabilities.gateway.providers.wire.building import MOST_TOKENS, count
from signoff.capabilities.gateway.providers.wire.errors import of_status


def test_what_a_vendor_says_of_tokens_and_waits_is_bounded():
    assert [count(value) for value in (7, 7.0, -1, 1e300, 10**30, True, "7", None)] == [
        7, 7, 0, MOST_TOKENS, MOST_TOKENS, 0, 0, 0,
    ]  # fmt: skip
    for said in ("nan", "inf", "-inf"):
        assert of_status(429, None, {"retry-after": said}).retry_after_s is None
    assert of_status(429, {"error": {"message": "Please try again in 1.2.3s"}}, {}).retry_after_s == 0.0
