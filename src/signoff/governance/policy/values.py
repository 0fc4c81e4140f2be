"""What of plain JSON data Cedar gets to see.

Cedar knows booleans, 64-bit integers, strings, sets and records; its JSON form gives `__entity`, `__extn` and `__expr`
a meaning. What it cannot represent is left out and listed, so that a policy which reads it fails (a deny), and a
policy which must not be evaded by, say, `100.5` in place of `100` can ask `context.skipped.isEmpty()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

MAX_TEXT_CHARACTERS = 1_024
"""Longer texts are left out: policy decides on labels and identifiers, not on the wording of a letter."""
MAX_DEPTH = 8
"""Deeper records and lists are left out."""
MAX_MEMBERS = 256
"""Larger records and lists are left out."""

LONG = 1 << 63
"""Cedar's integers are from minus this to below it."""
ESCAPES = frozenset(("__entity", "__extn", "__expr"))
"""Keys that mean something to Cedar's JSON form."""
_LEFT_OUT = object()


class SeenRecord(dict[str, Any]):
    """A member of a context of which all can be represented: `cedar_member` made it, so nobody looks through it again.

    Whoever has one does not change it.
    """


def cedar_record(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The members of a record that Cedar can represent, and JSON Pointers (RFC 6901) of those left out, sorted.

    Left out are null, floats, integers beyond 64 bits, texts over `MAX_TEXT_CHARACTERS`, texts that are no Unicode,
    what is nested or sized beyond the limits, and records with Cedar's escape keys: untrusted data must not be able to
    name an entity. A list with a member left out is left out whole, since a set that silently lacks one would mislead.
    """
    record: dict[str, Any] = {}
    return record, _fill(record, data, depth=1)


def cedar_member(data: Mapping[str, Any]) -> tuple[SeenRecord, list[str]]:
    """The same of a record that becomes a member of a context: so nested, with pointers from the record on."""
    record = SeenRecord()
    return record, _fill(record, data, depth=2)


def _fill(record: dict[str, Any], data: Mapping[str, Any], *, depth: int) -> list[str]:
    skipped: list[str] = []
    for key, value in data.items():
        seen = _LEFT_OUT if key in ESCAPES or not _is_text(key) else _value(value, (key,), depth, skipped)
        if seen is _LEFT_OUT:
            skipped.append(_pointer((key,)))
        else:
            record[key] = seen
    return sorted(set(skipped)) if skipped else skipped


def _value(value: Any, place: tuple[Any, ...], depth: int, skipped: list[str]) -> Any:
    if isinstance(value, str | int):  # booleans are integers here, and in range
        fits = _is_text(value) if isinstance(value, str) else -LONG <= value < LONG
        return value if fits else _LEFT_OUT
    if depth >= MAX_DEPTH:
        return _LEFT_OUT
    if isinstance(value, Mapping):
        if isinstance(value, SeenRecord) and depth == 1:
            return value
        return _record(cast("Mapping[Any, Any]", value), place, depth, skipped)
    if isinstance(value, list | tuple | set | frozenset):
        return _set(list(cast("list[Any]", value)), place, depth)
    return _LEFT_OUT


def _record(data: Mapping[Any, Any], place: tuple[Any, ...], depth: int, skipped: list[str]) -> Any:
    if len(data) > MAX_MEMBERS or any(key in ESCAPES or not _is_text(key) for key in data):
        return _LEFT_OUT
    record: dict[str, Any] = {}
    for key, member in data.items():
        inner = (*place, key)
        seen = _value(member, inner, depth + 1, skipped)
        if seen is _LEFT_OUT:
            skipped.append(_pointer(inner))
        else:
            record[key] = seen
    return record


def _set(members: list[Any], place: tuple[Any, ...], depth: int) -> Any:
    if len(members) > MAX_MEMBERS:
        return _LEFT_OUT
    lost: list[str] = []
    seen = [_value(member, place, depth + 1, lost) for member in members]
    return _LEFT_OUT if lost or any(member is _LEFT_OUT for member in seen) else seen


def _is_text(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARACTERS:
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can carry and Cedar cannot
        return False
    return True


def _pointer(place: tuple[Any, ...]) -> str:
    return "".join(f"/{_token(key)}" for key in place)


def _token(key: Any) -> str:
    """One reference token of a JSON Pointer, cut to a length that is fit for a journal."""
    text = str(key)[:64].encode(errors="replace").decode()
    return text.replace("~", "~0").replace("/", "~1")
