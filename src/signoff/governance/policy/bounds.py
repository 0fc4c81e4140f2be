"""The arguments of `@max_tokens`, `@stop` and `@tools`, which bound what a model may answer."""

from __future__ import annotations

from typing import Any, cast

import orjson

MAX_STOPS = 16
"""Texts of one `@stop`."""
MAX_STOP_CHARACTERS = 200
"""Of one of them."""
MAX_TOKENS = 10_000_000
"""More than any model writes."""
MAX_TOOLS = 256
"""Names of one `@tools`."""
NO_TOOLS = "none"
"""What `@tools` says where nothing may be offered."""


class BoundsError(ValueError):
    """An argument that cannot be understood; its words say how it is written."""


def max_tokens_of(value: str) -> int:
    """How long an answer may be, in tokens.

    Raises:
        BoundsError: it is no such number.
    """
    text = value.strip()
    if (
        not (text.isascii() and text.isdecimal())
        or len(text) > len(str(MAX_TOKENS))
        or not 1 <= int(text) <= MAX_TOKENS
    ):
        raise BoundsError(f'@max_tokens is written as @max_tokens("500"), from 1 to {MAX_TOKENS}.')
    return int(text)


def stops_of(value: str) -> tuple[str, ...]:
    """The texts at which an answer ends: one, or a JSON list of them.

    Raises:
        BoundsError: there are too many, or one is empty or too long.
    """
    listed: list[Any] = [value]
    if value.lstrip().startswith('["'):
        try:
            listed = cast("list[Any]", orjson.loads(value))
        except orjson.JSONDecodeError:
            raise BoundsError("@stop begins like a JSON list of texts, and is none.") from None
    texts = [text for text in listed if isinstance(text, str) and 1 <= len(text) <= MAX_STOP_CHARACTERS]
    if len(texts) != len(listed) or len(texts) > MAX_STOPS:
        raise BoundsError(
            f'@stop is written as @stop("###"), or as a JSON list of at most {MAX_STOPS} texts, of at most'
            f" {MAX_STOP_CHARACTERS} characters each."
        )
    return tuple(texts)


def tools_of(value: str) -> frozenset[str]:
    """The tools that may be offered; `none` is none at all.

    Raises:
        BoundsError: no tool is named, or too many are.
    """
    names = [name.strip() for name in value.split(",") if name.strip()]
    if not names or len(names) > MAX_TOOLS:
        raise BoundsError('@tools is written as @tools("crm.find, mail.read"), or as @tools("none").')
    return frozenset[str]() if names == [NO_TOOLS] else frozenset(names)
