"""Pictures in answers, and JSON text of what vendors send as JSON."""

from __future__ import annotations

import base64
import binascii
from typing import Any, cast

import orjson

from signoff.capabilities.gateway.chat import ImagePart
from signoff.capabilities.gateway.providers.wire.errors import NotItsFormatError

_DEFAULT_TYPE = "image/png"


def picture(url: str) -> ImagePart:
    """A picture from its URL; `data:` is decoded.

    Raises:
        NotItsFormatError: the data is no base64.
    """
    if not url.startswith("data:"):
        return ImagePart(_DEFAULT_TYPE, url=url)
    head, _, data = url.removeprefix("data:").partition(",")
    return picture_of(data, head.partition(";")[0])


def picture_of(data: str, media_type: str = _DEFAULT_TYPE) -> ImagePart:
    """A picture from base64.

    Raises:
        NotItsFormatError: it is none.
    """
    try:
        return ImagePart(media_type or _DEFAULT_TYPE, base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        raise NotItsFormatError("base64") from None


def dumped(value: Any) -> str:
    """JSON text of a tool call's arguments; none for none."""
    return "" if value is None else orjson.dumps(value).decode()


def loaded(arguments: str) -> dict[str, Any]:
    """The arguments of a call as JSON, for formats that take them so; broken ones are wrapped, not lost."""
    try:
        value = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        value = arguments
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {"arguments": value}
