"""Entity tags (RFC 9110, section 8.8): what a client saw, so that it can ask whether that is still so."""

from __future__ import annotations

from fastapi import Request, Response

from signoff.core.ids import digest

_TAG_CHARACTERS = 32


def tag_of(content: bytes) -> str:
    """A strong tag of exactly these bytes."""
    return f'"{digest(content)[:_TAG_CHARACTERS]}"'


def tagged(request: Request, body: bytes, tag: str) -> Response:
    """The JSON body under its tag, or 304 where the client has it."""
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in listed(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def listed(header: str) -> list[str]:
    """The tags of an `If-Match` or `If-None-Match`; weak ones compare as strong ones do, ours being equal bytes."""
    return [part.strip().removeprefix("W/") for part in header.split(",") if part.strip()]
