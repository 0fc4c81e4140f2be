"""Front matter written as a person would: YAML in block form, short mappings on one line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

WIDTH = 110
"""A mapping or list that is longer on one line, in characters, is written as a block."""

_PLAIN = re.compile(r"(?:[A-Za-z_][\w-]*(?: [\w-]+)*|\d+\.\d+\.\d+)\Z", re.ASCII)
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"})
"""What some YAML reader takes for something else than a text."""


def written(front: Mapping[str, Any], body: str) -> str:
    """A prompt's file: these members, then the templates."""
    return "\n".join(("---", *_block(front, ""), "---", body))


def _block(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, item in value.items():
        line = f"{indent}{_text(key)}: {_flow(item)}"
        if len(line) <= WIDTH or not item or not isinstance(item, (Mapping, list)):
            yield line
        elif isinstance(item, Mapping):
            yield f"{indent}{_text(key)}:"
            yield from _block(cast("Mapping[str, Any]", item), f"{indent}  ")
        else:
            yield f"{indent}{_text(key)}:"
            yield from (f"{indent}  - {_flow(one)}" for one in cast("list[Any]", item))


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value).items()
        return f"{{{', '.join(f'{_text(key)}: {_flow(item)}' for key, item in members)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, cast('list[Any]', value)))}]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    """A text as it stands where it can be nothing else, otherwise as JSON, which YAML 1.2 reads as it is."""
    plain = _PLAIN.match(text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)
