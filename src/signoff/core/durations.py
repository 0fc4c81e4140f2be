"""Durations as people write them in documents: `30s`, `5m`, `4h`, `2d`."""

from __future__ import annotations

import re

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PATTERN = re.compile(r"^(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h|d|w)$")


def parse_duration_s(text: str) -> float:
    """Seconds of a duration such as `250ms`, `30s`, `5m`, `4h`, `2d` or `1w`.

    Raises:
        ValueError: for anything else.
    """
    match = _PATTERN.match(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is not a duration: write a number and one of ms, s, m, h, d, w, such as 30s")
    return float(match["number"]) * _UNITS_S[match["unit"]]
