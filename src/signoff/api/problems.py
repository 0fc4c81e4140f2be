"""Every error as problem details (RFC 9457): one form, whatever went wrong and wherever."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, cast

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from signoff.core.errors import (
    ConflictError,
    InvalidError,
    LimitError,
    Problem,
    SignoffError,
    UnauthenticatedError,
    UnavailableError,
)
from signoff.core.schemas import field_name, pointer

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
MAX_PROBLEMS = 50
"""Problems told of one request; a hostile body could break its schema in a million places."""

_TITLES = {404: "Not found", 405: "Method not allowed"}
_CODES = {404: "not-found", 405: "method-not-allowed"}

_logger = logging.getLogger(__name__)


class MalformedError(InvalidError):
    """The body is not JSON at all."""

    status = 400
    code = "malformed"
    title = "Malformed request"


class TooLargeError(LimitError):
    """The body has more bytes than `api.max_body_bytes`."""

    status = 413
    code = "too-large"
    title = "Request too large"


class PreconditionFailedError(ConflictError):
    """The thing has changed since the asker saw it (RFC 9110, section 15.5.13)."""

    status = 412
    code = "precondition-failed"
    title = "It has changed meanwhile"


class PreconditionRequiredError(InvalidError):
    """The request must say what it was decided on (RFC 6585, section 3)."""

    status = 428
    code = "precondition-required"
    title = "Say what you saw"


def problem_response(error: SignoffError, *, instance: str, request_id: str) -> Response:
    """The response that tells of an error. `instance` is the path that was asked for."""
    body = {**error.as_problem_details(), "instance": instance, "request_id": request_id}
    # The runtime's limit errors name the size where a payload was the reason.
    status = 413 if type(error) is LimitError and "size_bytes" in error.members else error.status
    headers: dict[str, str] = {}
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = 'Bearer realm="signoff"'
    if isinstance(error, UnavailableError):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if "retry_after_s" in error.members:
        headers["Retry-After"] = str(error.members["retry_after_s"])
    return _response({**body, "status": status}, headers)


def internal_response(error: Exception, *, instance: str, request_id: str) -> Response:
    """The response to an error of ours: it names the request, so that the log can be searched, and nothing else."""
    _logger.error("request %s to %s failed", request_id, instance, exc_info=error)
    shown = SignoffError("Something went wrong on our side. Quote the request id when you report it.")
    return problem_response(shown, instance=instance, request_id=request_id)


def install(app: FastAPI) -> None:
    """Make the application answer every error with a problem."""
    app.add_exception_handler(SignoffError, _on_signoff_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)


def _on_signoff_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, SignoffError)
    if type(error).status >= 500 and not isinstance(error, UnavailableError):  # noqa: PLR2004  (HTTP's server errors)
        return internal_response(error, **_of(request))
    return problem_response(error, **_of(request))


def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = cast("list[Mapping[str, Any]]", list(error.errors())[:MAX_PROBLEMS])
    if any(item["type"] == "json_invalid" for item in found):
        return problem_response(MalformedError("The body is not valid JSON (RFC 8259)."), **_of(request))
    problems = [_problem(item) for item in found]
    shown = InvalidError("; ".join(problem.detail for problem in problems[:3]), problems=problems)
    return problem_response(shown, **_of(request))


def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, SignoffError):  # raised while the body was read, and wrapped by the framework
        return _on_signoff_error(request, error.__cause__)
    if error.status_code == MalformedError.status:
        return problem_response(MalformedError("The body cannot be read as JSON (RFC 8259)."), **_of(request))
    code = _CODES.get(error.status_code, "http")
    detail = {
        404: f"There is nothing at {request.url.path}. The paths are in /openapi.json.",
        405: f"{request.method} is not possible at {request.url.path}.",
    }.get(error.status_code, error.detail)
    body = {
        "type": f"https://signoff.invalid/problems/{code}",
        "title": _TITLES.get(error.status_code, error.detail),
        "status": error.status_code,
        "detail": detail,
        **{key: value for key, value in _of(request).items() if value},
    }
    return _response(body, dict(error.headers or {}))


def _problem(item: Mapping[str, Any]) -> Problem:
    location = cast("tuple[str | int, ...]", item["loc"])
    path = location[1:] if location and location[0] in ("body", "query", "path", "header") else location
    name = field_name(path) or "the body"
    if item["type"] == "missing":
        return Problem(f"'{name}' is missing.", pointer=pointer(path), code="missing")
    if item["type"] == "extra_forbidden":
        return Problem(f"'{name}' is not a known field.", pointer=pointer(path), code="unknown")
    message = str(item["msg"])
    return Problem(f"'{name}': {message[:1].lower()}{message[1:]}.", pointer=pointer(path), code="wrong")


def _of(request: Request) -> dict[str, str]:
    return {"instance": request.url.path, "request_id": getattr(request.state, "request_id", "")}


def _response(body: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    content = orjson.dumps(body, default=str, option=orjson.OPT_NON_STR_KEYS)
    return Response(content, status_code=body["status"], headers=dict(headers), media_type=MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem responses of an operation, for the OpenAPI document. Every operation may answer 401, 422 and 503."""
    wanted: Iterable[int] = sorted({401, 422, 500, 503, *statuses})
    schema = {"$ref": "#/components/schemas/Problem"}
    return {status: {"description": _MEANING[status], "content": {MEDIA_TYPE: {"schema": schema}}} for status in wanted}


_MEANING = {
    400: "The body is not JSON.",
    401: "No API key, or one that is unknown, revoked or expired.",
    403: "Policy does not permit it.",
    404: "There is no such thing in your organisation.",
    409: "The thing's state rules it out.",
    410: "What the cursor names is not there any more; begin again without it.",
    412: "It has changed since you saw it.",
    413: "The request is larger than the server takes.",
    422: "A field is wrong; `errors` names each one.",
    428: "The decision does not say what it was made on.",
    429: "A limit was reached.",
    500: "An error of the server's own; the log has it under `request_id`.",
    503: "The database does not answer now; nothing was lost, try again.",
}
