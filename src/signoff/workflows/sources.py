"""What an input's schema says of trust and class: the sources of the data flow.

Per property, `x-signoff: {trust: trusted | confined | untrusted, class: public | internal | confidential | regulated,
residency: [eu]}`. What is not annotated inherits from what it is in; the whole is untrusted and internal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from signoff.core.labels import DataClass, Labels, Trust, join_all

ANNOTATION = "x-signoff"

DEFAULT_INPUT_LABELS = Labels(DataClass.INTERNAL, Trust.UNTRUSTED, sources=frozenset(("input",)))
"""Labels of an input whose schema says nothing."""

MAX_LABEL_NESTING = 16
"""How deep properties are looked at; what is deeper has the join of all labels of the schema."""

MAX_LABELLED_FIELDS = 2_000
"""Parts of a schema that are labelled one by one; those after them have the join of all its labels."""

Path = tuple[str, ...]

_CLASSES = {member.name.lower(): member for member in DataClass}
_TRUSTS = {member.name.lower(): member for member in Trust}


MAX_ANNOTATED_NESTING = 64
"""How deep annotations are looked for in a schema."""


def input_labels_of(schema: Mapping[str, Any]) -> dict[Path, Labels]:
    """The labels of every property of an input, by path; `()` is the whole.

    An object's own entry is what it adds to its fields: reading it whole reads the fields as well, see `labels_at`.
    """
    found: dict[Path, Labels] = {}
    _Collector(schema, found).collect(schema, (), DEFAULT_INPUT_LABELS, frozenset())
    return found


def labels_at(labelled: Mapping[Path, Labels], path: Path) -> Labels:
    """The labels of what stands at a path: of the nearest labelled field above, and of all fields that are in it."""
    own = labels_of_shape(labelled, path)
    inside = [labels for other, labels in labelled.items() if len(other) > len(path) and other[: len(path)] == path]
    return join_all([own, *inside])


def labels_of_shape(labelled: Mapping[Path, Labels], path: Path) -> Labels:
    """The labels of what stands at a path, without what is in it: that it is there, how long a list is."""
    above = (path[:length] for length in range(len(path), -1, -1))
    return next((labelled[one] for one in above if one in labelled), DEFAULT_INPUT_LABELS)


class _Collector:
    """Walks a schema. Where it stops, a field gets the join of every label in the schema: too high, never too low."""

    def __init__(self, root: Mapping[str, Any], found: dict[Path, Labels]) -> None:
        self._found = found
        self._visits = 0
        self._everything = join_all([DEFAULT_INPUT_LABELS, *_annotations(root)])
        definitions = root.get("$defs")
        self._definitions: Mapping[str, Any] = {}
        if isinstance(definitions, Mapping):
            self._definitions = cast("Mapping[str, Any]", definitions)

    def collect(self, schema: Mapping[str, Any], path: Path, inherited: Labels, within: frozenset[str]) -> None:
        """Label what stands at a path and all that is in it; `within` are the references followed to get there."""
        self._visits += 1
        reference = str(schema.get("$ref", ""))
        if (reference and reference in within) or len(path) == MAX_LABEL_NESTING or self._visits > MAX_LABELLED_FIELDS:
            self._put(path, self._everything)
            return
        own = _annotated(schema.get(ANNOTATION), inherited)
        found: Any = self._definitions.get(reference.removeprefix("#/$defs/"))
        target: Mapping[str, Any] = cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}
        if ANNOTATION not in schema:
            own = _annotated(target.get(ANNOTATION), own)
        self._put(path, own)
        self._inside(target, path, own, within | {reference})
        self._inside(schema, path, own, within)

    def _put(self, path: Path, labels: Labels) -> None:
        """A field that a combined schema labels several times has the join: each part holds."""
        named = replace(labels, sources=frozenset((".".join(("input", *path)),)))
        self._found[path] = self._found[path].join(named) if path in self._found else named

    def _inside(self, schema: Mapping[str, Any], path: Path, own: Labels, within: frozenset[str]) -> None:
        properties = schema.get("properties")
        if isinstance(properties, Mapping):
            for name, item in cast("Mapping[str, Any]", properties).items():
                if isinstance(item, Mapping):
                    self.collect(cast("Mapping[str, Any]", item), (*path, name), own, within)
        items = schema.get("items")
        if isinstance(items, Mapping):
            # Items count as fields of their list: a path never leads to a single one.
            self.collect(cast("Mapping[str, Any]", items), (*path, "*"), own, within)
        for key in ("allOf", "anyOf", "oneOf"):
            choices = schema.get(key)
            for choice in cast("list[Any]", choices) if isinstance(choices, list) else ():
                if isinstance(choice, Mapping):
                    self.collect(cast("Mapping[str, Any]", choice), path, own, within)


def _annotations(schema: Any, depth: int = 0) -> list[Labels]:
    if depth > MAX_ANNOTATED_NESTING:
        return [Labels(DataClass.REGULATED, Trust.UNTRUSTED)]
    if isinstance(schema, list):
        return [found for item in cast("list[Any]", schema) for found in _annotations(item, depth + 1)]
    if not isinstance(schema, Mapping):
        return []
    part = cast("Mapping[str, Any]", schema)
    own = [_annotated(part[ANNOTATION], DEFAULT_INPUT_LABELS)] if ANNOTATION in part else []
    return own + [found for item in part.values() for found in _annotations(item, depth + 1)]


def _annotated(annotation: Any, inherited: Labels) -> Labels:
    if not isinstance(annotation, Mapping):
        return inherited
    given = cast("Mapping[str, Any]", annotation)
    trust, data_class, residency = given.get("trust"), given.get("class"), given.get("residency")
    names = cast("list[Any]", residency) if isinstance(residency, list) else []
    return Labels(
        data_class=_CLASSES.get(str(data_class), inherited.data_class),
        trust=_TRUSTS.get(str(trust), inherited.trust),
        residency=frozenset(map(str, names)) or inherited.residency,
        sources=inherited.sources,
    )


def annotation_problems(schema: Any, path: Path = ()) -> list[tuple[Path, str]]:
    """What is wrong with the `x-signoff` annotations of a schema: `(path into the schema, text)`."""
    problems: list[tuple[Path, str]] = []
    if len(path) > MAX_ANNOTATED_NESTING:
        return problems
    if isinstance(schema, list):
        for at, item in enumerate(cast("list[Any]", schema)):
            problems += annotation_problems(item, (*path, str(at)))
    if not isinstance(schema, Mapping):
        return problems
    for key, value in cast("Mapping[str, Any]", schema).items():
        if key != ANNOTATION:
            problems += annotation_problems(value, (*path, key))
            continue
        given = cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {"": value}
        for name, allowed in (("trust", Trust), ("class", DataClass)):
            known = [member.name.lower() for member in allowed]
            if name in given and given[name] not in known:
                problems.append(((*path, key), f"'{name}' is one of {', '.join(known)}"))
    return problems
