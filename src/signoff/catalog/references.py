"""`${env.NAME}` and `${settings.name}` in constants of a project: resolved by the worker, never stored resolved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from signoff.core.errors import InvalidError

_REFERENCE = re.compile(r"\$\{(?P<root>[a-z]+)\.(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}")


def find_references(text: str) -> tuple[tuple[str, str], ...]:
    """Root and name of each reference in a text, e.g. `("env", "OPENAI_API_KEY")`."""
    return tuple((match["root"], match["name"]) for match in _REFERENCE.finditer(text))


def resolve_text(text: str, *, settings: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """The text with its references replaced.

    Raises:
        InvalidError: a setting or an environment variable that is not there; the value of none is in the message.
    """

    def value(match: re.Match[str]) -> str:
        source = environment if match["root"] == "env" else settings
        if match["name"] in source:
            return source[match["name"]]
        what = "environment variable" if match["root"] == "env" else "setting"
        raise InvalidError(f"The {what} '{match['name']}' is needed for '{text}' and is not set.")

    return _REFERENCE.sub(value, text)


def resolve(value: Any, *, settings: Mapping[str, str], environment: Mapping[str, str]) -> Any:
    """Plain data with the references in all its strings replaced.

    Raises:
        InvalidError: as `resolve_text`.
    """
    if isinstance(value, str):
        return resolve_text(value, settings=settings, environment=environment)
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        return {key: resolve(item, settings=settings, environment=environment) for key, item in members.items()}
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [resolve(item, settings=settings, environment=environment) for item in items]
    return value
