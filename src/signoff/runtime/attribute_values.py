"""Search attributes as values: what a start may give, and the row that each becomes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from signoff.core.errors import InvalidError, Problem
from signoff.core.words import words_of

MOST_ATTRIBUTES = 32
"""Attributes that a start may give."""
NAME_CHARS = 63
TEXT_CHARS = 512
"""Length of a text attribute; the rest of a longer one is cut off."""

AttributeRow = tuple[str | None, int | None, float | None, datetime | None]
"""The value as text, whole number, number or moment; the others are none."""

_INTEGERS = range(-(2**63), 2**63)
_KINDS: Mapping[type, str] = {str: "text", bool: "boolean", int: "integer", float: "number"}


def attribute_row(kind: str, value: Any) -> AttributeRow | None:
    """The row of a value of that type; none where the value is not of it, or cannot be stored.

    Args:
        kind: text, boolean, integer, number or timestamp.
        value: plain data; a timestamp is text as of RFC 3339.
    """
    if isinstance(value, bool):
        return ("true" if value else "false", None, None, None) if kind == "boolean" else None
    if isinstance(value, str):
        if kind == "timestamp":
            found = _moment(value)
            return None if found is None else (None, None, None, found)
        return (value.replace("\0", "\ufffd")[:TEXT_CHARS], None, None, None) if kind == "text" else None
    if kind == "integer" and isinstance(value, int) and value in _INTEGERS:
        return (None, value, None, None)
    return (None, None, float(value), None) if kind == "number" and isinstance(value, (int, float)) else None


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def journaled(kind: str, value: Any) -> dict[str, Any] | None:
    """An attribute as events have it; none where it cannot be searched."""
    if attribute_row(kind, value) is None:
        return None
    return {"type": kind, "value": value[:TEXT_CHARS] if isinstance(value, str) else value}


def rows_of(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, AttributeRow]:
    """The rows of attributes as events have them, by name."""
    rows = {name: attribute_row(item["type"], item["value"]) for name, item in attributes.items()}
    return {name: row for name, row in rows.items() if row is not None}


def words_in(rows: Mapping[str, AttributeRow], *texts: str) -> tuple[str, ...]:
    """The words by which free text finds a run: of its text attributes, and of what else is told of it."""
    return tuple(words_of(*(row[0] for row in rows.values() if row[0] is not None), *texts))


def given_attributes(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The attributes that a start gives, as `run.started` has them; the type is that of the JSON value.

    Raises:
        InvalidError: there are too many, or one has no name or value that can be searched.
    """
    problems: list[Problem] = []
    if len(values) > MOST_ATTRIBUTES:
        problems.append(Problem(f"A start gives at most {MOST_ATTRIBUTES} attributes.", pointer="/attributes"))
    found: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        item = journaled(_KINDS.get(value.__class__, ""), value)
        if item is None or not (name.isascii() and name.isidentifier() and len(name) <= NAME_CHARS):
            detail = "An attribute has a name of letters, digits and '_', and a text, a number, true or false."
            problems.append(Problem(detail, pointer=f"/attributes/{name[:NAME_CHARS]}"))
        else:
            found[name] = item
    if problems:
        raise InvalidError("The attributes are wrong.", problems=problems[:MOST_ATTRIBUTES])
    return found
