"""`x-signoff` in JSON Schemas: what a property's value may be trusted with, and how much its disclosure harms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

from signoff.catalog.parsing.fields import Fields, Path
from signoff.catalog.tools import SinkTrust
from signoff.core.labels import DataClass, Labels, Trust

KEYWORD = "x-signoff"
CLASSES = tuple(item.name.lower() for item in DataClass)
TRUSTS = ("trusted", "untrusted")
SINKS = ("trusted", "confined", "any")

Side = Literal["input", "output"]


def output_labels(fields: Fields, name: str) -> dict[tuple[str, ...], Labels]:
    """The labels that a schema declares, by the path of the field. A field under an unmarked one is untrusted."""
    found: dict[tuple[str, ...], Labels] = {}
    for path, annotation in _annotations(fields, name, "output"):
        trust = annotation.one_of("trust", TRUSTS, "untrusted")
        data_class = annotation.one_of("class", CLASSES, "internal")
        found[path] = Labels(DataClass[data_class.upper()], Trust[trust.upper()])
    return found


def sinks(fields: Fields, name: str) -> dict[tuple[str, ...], SinkTrust]:
    """The trust that each marked argument needs, by path."""
    found: dict[tuple[str, ...], SinkTrust] = {}
    for path, annotation in _annotations(fields, name, "input"):
        if "sink" in annotation:
            found[path] = cast("SinkTrust", annotation.one_of("sink", SINKS, "trusted"))
    return found


def argument_classes(fields: Fields, name: str) -> dict[tuple[str, ...], DataClass]:
    """The highest data class that each argument may have, by path, where the contract says so."""
    found: dict[tuple[str, ...], DataClass] = {}
    for path, annotation in _annotations(fields, name, "input"):
        if "class" in annotation:
            found[path] = DataClass[annotation.one_of("class", CLASSES, "internal").upper()]
    return found


def _annotations(fields: Fields, name: str, side: Side) -> Iterator[tuple[tuple[str, ...], Fields]]:
    for path, place in _properties(fields.data.get(name), (), ()):
        node = Fields(fields.report, _at(fields.data[name], place), (*fields.path, name, *place))
        if KEYWORD not in node:
            continue
        annotation = node.mapping(KEYWORD)
        annotation.only(*(("sink", "class") if side == "input" else ("trust", "class")))
        yield path, annotation


def _properties(schema: Any, path: tuple[str, ...], place: Path) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Each property's path in the data and its place in the schema; elements of a list stand at the list's path."""
    if not isinstance(schema, Mapping):
        return
    members = cast("Mapping[str, Any]", schema)
    properties = members.get("properties")
    if isinstance(properties, Mapping):
        for name, inner in cast("Mapping[str, Any]", properties).items():
            if isinstance(inner, Mapping):
                yield (*path, name), (*place, "properties", name)
                yield from _properties(inner, (*path, name), (*place, "properties", name))
    items = members.get("items")
    if isinstance(items, Mapping):
        yield from _properties(items, path, (*place, "items"))


def _at(schema: Any, place: Path) -> Mapping[str, Any]:
    for key in place:
        schema = schema[key]
    return cast("Mapping[str, Any]", schema)
