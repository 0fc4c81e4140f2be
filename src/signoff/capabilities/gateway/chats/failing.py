"""What the failures of all candidates of a chat together mean."""

from __future__ import annotations

from collections.abc import Sequence

from signoff.capabilities.gateway.failures import RETRYABLE, Failure
from signoff.capabilities.gateway.model import GatewayError
from signoff.runtime.breakers import BREAKER_OPEN

_MEANS = (
    ("content_filter", "model_filtered"),
    ("budget", "budget"),
    ("limit", "quota"),
    ("rate_limited", "model_unavailable"),
    ("unavailable", "model_unavailable"),
    ("timeout", "model_unavailable"),
    (BREAKER_OPEN, BREAKER_OPEN),
    ("context_overflow", "context_overflow"),
    ("contract", "model_contract"),
    ("rejected", "model_rejected"),
    ("cannot", "model_cannot"),
    ("quota", "model_unavailable"),
    ("setup", "model_unavailable"),
    ("forbidden", "forbidden"),
)
"""Kinds of failure, most telling first: what decides, what may pass by itself, what got far, what did not."""


def failed_chat(task: str, failures: Sequence[Failure]) -> GatewayError:
    """The error of a chat that nobody answered; its reason is the most telling failure's kind."""
    detail = f"No model could do the task '{task}'. " + " ".join(f"{item.model}: {item.detail}" for item in failures)
    by_kind = {_kind(failure): failure for failure in reversed(failures)}
    reason, kind = next(((one, means) for one, means in _MEANS if one in by_kind), ("unavailable", "model_unavailable"))
    retryable = reason in RETRYABLE or reason == BREAKER_OPEN
    waits = [item.retry_after_s for item in failures if item.retry_after_s is not None]
    told = by_kind.get(reason)
    return GatewayError(
        detail,
        kind=kind,
        retryable=retryable,
        retry_after_s=min(waits, default=None) if retryable or reason in ("limit", "budget") else None,
        problems=[problem for item in failures for problem in item.problems],
        reason=reason,
        at_limit=told.at_limit if told else "",
    )


def _kind(failure: Failure) -> str:
    # A vendor's `quota` is that of our account there; ours is a limit.
    return "limit" if failure.kind == "quota" and failure.at_limit else failure.kind
