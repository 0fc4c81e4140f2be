"""`retention:` of `signoff.yaml`: how long finished runs are kept, and where they go then."""

from __future__ import annotations

from pathlib import Path

from signoff.catalog.parsing.fields import Fields
from signoff.core.durations import parse_duration_s
from signoff.runtime.retention import RetentionPolicy

FOREVER = "forever"
LONGEST_KEPT_S = 100 * 366 * 86_400.0
"""The longest time that is not for ever."""
_KEYS = ("done", "failed", "cancelled")


def parse_retention(fields: Fields) -> RetentionPolicy:
    """`retention:` of a manifest; what is wrong with it is reported. A status that is not named is kept for ever."""
    fields.only(*_KEYS, "archive")
    kept = {name: _kept_s(fields, name) for name in _KEYS}
    archive = fields.text("archive", "") if fields.data.get("archive") is not None else ""
    path = Path(archive)
    if path.is_absolute() or ".." in path.parts or "\0" in archive:
        detail = "'archive' leads out of the directory of archives, which the installation's settings name."
        fields.problem("archive", detail, suggestion="Write a path below it: without '..', not beginning with '/'.")
        path = Path()
    return RetentionPolicy(kept["done"], kept["failed"], kept["cancelled"], None if archive in {"", "none"} else path)


def _kept_s(fields: Fields, name: str) -> float | None:
    text = fields.text(name, FOREVER)
    if text == FOREVER:
        return None
    try:
        kept_s = parse_duration_s(text)
    except ValueError:
        kept_s = LONGEST_KEPT_S + 1
    if kept_s > LONGEST_KEPT_S:  # a calendar does not reach back any time
        detail = f"'{text[:40]}' is no time to keep runs: at most 100 years."
        fields.problem(name, detail, suggestion="Write 30d, 12h or forever.")
        return None
    return kept_s
