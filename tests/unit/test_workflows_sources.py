"""Labels of the input come from its schema and are never too low."""

from __future__ import annotations

from typing import Any

from signoff.core.labels import DataClass, Trust
from signoff.workflows.graph import find_cycle, ranks
from signoff.workflows.shapes import ANY, shape_of_schema
from signoff.workflows.sources import annotation_problems, input_labels_of, labels_at

TRUSTED = {"x-signoff": {"trust": "trusted", "class": "public"}}
REGULATED = {"x-signoff": {"class": "regulated", "residency": ["eu"]}}


def test_fields_inherit_and_wholes_join() -> None:
    labels = input_labels_of(
        {
            "properties": {
                "user": {**TRUSTED, "properties": {"id": {}, "iban": REGULATED}},
                "lines": {"items": {"properties": {"card": REGULATED}}},
                "text": {},
            }
        }
    )
    assert labels_at(labels, ("user", "id")).trust is Trust.TRUSTED
    assert labels_at(labels, ("user", "id", "deeper")).trust is Trust.TRUSTED
    iban = labels_at(labels, ("user", "iban"))
    assert (iban.data_class, iban.trust, iban.residency) == (DataClass.REGULATED, Trust.TRUSTED, {"eu"})
    assert iban.sources == {"input.user.iban"}
    assert labels_at(labels, ("user",)).data_class is DataClass.REGULATED
    assert labels_at(labels, ("lines",)).data_class is DataClass.REGULATED
    assert labels_at(labels, ("text",)).trust is Trust.UNTRUSTED
    whole = labels_at(labels, ())
    assert (whole.data_class, whole.trust) == (DataClass.REGULATED, Trust.UNTRUSTED)
    assert labels_at({}, ("x",)).trust is Trust.UNTRUSTED


def test_references_are_followed_and_recursion_is_never_too_low() -> None:
    schema: dict[str, Any] = {
        "$defs": {"node": {"properties": {"secret": REGULATED, "next": {"$ref": "#/$defs/node"}}}},
        "properties": {"node": {"$ref": "#/$defs/node", **TRUSTED}},
    }
    labels = input_labels_of(schema)
    assert labels_at(labels, ("node", "secret")).data_class is DataClass.REGULATED
    assert labels_at(labels, ("node", "next", "next", "secret")).data_class is DataClass.REGULATED


def test_alternatives_join() -> None:
    labels = input_labels_of({"properties": {"a": {**TRUSTED, "anyOf": [{"properties": {"b": REGULATED}}, {}]}}})
    assert labels_at(labels, ("a", "b")).data_class is DataClass.REGULATED


def test_wide_recursive_schemas_stay_small() -> None:
    fields = {name: {"$ref": f"#/$defs/{other}"} for name, other in zip("abcdefgh", "bcdefgha", strict=True)}
    schema: dict[str, Any] = {
        "$defs": {name: {"properties": fields, "anyOf": list(fields.values()), **REGULATED} for name in "abcdefgh"},
        "properties": fields,
    }
    labels = input_labels_of(schema)
    assert len(labels) < 10_000
    assert labels_at(labels, tuple("abcdefghabcdefgh")).data_class is DataClass.REGULATED
    assert shape_of_schema(schema).get("a") is not None


def test_annotations_are_checked() -> None:
    schema = {"properties": {"a": {"x-signoff": {"trust": "very", "class": "internal"}}, "b": TRUSTED}}
    assert [path for path, _ in annotation_problems(schema)] == [("properties", "a", "x-signoff")]


def test_shapes_of_schemas() -> None:
    shape = shape_of_schema(
        {
            "allOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"b": {"const": "x"}}}],
            "anyOf": [{"type": "object", "properties": {"c": {}}}, {"type": "null"}],
        }
    )
    assert sorted(shape.names) == ["a", "b", "c"]
    assert shape.get("d") is None
    assert shape_of_schema({"type": "object"}).get("d") == ANY
    assert shape_of_schema({"properties": {"a": {}}, "additionalProperties": True}).get("d") == ANY
    assert shape_of_schema({"$ref": "#/$defs/no"}) == ANY
    assert shape_of_schema({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}) == ANY


def test_cycles_and_ranks() -> None:
    assert find_cycle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c"]
    assert find_cycle({"a": ["a"]}) == ["a"]
    assert find_cycle({"a": ["b", "c"], "b": ["c"], "c": []}) is None
    assert ranks({"a": ["b", "c"], "b": ["c"], "c": []}) == {"c": 0, "b": 1, "a": 2}
