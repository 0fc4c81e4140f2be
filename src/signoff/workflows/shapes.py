"""Static types: what is known of a value before anything runs, from JSON Schemas and from expressions.

A shape is deliberately coarser than a schema: it says which JSON types are possible, which fields an object has and
which constants a text may be. That is enough to find misspelt fields, impossible comparisons and unknown labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from functools import reduce
from typing import Any, Literal, cast

from signoff.core.values import value

Kind = Literal["null", "boolean", "integer", "number", "string", "array", "object"]

ALL_KINDS: frozenset[Kind] = frozenset(("null", "boolean", "integer", "number", "string", "array", "object"))
NUMERIC: frozenset[Kind] = frozenset(("integer", "number"))

Schema = Mapping[str, Any]


@value
class Shape:
    """What is known of a value.

    Attributes:
        kinds: the JSON types that it may have; `number` includes integers.
        fields: of an object: the shapes of its fields, made when asked for, as schemas may be recursive.
        open: of an object: whether it may have other fields.
        items: of an array.
        constants: all texts that it may be, where they are few and known.
        required: of an object: fields that are always there.
    """

    kinds: frozenset[Kind] = ALL_KINDS
    fields: Mapping[str, Shape | SchemaPart] = field(default_factory=dict[str, "Shape | SchemaPart"])
    open: bool = True
    items: Shape | SchemaPart | None = None
    constants: frozenset[str] | None = None
    required: frozenset[str] = frozenset()

    @property
    def names(self) -> list[str]:
        """The known fields."""
        return list(self.fields)

    def get(self, name: str) -> Shape | None:
        """The shape of a field; none where an object cannot have it."""
        part = self.fields.get(name)
        if part is None:
            return ANY if self.open else None
        return part.shape() if isinstance(part, SchemaPart) else part

    def item(self) -> Shape:
        """The shape of an array's items."""
        return ANY if self.items is None else self.items.shape() if isinstance(self.items, SchemaPart) else self.items

    def is_only(self, kind: Kind) -> bool:
        """Whether the value is certain to have this type."""
        return len(self.kinds) == 1 and kind in self.kinds

    def may_be(self, kinds: Iterable[Kind]) -> bool:
        """Whether the value may have one of these types, integers counting as numbers."""
        wanted = set(kinds)
        if wanted & NUMERIC:
            wanted |= NUMERIC
        return bool(self.kinds & wanted)

    def union(self, other: Shape) -> Shape:
        """The shape of a value that has one or the other."""
        if ALL_KINDS in (self.kinds, other.kinds):
            return ANY
        if "object" in self.kinds and "object" in other.kinds:
            fields = {**self.fields, **other.fields}
            is_open = self.open or other.open
        else:
            fields, is_open = (self.fields, self.open) if "object" in self.kinds else (other.fields, other.open)
        constants = None if self.constants is None or other.constants is None else self.constants | other.constants
        if "string" not in self.kinds or "string" not in other.kinds:
            constants = self.constants or other.constants
        items = self.items if other.items is None else other.items if self.items is None else None
        return Shape(self.kinds | other.kinds, fields, is_open, items, constants, self.required & other.required)

    def with_fields(self, added: Mapping[str, Shape]) -> Shape:
        """The object's shape with more fields, which are always there."""
        return replace(self, fields={**self.fields, **added}, required=self.required | frozenset(added))

    def __str__(self) -> str:
        if self.kinds == ALL_KINDS:
            return "anything"
        names = {"integer": "an integer", "array": "a list", "object": "an object", "null": "null"}
        kinds = sorted(self.kinds - {"null"}) or ["null"]
        return " or ".join(names.get(kind, f"a {kind}") for kind in kinds)


ANY = Shape()
NULL = Shape(frozenset(("null",)), open=False)
BOOLEAN = Shape(frozenset(("boolean",)), open=False)
INTEGER = Shape(frozenset(("integer",)), open=False)
NUMBER = Shape(frozenset(("number",)), open=False)
STRING = Shape(frozenset(("string",)), open=False)
LIST = Shape(frozenset(("array",)), open=False)
OBJECT = Shape(frozenset(("object",)))


class Definitions:
    """Resolves the references of one schema, each once: schemas may be recursive."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[str, Shape] = {}
        self._parts: dict[int, Shape] = {}

    def shape(self, reference: str) -> Shape:
        """The shape that a local `$ref` names; anything where it leads nowhere or back to itself."""
        if reference not in self._known:
            self._known[reference] = ANY
            self._known[reference] = _shape(self._find(reference), self)
        return self._known[reference]

    def _find(self, reference: str) -> Any:
        part: Any = self._root if reference.startswith("#") else None
        for key in reference.lstrip("#").split("/")[1:]:
            name = key.replace("~1", "/").replace("~0", "~")
            part = cast("Schema", part).get(name) if isinstance(part, Mapping) else None
        return part

    def part(self, schema: Any) -> Shape:
        """The shape of a part, made once: the root keeps all its parts, so each has its own id."""
        known = self._parts.get(id(schema))
        if known is None:
            known = self._parts[id(schema)] = _shape(schema, self)
        return known


MAX_KNOWN = 4096
"""Schemas whose shapes are kept to be found again: every workflow asks for those of the same few contracts."""

_KNOWN: dict[int, tuple[Any, Shape]] = {}
"""By the id of the schema, which is kept too, so that no other has it. Schemas do not change once they are read."""


@value
class SchemaPart:
    """A part of a JSON Schema whose shape is made when it is asked for.

    Attributes:
        schema: the part.
        definitions: where its references lead.
    """

    schema: Any
    definitions: Definitions

    def shape(self) -> Shape:
        """The shape of what meets this part."""
        return self.definitions.part(self.schema)


def shape_of_schema(schema: Any) -> Shape:
    """The shape of what meets a JSON Schema (2020-12).

    An object whose schema lists `properties` has no others, unless `additionalProperties` says so in as many words:
    JSON Schema's default would hide every misspelt field.
    """
    known = _KNOWN.get(id(schema))
    if known is None or known[0] is not schema:
        if len(_KNOWN) >= MAX_KNOWN:
            _KNOWN.clear()
        known = _KNOWN[id(schema)] = (schema, SchemaPart(schema, Definitions(schema)).shape())
    return known[1]


def object_shape(fields: Mapping[str, Shape]) -> Shape:
    """An object with exactly these fields."""
    return Shape(frozenset(("object",)), dict(fields), open=False, required=frozenset(fields))


def shape_of_value(value: Any) -> Shape:
    """The shape of a constant."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Any]", value)
        return object_shape({key: shape_of_value(item) for key, item in entries.items()})
    if isinstance(value, (list, tuple)):
        return list_shape(shape_of_value(item) for item in cast("list[Any]", value))
    if isinstance(value, str):
        return replace(STRING, constants=frozenset((value,)))
    if isinstance(value, bool):
        return BOOLEAN
    return NULL if value is None else INTEGER if isinstance(value, int) else NUMBER


def list_shape(items: Iterable[Shape]) -> Shape:
    """A list of these items."""
    joined: Shape | None = None
    for item in items:
        joined = item if joined is None else joined.union(item)
    return replace(LIST, items=joined)


def _shape(schema: Any, definitions: Definitions) -> Shape:
    if not isinstance(schema, Mapping):
        return ANY
    part = cast("Schema", schema)
    if "$ref" in part:
        return definitions.shape(str(part["$ref"]))
    shape = _own_shape(part, definitions)
    for option in ("anyOf", "oneOf"):
        choices = [_shape(choice, definitions) for choice in _list(part.get(option))]
        if choices:
            shape = _both(shape, reduce(Shape.union, choices))
    for choice in _list(part.get("allOf")):
        shape = _both(shape, _shape(choice, definitions))
    return shape


def _own_shape(part: Schema, definitions: Definitions) -> Shape:
    kinds = _kinds(part)
    properties = part.get("properties")
    fields: dict[str, Shape | SchemaPart] = {}
    if isinstance(properties, Mapping):
        fields = {key: SchemaPart(value, definitions) for key, value in cast("Schema", properties).items()}
    additional = part.get("additionalProperties", part.get("unevaluatedProperties"))
    is_open = additional not in (None, False) or (not fields and additional is not False) or "patternProperties" in part
    items = SchemaPart(part["items"], definitions) if "items" in part else None
    constants = _constants(part)
    return Shape(kinds, fields, is_open, items, constants, frozenset(map(str, _list(part.get("required")))))


def _kinds(part: Schema) -> frozenset[Kind]:
    given = part.get("type")
    names = {given} if isinstance(given, str) else {str(name) for name in _list(given)}
    kinds = frozenset[Kind](kind for kind in ALL_KINDS if kind in names)
    if kinds:
        return kinds
    values = [part["const"]] if "const" in part else _list(part.get("enum"))
    if values:
        return frozenset[Kind]().union(*(shape_of_value(value).kinds for value in values))
    return frozenset(("object",)) if "properties" in part else ALL_KINDS


def _constants(part: Schema) -> frozenset[str] | None:
    values = [part["const"]] if "const" in part else _list(part.get("enum"))
    texts = frozenset(value for value in values if isinstance(value, str))
    return texts or None


def _both(left: Shape, right: Shape) -> Shape:
    """What meets two schemas at once. Fields add up, as each part of an `allOf` lists some of them."""
    if ANY in (left, right):
        return right if left == ANY else left
    kinds = left.kinds & right.kinds
    if left.may_be(("number",)) and right.may_be(("number",)):
        kinds |= frozenset(("integer",)) if "integer" in left.kinds | right.kinds else frozenset(("number",))
    is_open = left.open and right.open if left.fields and right.fields else left.open if left.fields else right.open
    fields = {**left.fields, **right.fields}
    return Shape(
        kinds or ALL_KINDS,
        fields,
        is_open,
        left.items or right.items,
        left.constants or right.constants,
        left.required | right.required,
    )


def _list(value: Any) -> list[Any]:
    return list(cast("list[Any]", value)) if isinstance(value, (list, tuple)) else []
