"""What a failed call means: its kind, whether trying again may help, and whether the effect may have happened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from signoff.catalog.tools import ToolContract
from signoff.core.errors import Problem, StepError

MAX_RETRY_AFTER_S = 86_400.0
"""The longest wait that we take from an answer's Retry-After, in seconds."""

_KINDS = {401: "unauthorized", 403: "refused", 404: "not_found", 408: "timeout", 409: "conflict", 429: "rate_limited"}
_RETRYABLE = frozenset((408, 425, 429))
_OF_THE_CALLER = frozenset((401, 403, 407))  # about our credential, whatever an earlier call with another one did
_NOT_PERFORMED = frozenset((501, 505))  # the server says that it has no such method or version: nothing was tried


def declared_answer(contract: ToolContract, status: int, retry_after: str | None, now: datetime) -> dict[str, Any]:
    """What the contract gives in place of an HTTP status that is no success: not finding may be an ordinary answer.

    Raises:
        StepError: the contract declares no answer for it, or the status leaves open whether a write was made.
    """
    declared = contract.failure(str(status))
    error = failed_status(contract, status, retry_after, now)
    if declared is None or declared.output is None or error.outcome_unknown:
        raise error
    return dict(declared.output)


def failed_status(contract: ToolContract, status: int, retry_after: str | None, now: datetime) -> StepError:
    """The error for an HTTP status that is no success.

    The contract's own mapping comes first. After a 5xx a write's outcome is unknown whatever the contract says of the
    kind, because a proxy may have answered for a server that went on working.
    """
    server_failed = status >= 500  # noqa: PLR2004  (RFC 9110, section 15.6: server error)
    unsettled = server_failed or status < 400  # noqa: PLR2004  (a 3xx may follow a write that was made, as 303 does)
    unknown = contract.effect and unsettled and status not in _NOT_PERFORMED
    detail = f"Tool '{contract.name}' answered with HTTP status {status}."
    wait_s = retry_after_s(retry_after, now)
    declared = contract.failure(str(status))
    if declared is not None:
        unknown = contract.effect and (unknown or declared.outcome_unknown)
        return StepError(
            detail,
            kind=declared.kind or f"http_{status}",
            retryable=declared.retryable,
            outcome_unknown=unknown,
            retry_after_s=wait_s,
            declared=not (unknown or server_failed or status in _RETRYABLE | _OF_THE_CALLER),
        )
    retryable = status in _RETRYABLE or (server_failed and status not in _NOT_PERFORMED)
    return StepError(
        detail,
        kind=_KINDS.get(status, f"http_{status}"),
        retryable=retryable,
        outcome_unknown=unknown or (contract.effect and status == 408),  # noqa: PLR2004  (a gateway's 408 may be late)
        retry_after_s=wait_s,
    )


def bad_arguments(contract: ToolContract, detail: str, problems: Sequence[Problem] = ()) -> StepError:
    """The arguments break the contract; nothing was sent."""
    return StepError(f"Tool '{contract.name}' was not called: {detail}", kind="arguments", problems=problems)


def broken_answer(contract: ToolContract, detail: str, problems: Sequence[Problem] = ()) -> StepError:
    """The answer breaks the contract. The call happened, so of a write nobody knows what it did."""
    return StepError(
        f"Tool '{contract.name}' gave an answer that its contract forbids: {detail}",
        kind="contract",
        outcome_unknown=contract.effect,
        problems=problems,
    )


def misconfigured(contract: ToolContract, detail: str) -> StepError:
    """The deployment lacks what the contract needs; nothing was sent."""
    return StepError(f"Tool '{contract.name}' was not called: {detail}", kind="misconfigured")


def timed_out(contract: ToolContract, timeout_s: float, *, sent: bool) -> StepError:
    """The call did not end in time."""
    return StepError(
        f"Tool '{contract.name}' did not answer within {timeout_s:g} s.",
        kind="timeout",
        retryable=True,
        outcome_unknown=contract.effect and sent,
    )


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Seconds to wait from a Retry-After header (RFC 9110, section 10.2.3), or none where it says nothing usable."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:12]), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), MAX_RETRY_AFTER_S)
