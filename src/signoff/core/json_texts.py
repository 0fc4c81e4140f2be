"""JSON as a text: who reads it as text may see more of it than who reads its value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

_QUOTED = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')


def told_by_value(text: str, value: Any, *, depth: int) -> bool:
    """Whether a JSON text says nothing that its value, down to a depth, does not have.

    An object may give one name twice (RFC 8259, section 4): its value has what was given last, and a model reads both.

    Args:
        text: valid JSON.
        value: what it was read as.
        depth: how deep whoever looks at the value goes.
    """
    names = 0
    level: list[Any] = [value]
    for _ in range(depth + 1):
        below: list[Any] = []
        for one in level:
            if isinstance(one, Mapping):
                names += len(cast("Mapping[str, Any]", one))
                below.extend(cast("Mapping[str, Any]", one).values())
            elif isinstance(one, list):
                below.extend(cast("list[Any]", one))
        if not below:
            # Outside of texts a colon stands behind each name, and nowhere else.
            return names == _QUOTED.sub("", text).count(":")
        level = below
    return False
