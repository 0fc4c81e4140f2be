"""The JSON Schema project's own test suite for 2020-12, whole files at a time: every required test, and the formats."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.data import shared_data

from signoff.core.schemas import Schema, compiled

# Where the suite's schemas expect its remote documents.
SERVED_AT = "http://localhost:1234/"

# The suite's optional tests of formats: all but what is no format (`unknown`).
FORMATS = (
    "date",
    "date-time",
    "duration",
    "ecmascript-regex",
    "email",
    "ipv4",
    "ipv6",
    "json-pointer",
    "relative-json-pointer",
    "time",
    "uri",
    "uri-reference",
    "uri-template",
    "uuid",
    "regex",
    "hostname",
    "iri",
    "iri-reference",
    "idn-email",
    "idn-hostname",
)


@pytest.fixture(scope="module")
def documents() -> Mapping[str, Schema]:
    """The documents that schemas of the suite refer to."""
    remotes = shared_data("json_schema_test_suite", "remotes")
    paths = [*remotes.glob("*.json"), *(remotes / "draft2020-12").rglob("*.json")]
    return {f"{SERVED_AT}{path.relative_to(remotes).as_posix()}": json.loads(path.read_text()) for path in paths}


def cases(path: Path) -> Iterator[tuple[str, Schema, Any, bool]]:
    """Each test of a file: its name, the schema, the value, and whether it is valid."""
    for group in json.loads(path.read_text()):
        for test in group["tests"]:
            yield f"{group['description']}: {test['description']}", group["schema"], test["data"], test["valid"]


def wrong(path: Path, documents: Mapping[str, Schema], *, formats: bool) -> tuple[int, list[str]]:
    """How many tests a file has, and those that come out otherwise."""
    count, names = 0, list[str]()
    for name, schema, value, valid in cases(path):
        count += 1
        if compiled(schema, documents=documents, formats=formats).is_valid(value) != valid:
            names.append(name)
    return count, names


def test_all_required_tests_pass(documents: Mapping[str, Schema]) -> None:
    directory = shared_data("json_schema_test_suite", "tests", "draft2020-12")
    files = sorted(directory.glob("*.json"))
    assert len(files) >= 46
    results = {path.name: wrong(path, documents, formats=False) for path in files}
    assert {name: names for name, (_, names) in results.items() if names} == {}
    assert sum(count for count, _ in results.values()) >= 1299


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_asserted(name: str, documents: Mapping[str, Schema]) -> None:
    path = shared_data("json_schema_test_suite", "tests", "draft2020-12", "optional", "format", f"{name}.json")
    count, names = wrong(path, documents, formats=True)
    assert (count > 0, names) == (True, [])
