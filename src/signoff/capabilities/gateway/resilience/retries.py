"""Whether and when the same model is asked again.

Full jitter as in Brooker, "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015); Retry-After as in RFC 9110,
section 10.2.3.
"""

from __future__ import annotations

from collections.abc import Callable

from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.resilience.settings import ResilienceSettings

AGAIN = frozenset({"rate_limited", "unavailable"})
"""Failures after which the same model is asked again; who was silent for a whole timeout would be so again."""


def wait_s(
    error: ProviderError, tries: int, left_s: float, settings: ResilienceSettings, chance: Callable[[], float]
) -> float | None:
    """How long to wait before the same model is asked again, in seconds; none where it is not to be.

    Args:
        error: how the last try failed.
        tries: how often it was asked.
        left_s: how long the whole call may still take, in seconds.
        settings: the bounds.
        chance: a random number from 0 to 1.
    """
    if error.kind not in AGAIN or tries > settings.retries:
        return None
    asked_s = error.retry_after_s or 0.0
    if asked_s > settings.longest_retry_after_s:
        return None
    ceiling_s = min(settings.longest_retry_s, settings.retry_base_s * 2 ** (tries - 1))
    # Not sooner than the vendor asked, and not all of its clients in the same moment.
    wait = asked_s + chance() * ceiling_s
    return wait if wait < left_s else None
