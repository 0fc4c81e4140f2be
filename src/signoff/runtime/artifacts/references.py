"""References to artifacts inside events: `{"$artifact": {"digest", "size_bytes", "media_type", "labels"}}`.

An event that has any says where, in a member `$artifacts` beside its data: what only looks like a reference, in what a
tool or a person sent, is never one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import orjson

from signoff.core.errors import StepError
from signoff.core.ids import digest
from signoff.core.labels import DataClass
from signoff.runtime.events import encode

MARK = "$artifacts"
"""The member of an event that lists the paths of its references."""
REFERENCE = "$artifact"

VALUES = ("output", "arguments", "input", "data", "give", "state")
"""The members of events that hold values of workflows. All others stay in the event whatever their size."""

DEPTH = 4
"""How deep members are looked at one by one, before a value is taken as a whole."""

MediaType = Literal["application/json", "text/plain"]
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """One value as it is stored.

    Attributes:
        digest: the SHA-256 of the data, in hexadecimal.
        data: a text in UTF-8, or any other value as JSON.
        data_class: of what it holds; the highest where nothing says.
    """

    digest: str
    data: bytes
    media_type: MediaType
    data_class: int

    @property
    def value(self) -> Any:
        """The value again."""
        return self.data.decode() if self.media_type == "text/plain" else orjson.loads(self.data)


FROM_BYTES = 65_536
"""A larger value is kept as an artifact, where a worker's settings say nothing else."""
MOST_BYTES = 16_777_216
"""The largest value that is kept, likewise."""


def split(
    data: Mapping[str, Any], *, from_bytes: int = FROM_BYTES, most_bytes: int = MOST_BYTES
) -> tuple[bytes, tuple[Content, ...]]:
    """An event's JSON with its large values by reference, and those values.

    The smallest parts that are larger than `from_bytes` are taken out, so that what is small beside them can still be
    read in the journal.

    Raises:
        StepError: one value is larger than `most_bytes`.
    """
    whole = encode(data)
    if len(whole) <= from_bytes:
        return whole, ()
    labels = cast("Mapping[str, Any]", data.get("labels") or {})
    splitter = _Splitter(labels, from_bytes, most_bytes)
    small = dict(data)
    for name in VALUES:
        if name in data:
            small[name] = splitter.split(data[name], (name,))
    if not splitter.paths:
        return whole, ()
    small[MARK] = splitter.paths
    return encode(small), tuple(splitter.contents)


class _Splitter:
    def __init__(self, labels: Mapping[str, Any], from_bytes: int, most_bytes: int) -> None:
        self._labels = labels
        self._from_bytes = from_bytes
        self._most_bytes = most_bytes
        self.paths: list[Path] = []
        self.contents: list[Content] = []

    def split(self, value: Any, path: Path) -> Any:
        size = len(encode(value))
        if size <= self._from_bytes:
            return value
        if isinstance(value, Mapping) and len(path) < DEPTH:
            known = len(self.paths)
            members = cast("Mapping[str, Any]", value)
            small = {name: self.split(member, (*path, name)) for name, member in members.items()}
            if len(encode(small)) <= self._from_bytes:
                return small
            # Many members that are small alone: the value goes as a whole.
            del self.paths[known:], self.contents[known:]
        return self._taken(value, path)

    def _taken(self, value: Any, path: Path) -> Any:
        media_type: MediaType = "text/plain" if isinstance(value, str) else "application/json"
        data = value.encode() if isinstance(value, str) else encode(value)
        if len(data) > self._most_bytes:
            detail = f"'{path[-1]}' has {len(data)} bytes; a value takes at most {self._most_bytes}"
            raise StepError(detail, kind="too_large", outcome_unknown=True)
        name = str(self._labels.get("class", DataClass.REGULATED.name)).upper()
        content = Content(digest(data), data, media_type, DataClass[name].value)
        self.paths.append(path)
        self.contents.append(content)
        reference = {
            "digest": content.digest,
            "size_bytes": len(data),
            "media_type": media_type,
            "labels": dict(self._labels),
        }
        return {REFERENCE: reference}


def find_references(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The references in an event's data, in the order of its list."""
    return [_at(data, path)[REFERENCE] for path in data.get(MARK, ())]


def put_back(data: Mapping[str, Any], contents: Mapping[tuple[str, str], Any]) -> Mapping[str, Any]:
    """The event's data with the values in place of their references.

    Args:
        data: as it was decoded; it is changed in place.
        contents: values by digest and media type.
    """
    for path in data.get(MARK, ()):
        reference = _at(data, path)[REFERENCE]
        holder = _at(data, path[:-1])
        holder[path[-1]] = contents[reference["digest"], reference["media_type"]]
    return {name: value for name, value in data.items() if name != MARK}


def _at(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data
