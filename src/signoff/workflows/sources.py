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
"""How deep properties are looked at; what is deeper has the labels of what it is in."""

Path = tuple[str, ...]


def input_labels_of(schema: Mapping[str, Any]) -> dict[Path, Labels]:
    """The labels of every property of an input, by path; `()` is the whole.

    An object's own entry is what it adds to its fields: reading it whole reads the fields as well, see `labels_at`.
    """
    found: dict[Path, Labels] = {}
    _collect(schema, schema, (), DEFAULT_INPUT_LABELS, found)
    return found


def labels_at(labelled: Mapping[Path, Labels], path: Path) -> Labels:
    """The labels of what stands at a path: of the nearest labelled field above, joined with those of all fields in it."""
    own = next(
        (labels for length in range(len(path), -1, -1) if (labels := labelled.get(path[:length])) is not None),
        DEFAULT_INPUT_LABELS,
    )
    inside = [labels for other, labels in labelled.items() if len(other) > len(path) and other[: len(path)] == path]
    return join_all([own, *inside])


def _collect(
    schema: Mapping[str, Any], root: Mapping[str, Any], path: Path, inherited: Labels, found: dict[Path, Labels]
) -> None:
    own = _annotated(schema.get(ANNOTATION), inherited)
    found[path] = replace(own, sources=frozenset((".".join(("input", *path)),)))
    if len(path) == MAX_LABEL_NESTING:
        return
    reference = schema.get("$ref")
    parts = [schema]
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        definitions = root.get("$defs")
        target: Any = (
            cast("dict[str, Any]", definitions).get(reference[8:]) if isinstance(definitions, Mapping) else None
        )
        parts += [cast("Mapping[str, Any]", target)] if isinstance(target, Mapping) else []
    for part in parts:
        properties = part.get("properties")
        if isinstance(properties, Mapping):
            for name, item in cast("Mapping[str, Any]", properties).items():
                if isinstance(item, Mapping):
                    _collect(cast("Mapping[str, Any]", item), root, (*path, name), own, found)
        items = part.get("items")
        if isinstance(items, Mapping):
            # Items count as fields of their list: a path never leads to a single one.
            _collect(cast("Mapping[str, Any]", items), root, (*path, "*"), own, found)


def _annotated(annotation: Any, inherited: Labels) -> Labels:
    if not isinstance(annotation, Mapping):
        return inherited
    given = cast("Mapping[str, Any]", annotation)
    trust, data_class, residency = given.get("trust"), given.get("class"), given.get("residency")
    names = cast("list[Any]", residency) if isinstance(residency, list) else []
    return Labels(
        data_class=DataClass[data_class.upper()] if isinstance(data_class, str) else inherited.data_class,
        trust=Trust[trust.upper()] if isinstance(trust, str) else inherited.trust,
        residency=frozenset(map(str, names)) or inherited.residency,
        sources=inherited.sources,
    )


def annotation_problems(schema: Any, path: Path = ()) -> list[tuple[Path, str]]:
    """What is wrong with the `x-signoff` annotations of a schema: `(path into the schema, text)`."""
    problems: list[tuple[Path, str]] = []
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
