"""URL and header templates of HTTP tools. Arguments are data: none can leave its path segment, query value or host."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

from signoff.capabilities.tools.model import SecretSource

_SETTING = re.compile(r"\$\{settings\.([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET = re.compile(r"\$\{((?:secret|env)\.[A-Za-z_][A-Za-z0-9_]*)\}")
_ARGUMENT = re.compile(r"\{([^{}]*)\}")
_FIXED_ORIGIN = re.compile(r"^https?://[^/?#{}@\s]+(?:[/?]|$)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SEPARATOR = re.compile(r"[/\\]")
_DOTS = frozenset((".", ".."))


class TemplateError(ValueError):
    """A template cannot be filled; the text says why, without values."""


class SettingError(TemplateError):
    """A setting or secret that a template names is missing or unusable: the deployment's fault, not the caller's."""


def fill_settings(template: str, settings: Mapping[str, str]) -> str:
    """The template with each `${settings.name}` replaced.

    Raises:
        SettingError: a setting that the project does not have.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in settings:
            raise SettingError(f"there is no setting '{match[1]}'")
        return settings[match[1]]

    return _SETTING.sub(value, template)


def fill_secrets(template: str, secrets: SecretSource) -> tuple[str, tuple[str, ...]]:
    """The template with each `${secret.NAME}` or `${env.NAME}` replaced, and the values used, so they can be masked.

    Raises:
        SettingError: a secret that this process does not have.
    """
    used: list[str] = []

    def value(match: re.Match[str]) -> str:
        found = secrets(match[1])
        if not found:
            raise SettingError(f"there is no value for {match[1]}")
        used.append(found)
        return found

    return _SECRET.sub(value, template), tuple(used)


def fill_url(template: str, settings: Mapping[str, str], arguments: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
    """The URL of a call and the names of the arguments that it used up.

    An argument fills one path segment or one query value and is percent-encoded whole (RFC 3986, section 2.1), so
    that `#W123` and `a/b` stay data. A value that servers could read as a step up (`..`, also behind an encoded
    slash), an empty path segment and control characters are refused.

    Raises:
        SettingError: a missing setting, or settings that give no plain http(s) origin.
        TemplateError: an argument that is missing, no scalar, or refused as above.
    """
    prepared = fill_settings(template, settings)
    if not _FIXED_ORIGIN.match(prepared):
        raise SettingError("its URL must start with http:// or https:// and a host that no argument chooses")
    used: set[str] = set()

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in arguments:
            raise TemplateError(f"the URL needs the argument '{name}'")
        used.add(name)
        text = scalar_text(name, arguments[name])
        in_path = "?" not in prepared[: match.start()]
        if in_path and (not text or any(part in _DOTS for part in _SEPARATOR.split(text))):
            raise TemplateError(f"the argument '{name}' is empty or holds a path step, which a URL's path cannot carry")
        return quote(text, safe="")

    url = _ARGUMENT.sub(value, prepared)
    if any(part in _DOTS for part in urlsplit(url).path.split("/")):
        raise TemplateError("the arguments make a path step of a segment")
    return url, frozenset(used)


def with_query(url: str, arguments: Mapping[str, Any]) -> str:
    """The URL with arguments added to its query, lists as repeated names, sorted by name.

    Raises:
        TemplateError: an argument that is an object, or a list of such.
    """
    pairs: list[tuple[str, str]] = []
    for name in sorted(arguments):
        value = arguments[name]
        members = cast("list[Any]", value) if isinstance(value, list) else [value]
        pairs.extend((name, scalar_text(name, member)) for member in members if member is not None)
    if not pairs:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(pairs, quote_via=quote)}"


def header_value(name: str, text: str) -> str:
    """The text if a header can carry it.

    Raises:
        SettingError: control characters (a header injection) or characters outside ASCII.
    """
    if _CONTROL.search(text) or not text.isascii():
        raise SettingError(f"the header '{name}' would hold characters that headers cannot carry")
    return text


def scalar_text(name: str, value: Any) -> str:
    """A text, number or boolean as a URL carries it.

    Raises:
        TemplateError: it is something else, or text that a URL cannot carry.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if _CONTROL.search(value):
            raise TemplateError(f"the argument '{name}' holds control characters")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise TemplateError(f"the argument '{name}' is no Unicode text") from None
        return value
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    raise TemplateError(f"the argument '{name}' is no text, number or boolean")
