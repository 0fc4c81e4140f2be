"""Errors in the vendors' own shapes and statuses, so that their SDKs raise the class that a program waits for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from signoff.api.compatible.members import RequestError
from signoff.capabilities.gateway import GatewayError, ProviderError
from signoff.core.errors import (
    ForbiddenError,
    InvalidError,
    LimitError,
    NotFoundError,
    SignoffError,
    UnauthenticatedError,
    UnavailableError,
)
from signoff.core.values import value

Shape = Literal["openai", "anthropic"]
INTERNAL = "Something went wrong on our side. Quote the request id when you report it."
INCOMPLETE = "The model's answer broke off before its end, and nothing else could go on with it."
SERVER_ERRORS = 500


@value
class Fault:
    """One error, as both vendors tell it.

    Attributes:
        status: the HTTP status.
        openai: OpenAI's `type`.
        anthropic: Anthropic's.
        code: OpenAI's `code`.
        message: for people.
        param: which member is wrong.
        again: whether the same request may succeed later: SDKs try again by themselves unless told not to.
        retry_after_s: when, in seconds.
    """

    status: int
    openai: str
    anthropic: str
    code: str
    message: str = ""
    param: str | None = None
    again: bool = False
    retry_after_s: float | None = None

    def body(self, shape: Shape, request_id: str) -> dict[str, Any]:
        """The JSON of the answer."""
        if shape == "anthropic":
            error = {"type": self.anthropic, "message": self.message}
            return {"type": "error", "error": error, "request_id": request_id}
        return {"error": {"message": self.message, "type": self.openai, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """What the answer's headers say about another try."""
        found: dict[str, str] = {}
        if self.retry_after_s is not None:
            found["retry-after"] = str(max(1, math.ceil(self.retry_after_s)))
        if (not self.again and self.status >= SERVER_ERRORS) or self.code == _BUDGET.code:
            found["x-should-retry"] = "false"
        if self.status == _UNAUTHENTICATED.status:
            found["www-authenticate"] = 'Bearer realm="signoff"'
        return found


_WRONG = Fault(400, "invalid_request_error", "invalid_request_error", "invalid_request")
_UNAUTHENTICATED = Fault(401, "invalid_request_error", "authentication_error", "invalid_api_key")
_FORBIDDEN = Fault(403, "invalid_request_error", "permission_error", "forbidden_by_policy")
_NOT_FOUND = Fault(404, "invalid_request_error", "not_found_error", "not_found")
_TOO_LARGE = Fault(413, "invalid_request_error", "request_too_large", "request_too_large")
_BUDGET = Fault(429, "insufficient_quota", "rate_limit_error", "insufficient_quota")
_LIMIT = Fault(429, "rate_limit_error", "rate_limit_error", "rate_limit_exceeded", again=True)
_INTERNAL = Fault(500, "server_error", "api_error", "internal_error", INTERNAL)
_UNAVAILABLE = Fault(503, "server_error", "api_error", "unavailable", again=True)
_BROKEN = Fault(502, "server_error", "api_error", "incomplete_answer", INCOMPLETE)

_OF_MODELS: Mapping[str, Fault] = {
    "forbidden": _FORBIDDEN,
    "content_filter": replace(_WRONG, code="content_filter"),
    **dict.fromkeys(("refused", "model_refused", "model_filtered"), replace(_WRONG, code="content_filter")),
    "context_overflow": replace(_WRONG, code="context_length_exceeded"),
    "rejected": replace(_WRONG, code="rejected_by_vendor"),
    "cannot": replace(_WRONG, code="not_supported_by_model"),
    "budget": _BUDGET,
    "limit": _LIMIT,
    "rate_limited": _LIMIT,
    "unavailable": replace(_UNAVAILABLE, code="vendor_unavailable"),
    "timeout": Fault(504, "server_error", "timeout_error", "vendor_timeout", again=True),
    # Our account at the vendor, our key: nothing that the caller could mend, or that passes by itself.
    "quota": replace(_UNAVAILABLE, code="vendor_quota", again=False),
    "setup": Fault(502, "server_error", "api_error", "vendor_misconfigured"),
    "no_route": replace(_NOT_FOUND, code="model_not_found"),
    **dict.fromkeys(("contract", "model_contract", "model_truncated"), replace(_BROKEN, code="broken_contract")),
}
"""By the reason that no model answered."""


def fault_of(error: Exception) -> Fault:  # noqa: PLR0911  (one per kind of error)
    """What an error is to a vendor's SDK. What is none of ours tells nothing."""
    if isinstance(error, GatewayError):
        found = _OF_MODELS.get(_reason(error), _OF_MODELS["unavailable"])
        return replace(found, message=error.detail, retry_after_s=error.retry_after_s)
    if isinstance(error, RequestError):
        return replace(_WRONG, code=error.reason, message=error.detail, param=error.param)
    if isinstance(error, UnauthenticatedError):
        return replace(_UNAUTHENTICATED, message=error.detail)
    if isinstance(error, ForbiddenError):
        return replace(_FORBIDDEN, message=error.detail)
    if isinstance(error, NotFoundError):
        code = error.members.get("vendor_code", _NOT_FOUND.code)
        return replace(_NOT_FOUND, message=error.detail, code=str(code))
    if isinstance(error, LimitError):
        # A size is no matter of time.
        found = _TOO_LARGE if error.status == _TOO_LARGE.status else _LIMIT
        return replace(found, message=error.detail, retry_after_s=error.members.get("retry_after_s"))
    if isinstance(error, UnavailableError):
        return replace(_UNAVAILABLE, message=error.detail, retry_after_s=1)
    if isinstance(error, InvalidError):
        return replace(_WRONG, message=error.detail)
    if isinstance(error, SignoffError) and error.status < SERVER_ERRORS:
        return replace(_WRONG, status=error.status, message=error.detail)
    return _INTERNAL


def _reason(error: GatewayError) -> str:
    """The kind of the failure that says most."""
    if error.reason == "quota" and error.at_limit:
        return "limit"
    if error.reason == "model_unavailable" and error.attempts:
        # Of tasks only the attempts tell a vendor that is silent from one that limits the rate.
        return error.attempts[-1].outcome
    return error.reason


def fault_of_stream(failure: ProviderError | None) -> Fault:
    """What a stream that broke off is."""
    if failure is None:
        return broken()
    found = _OF_MODELS.get(failure.kind, _OF_MODELS["unavailable"])
    return replace(found, message=f"{INCOMPLETE} {failure.detail}", retry_after_s=failure.retry_after_s)


def broken(detail: str = "") -> Fault:
    """The error of an answer that never ended."""
    return replace(_BROKEN, message=f"{INCOMPLETE} {detail}".rstrip())
