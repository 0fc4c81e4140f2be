"""What a vendor's error means: HTTP status and error body, or an error event inside a stream, to a `ProviderError`.

The vendor's words stay behind: they may repeat the key or the customer's text. Its short codes are shown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, cast

from signoff.capabilities.gateway.provider import FailureKind, ProviderError

MAX_RETRY_AFTER_S = 24 * 3600.0
"""A longer wait, in seconds, is cut to this."""

_TRANSIENT = frozenset({408, 409, 424, 425, 498})
"""Besides 5xx: time-outs and conflicts, AWS's failed model (424), Groq's full flex tier (498)."""
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_WAIT = re.compile(r"(?:try again|retry) in ((?:[\d.]+(?:ms|h|m|s))+)", re.IGNORECASE)
_SPAN = re.compile(r"([\d.]+)(ms|h|m|s)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

# Vendors name these three in codes (first) or only in words (second). Words are matched in 400s alone.
_CODES: tuple[tuple[FailureKind, re.Pattern[str]], ...] = (
    (
        "quota",
        re.compile(r"insufficient_quota|quota_exceeded|billing|ServiceQuotaExceeded|insufficient_(funds|credit)"),
    ),
    (
        "context_overflow",
        re.compile(r"context_length|context_window|string_above_max_length|request_too_large|too_long"),
    ),
    (
        "content_filter",
        re.compile(r"content_(filter|policy)|ResponsibleAIPolicy|moderation|safety|image_generation_user"),
    ),
    ("setup", re.compile(r"model_not_found|invalid_api_key|API_KEY_INVALID|DeploymentNotFound|UNAUTHENTICATED")),
    ("rate_limited", re.compile(r"rate_limit|[Tt]hrottl|RESOURCE_EXHAUSTED|too_many_requests|TooManyRequests")),
    (
        "unavailable",
        re.compile(
            r"overloaded|internal|server_error|api_error|[Ss]erviceUnavailable|ModelStreamError|ModelNotReady|UNAVAILABLE|InternalServer"
        ),
    ),
    ("timeout", re.compile(r"timeout_error|ModelTimeout|DEADLINE_EXCEEDED")),
)
_WORDS: tuple[tuple[FailureKind, re.Pattern[str]], ...] = (
    (
        "quota",
        re.compile(
            r"credit balance|exceeded your current quota|insufficient (balance|credits|funds)|billing", re.IGNORECASE
        ),
    ),
    (
        "context_overflow",
        re.compile(
            r"maximum context length|context (length|window|limit)|(input|prompt)[^.]{0,40} too (long|large)"
            r"|too many (input )?tokens|token count[^.]{0,40} exceeds|reduce the length|exceed[^.]{0,40} context",
            re.IGNORECASE,
        ),
    ),
    (
        "content_filter",
        re.compile(
            r"content (management )?(policy|filter)|usage policy|safety (system|filter)|blocked by|flagged",
            re.IGNORECASE,
        ),
    ),
    (
        "setup",
        re.compile(r"api key not valid|incorrect api key|model[^.]{0,80} (does not exist|not found)", re.IGNORECASE),
    ),
)
_SAID: dict[FailureKind, str] = {
    "timeout": "The vendor did not answer in time",
    "rate_limited": "The vendor limits the rate",
    "unavailable": "The vendor fails",
    "setup": "The vendor refuses the key, or knows no such model or path; check models.yaml",
    "rejected": "The vendor rejects the request",
    "cannot": "The model cannot do this",
    "context_overflow": "The input is longer than the model reads",
    "content_filter": "The vendor's filter refused the input",
    "quota": "The account's quota at the vendor is used up",
}
NOT_ITS_FORMAT = "The vendor's answer is not in its own format."


class NotItsFormatError(Exception):
    """What came is not what the vendor's format says; the message names what was expected, never what came."""


def not_its_format() -> ProviderError:
    """The failure of an answer that cannot be read."""
    return ProviderError("unavailable", NOT_ITS_FORMAT)


def of_status(status: int, body: Any, headers: Mapping[str, str]) -> ProviderError:
    """The failure of an HTTP answer.

    Args:
        status: the HTTP status; 200 where an error stands in an answer of another status.
        body: its JSON, or none.
        headers: names in lower case.
    """
    codes, message = _error_members(body)
    if headers.get("x-amzn-errortype"):
        codes.append(headers["x-amzn-errortype"].partition(":")[0])
    kind = _kind(status, codes, message)
    shown = [str(status)] if status != HTTPStatus.OK else []
    shown += [code for code in codes if _CODE.fullmatch(code) and code != str(status)][:1]
    detail = f"{_SAID[kind]} ({' '.join(shown)})." if shown else f"{_SAID[kind]}."
    wait_s = _retry_after(headers, body, message) if kind in ("rate_limited", "unavailable", "quota") else None
    return ProviderError(kind, detail, retry_after_s=wait_s)


def of_event(body: Any) -> ProviderError:
    """The failure that an error inside a stream, or inside an answer of status 200, reports."""
    codes, _ = _error_members(body)
    status = next((int(code) for code in codes if code.isdigit() and len(code) == len("500")), HTTPStatus.OK.value)
    return of_status(status, body, {})


def _kind(status: int, codes: list[str], message: str) -> FailureKind:
    named: FailureKind | None = next(
        (means for means, pattern in _CODES if any(pattern.search(code) for code in codes)), None
    )
    worded: FailureKind | None = next((means for means, pattern in _WORDS if pattern.search(message)), None)
    kind: FailureKind = "rejected"
    if status == HTTPStatus.OK:
        kind = named or worded or ("rejected" if any("invalid_request" in code for code in codes) else "unavailable")
    elif status == HTTPStatus.PAYMENT_REQUIRED:
        kind = "quota"
    elif status == HTTPStatus.TOO_MANY_REQUESTS:
        # Google says "exceeded your current quota" of limits per minute too, with when to come back.
        spent = named == "quota" or (worded == "quota" and "RESOURCE_EXHAUSTED" not in codes)
        kind = "quota" if spent else "rate_limited"
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _TRANSIENT:
        kind = "unavailable"
    elif status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND):
        kind = "setup"
    elif status == HTTPStatus.FORBIDDEN:
        kind = "setup"
        if "content_filter" in (named, worded):
            kind = "content_filter"
        elif "quota" in (named, worded):
            kind = "quota"
    elif status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        kind = "context_overflow"
    elif named in ("quota", "context_overflow", "content_filter", "setup", "rate_limited"):
        kind = named
    elif worded:
        kind = worded
    return kind


def _error_members(body: Any) -> tuple[list[str], str]:
    """The vendor's codes, most telling first, and its words, from any of the forms that errors take."""
    codes: list[str] = []
    words: list[str] = []
    pending: list[Any] = [body]
    while pending:
        item = pending.pop(0)
        if isinstance(item, list):
            pending.extend(cast("list[Any]", item)[:8])
        elif isinstance(item, dict):
            members = cast("dict[str, Any]", item)
            for key in ("code", "status_code", "type", "status", "reason", "__type"):
                value = members.get(key)
                if isinstance(value, str | int) and not isinstance(value, bool) and value not in ("error", ""):
                    codes.append(str(value))
            for key in ("message", "Message", "error"):
                words.extend([members[key]] if isinstance(members.get(key), str) else [])
            pending.extend(members.get(key) for key in ("error", "innererror", "details", "metadata", "response"))
        elif isinstance(item, str):
            words.append(item)
    return codes, " ".join(words)


def _retry_after(headers: Mapping[str, str], body: Any, message: str) -> float | None:
    """How long to wait, in seconds: headers first (RFC 9110, 10.2.3), then Google's `RetryInfo`, then the words."""
    wait: float | None = None
    if headers.get("retry-after-ms"):
        wait = _number(headers["retry-after-ms"], 0.001)
    said = headers.get("retry-after")
    if wait is None and said:
        wait = _number(said, 1.0)
        if wait is None:
            try:
                # The vendor's own clock, because only the difference counts and ours may be wrong.
                wait = (parsedate_to_datetime(said) - parsedate_to_datetime(headers["date"])).total_seconds()
            except (KeyError, TypeError, ValueError):
                wait = None
    if wait is None:
        wait = _retry_info(body)
    if wait is None and (found := _WAIT.search(message)):
        wait = sum((_number(number, _SECONDS[unit]) or 0.0) for number, unit in _SPAN.findall(found[1]))
    return None if wait is None else min(max(wait, 0.0), MAX_RETRY_AFTER_S)


def _number(text: str, factor: float) -> float | None:
    try:
        number = float(text) * factor
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _retry_info(body: Any) -> float | None:
    error = cast("dict[str, Any]", body).get("error") if isinstance(body, dict) else None
    details = cast("dict[str, Any]", error).get("details") if isinstance(error, dict) else None
    for item in cast("list[Any]", details) if isinstance(details, list) else []:
        delay = cast("dict[str, Any]", item).get("retryDelay") if isinstance(item, dict) else None
        if isinstance(delay, str) and delay.endswith("s"):
            return _number(delay[:-1], 1.0)
    return None
