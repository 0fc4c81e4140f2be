from typing import Any

import pytest

from signoff.core.schemas import MAX_PROBLEMS, check_schema, field_name, pointer, validate

TICKET: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^T[0-9]+$"},
        "opened": {"type": "string", "format": "date"},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"cents": {"type": "integer"}}}},
    },
    "required": ["id"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "at", "says"),
    [
        ({}, "/id", "'id' is missing."),
        ({"id": 5}, "/id", "'id' is not of type \"string\"."),
        ({"id": "T1", "isd": 1}, "/isd", "'isd' is not a known field."),
        ({"id": "T1", "opened": "soon"}, "/opened", "'opened' is not a \"date\"."),
        ({"id": "T1", "lines": [{"cents": 1}, {"cents": "x"}]}, "/lines/1/cents", "'lines[1].cents' is not of type"),
        (7, "", "The value as a whole is not of type"),
        ({"id": object()}, "", "The value is not JSON"),
        ({1: 2}, "", "The value is not JSON"),
    ],
)
def test_a_problem_names_the_field(value: Any, at: str, says: str) -> None:
    [problem] = validate(TICKET, value)
    assert problem.pointer == at
    assert problem.detail.startswith(says)


def test_a_good_value_has_no_problems() -> None:
    assert validate(TICKET, {"id": "T1", "opened": "2026-01-31", "lines": [{"cents": 2**70}]}) == []
    assert validate(True, {"anything": None}) == []


def test_every_problem_is_found_but_not_endlessly() -> None:
    assert len(validate({"required": ["a", "b"], "minProperties": 1}, {})) == 3
    assert len(validate({"items": {"type": "string"}}, list(range(1000)))) == MAX_PROBLEMS


def test_texts_do_not_repeat_the_value() -> None:
    secret = "sk-very-secret"
    problems = validate({"properties": {"key": {"enum": ["a"], "maxLength": 2}}}, {"key": secret})
    assert problems
    assert all(secret not in str(problem) for problem in problems)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"properties": {"a": {"minimum": "x"}}},
        {"pattern": "("},
        {"$ref": "#/$defs/missing"},
        {"$ref": "http://example.invalid/never-fetched.json"},
        {"const": object()},
        {"description": "x" * 300_000},
        5,
        None,
        [],
    ],
)
def test_an_unsound_schema_is_a_problem(schema: Any) -> None:
    assert len(check_schema(schema)) == 1


def test_a_sound_schema_is_none() -> None:
    assert (
        check_schema({"$defs": {"a": {"type": "integer"}}, "$ref": "#/$defs/a", "x-signoff": {"trust": "trusted"}})
        == []
    )
    assert check_schema(True) == []


def test_validating_by_an_unsound_schema_raises() -> None:
    with pytest.raises(ValueError, match="anyOf"):
        validate({"type": "strin"}, {})


def test_pointers_and_names_of_paths() -> None:
    assert pointer(["a/b", 0, "c~d"]) == "/a~1b/0/c~0d"
    assert pointer([]) == ""
    assert field_name(["a", 0, "c"]) == "a[0].c"
