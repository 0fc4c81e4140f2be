"""The database's address in errors: never its password, which drivers repeat when they cannot read it."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from signoff.core.errors import InvalidError

_SCHEMES = ("postgresql", "postgres")
HIDDEN = "…"
"""What stands in a password's place."""


def require_address(url: str) -> None:
    """Return only where an address can be read.

    Raises:
        InvalidError: it cannot; it is not repeated, as a password may stand anywhere in it.
    """
    try:
        # No look at the port: an address may name several hosts (libpq, 32.1.1.3).
        readable = urlsplit(url).scheme in _SCHEMES
    except ValueError:
        readable = False
    if not readable:
        raise InvalidError(
            "The database URL cannot be read. It is written as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with"
            " signs such as @, / and % of the password percent-encoded (RFC 3986)."
        )


def said_of(error: BaseException, url: str) -> str:
    """A driver's words about an address that can be read, without its password."""
    words, password = str(error).strip(), urlsplit(url).password
    for secret in (url, password, unquote(password or "")):
        if secret:
            words = words.replace(secret, HIDDEN)
    return words
