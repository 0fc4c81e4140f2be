"""Pictures and files in vendors' requests, given as bytes or by where they are."""

from __future__ import annotations

import mimetypes
from urllib.parse import urlsplit

from signoff.api.compatible.members import RequestError, data_url, unsupported, wrong
from signoff.capabilities.gateway.chat import DocumentPart, ImagePart

UPLOADS = "This server keeps no uploaded files: give the bytes, or a URL."
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_DEFAULT_PICTURE = "image/png"
_DEFAULT_FILE = "application/pdf"


def image_at(url: str, where: str) -> ImagePart:
    """A picture by its URL, `data:` or https.

    Raises:
        RequestError: it is no such URL, or no such picture.
    """
    if url.startswith("data:"):
        media_type, data = data_url(url, where)
        return image_of(media_type, data, where)
    guessed, _ = mimetypes.guess_type(_web(url, where))
    return ImagePart(guessed if guessed in _PICTURES else _DEFAULT_PICTURE, url=url)


def image_of(media_type: str, data: bytes, where: str) -> ImagePart:
    """A picture by its bytes.

    Raises:
        RequestError: it is of no type that models see.
    """
    if media_type not in _PICTURES:
        raise wrong(where, f"'{where}' is of the type {media_type[:40]}; pictures are of {', '.join(_PICTURES)}.")
    return ImagePart(media_type, data)


def document_at(url: str, name: str, where: str) -> DocumentPart:
    """A file by its URL, `data:` or https.

    Raises:
        RequestError: it is no such URL.
    """
    if url.startswith("data:"):
        media_type, data = data_url(url, where)
        return DocumentPart(media_type, data, name=name)
    guessed, _ = mimetypes.guess_type(_web(url, where))
    return DocumentPart(guessed or _DEFAULT_FILE, url=url, name=name)


def no_upload(where: str) -> RequestError:
    """The refusal of a reference to an uploaded file."""
    return unsupported(where, UPLOADS)


def _web(url: str, where: str) -> str:
    """The path of an address. It is not fetched here: the vendor does, so nothing of our own network is reached."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = None  # such as a bracket that nothing closes
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise wrong(where, f"'{where}' has to be an https or data URL.")
    return parts.path
