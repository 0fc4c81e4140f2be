"""`retention:` of `signoff.yaml`: how long finished runs are kept, and where they go then."""

from __future__ import annotations

from pathlib import Path

from signoff.catalog.parsing.fields import Fields
from signoff.core.durations import parse_duration_s
from signoff.runtime.retention import RetentionPolicy

FOREVER = "forever"
_KEYS = ("done", "failed", "cancelled")


def parse_retention(fields: Fields) -> RetentionPolicy:
    """`retention:` of a manifest; what is wrong with it is reported. A status that is not named is kept for ever."""
    fields.only(*_KEYS, "archive")
    kept = {name: _kept_s(fields, name) for name in _KEYS}
    archive = fields.text("archive", "") if fields.data.get("archive") is not None else ""
    path = Path(archive)
    if ".." in path.parts or "\0" in archive:
        fields.problem("archive", "'archive' leads out of its directory.", suggestion="Write a path without '..'.")
        path = Path()
    return RetentionPolicy(kept["done"], kept["failed"], kept["cancelled"], None if archive in {"", "none"} else path)


def _kept_s(fields: Fields, name: str) -> float | None:
    text = fields.text(name, FOREVER)
    if text == FOREVER:
        return None
    try:
        return parse_duration_s(text)
    except ValueError:
        fields.problem(name, f"'{text}' is no time to keep runs.", suggestion="Write 30d, 12h or forever.")
        return None
