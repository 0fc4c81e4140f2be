"""The exact bytes that a reviewer's decision is bound to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from signoff.core.errors import InvalidError, LimitError, Problem

from .model import ReviewLimits, ReviewRequest


def canonical_json(value: Any, *, pointer: str = "") -> bytes:
    """JSON with one spelling per value: UTF-8, keys sorted by code point, no white space, only ASCII controls escaped.

    It is Python's `json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))`,
    so integers and floats stay apart (`1` and `1.0`) and a float has its shortest form that reads back the same.

    Raises:
        InvalidError: the value is no JSON: a NaN, an infinity, a lone surrogate, or another type.
    """
    try:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        detail = f"this is no JSON value: {error}"
        raise InvalidError(detail, problems=[Problem(detail, pointer=pointer, code="not-json")]) from error


def presented_document(request: ReviewRequest, limits: ReviewLimits) -> bytes:
    """The canonical JSON whose SHA-256 is the review's digest.

    An object of `workflow`, `release`, `title`, `proposed`, `editable` (sorted) and `shown`, which is a list of
    `{"source": …, "value": …}` in the order in which it is shown.

    Raises:
        InvalidError: a value is no JSON, or `editable` names what is not proposed.
        LimitError: it is larger than `limits.presented_bytes`.
    """
    if missing := sorted(set(request.editable) - set(request.proposed)):
        raise InvalidError(f"'{request.path}' lets reviewers edit {', '.join(missing)}, which it does not propose")
    document = {
        "workflow": request.workflow,
        "release": request.release,
        "title": request.title,
        "proposed": dict(request.proposed),
        "editable": sorted(request.editable),
        "shown": [{"source": source, "value": value} for source, value in request.shown.items()],
    }
    content = canonical_json(document)
    if len(content) > limits.presented_bytes:
        raise LimitError(
            f"'{request.path}' shows {len(content)} bytes to its reviewer; {limits.presented_bytes} are allowed. "
            "Show fewer fields, or parts of them."
        )
    return content


def annotations_document(request: ReviewRequest) -> bytes:
    """The canonical JSON of what explains the values but is not decided on: their sources and labels."""
    labels = {name: label.as_dict() for name, label in request.labels.items()}
    return canonical_json({"sources": dict(request.sources), "labels": labels})


def read_json(content: bytes) -> Mapping[str, Any]:
    """The object that `canonical_json` wrote."""
    return json.loads(content)
