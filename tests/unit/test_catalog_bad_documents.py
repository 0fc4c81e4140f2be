"""Documents of every type with one member that is something else, missing, or too much: problems with places only.

Damaged text mostly ends at the YAML reader; these are well-formed documents, so that what reads their members is met.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.bad_files import project, told
from support.catalog_files import problems_of

from signoff.workflows.documents import load_document

ODD: list[Any] = [
    *(None, True, -1, 0, 0.5, 10**30, 1e308, "", " ", "x" * 5_000, "\u2028", "../x", "1.2.3.4.5", "99999999999d"),
    *("${", "${input}", "${[1,2].map(x, x)}", "${'a'.matches('(a+)+$')}", "a == 'b'", "input.cents", "{{ x }}", "{%"),
    *(
        [],
        {},
        [[]],
        [None],
        ["a", "a"],
        {"": 1},
        {"a": {"b": [{}]}},
        {"$ref": "#"},
        {"type": "no"},
        [{"id": 1}],
        [1, "a"],
    ),
]
NAMES = ["", "when", "if", "use", "type", "properties", "x-signoff", "steps", "__proto__", "a/b~c", "é" * 70]
READABLE = sorted(name for name in project() if name.endswith((".yaml", ".json", ".md")) and "/help/" not in name)


def parts_of(name: str, text: str) -> tuple[Any, Callable[[Any], str]]:
    """A document's data, and what writes data back as such a document: JSON is YAML."""
    if name.endswith(".md"):
        _, front, body = text.split("---\n", 2)
        return load_document(front, name).plain(), lambda data: f"---\n{json.dumps(data)}\n---\n{body}"
    return (json.loads(text) if name.endswith(".json") else load_document(text, name).plain()), json.dumps


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Everything in a document, but for the document itself."""
    members: list[tuple[Any, Any]] = []
    if isinstance(data, dict):
        members = list(cast("dict[str, Any]", data).items())
    elif isinstance(data, list):
        members = list(enumerate(cast("list[Any]", data)))
    return [one for key, value in members for one in ((*path, key), *places(value, (*path, key)))]


def changed(data: Any, path: tuple[Any, ...], draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """Change one member in place: another value, none, another name, twice, or deep inside itself."""
    *above, last = path
    around: Any = data
    for key in above:
        around = around[key]
    odd = deepcopy(draw(st.sampled_from(ODD)))
    match draw(st.sampled_from(["value", "value", "gone", "name", "more", "deep"])):
        case "value":
            around[last] = odd
        case "gone":
            del around[last]
        case "name" if isinstance(around, dict):
            around[draw(st.sampled_from(NAMES))] = around.pop(last)  # pyright: ignore[reportUnknownMemberType]  (JSON)
        case "deep":
            listed = draw(st.booleans())
            for _ in range(draw(st.sampled_from([1, 3, 40]))):
                around[last] = [around[last]] if listed else {"a": around[last]}
        case _ if isinstance(around, list):
            listed_again = cast("list[Any]", around)
            listed_again.append(deepcopy(listed_again[last]))
        case _:
            around[draw(st.sampled_from(NAMES))] = odd


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_members_that_are_something_else_are_told(data: st.DataObject) -> None:
    files = project()
    name = data.draw(st.sampled_from(READABLE))
    document, write = parts_of(name, files[name].decode())
    for _ in range(data.draw(st.integers(1, 2))):
        found = places(document)
        if found:
            changed(document, data.draw(st.sampled_from(found)), data.draw)
    told({**files, name: write(document).encode()}, name)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@settings(max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_same_of_thousands(data: st.DataObject) -> None:
    test_members_that_are_something_else_are_told.hypothesis.inner_test(data)  # pyright: ignore[reportFunctionMemberAccess]  (Hypothesis adds it)


@pytest.mark.parametrize("part", ["input", "output"])
@pytest.mark.parametrize("odd", [True, 1, "x", ["text"]])
def test_properties_that_are_none_are_told(part: str, odd: Any) -> None:
    files = project()
    document, write = parts_of("prompts/answer.md", files["prompts/answer.md"].decode())
    document[part]["properties"] = odd
    told({**files, "prompts/answer.md": write(document).encode()}, "prompts/answer.md")


@pytest.mark.parametrize("part", ["input", "output"])
@pytest.mark.parametrize("odd", [[], {}, None, 5])
def test_required_names_that_are_none_are_told(part: str, odd: Any) -> None:
    files = project()
    document, write = parts_of("prompts/answer.md", files["prompts/answer.md"].decode())
    document[part]["required"][0] = odd
    told({**files, "prompts/answer.md": write(document).encode()}, "prompts/answer.md")


CYCLE = """fragment: NAME
steps:
  inner: {use: OTHER, with: {}}
give: {a: "${inner.a}"}
"""


@pytest.mark.parametrize("length", [1, 2, 40])
def test_fragments_in_a_circle_are_told(length: int) -> None:
    made = {
        f"fragments/f{at}.yaml": CYCLE.replace("NAME", f"f{at}").replace("OTHER", f"f{(at + 1) % length}").encode()
        for at in range(length)
    }
    assert "cycle" in {problem.code for problem in problems_of({**project(), **made})}


FAN = """fragment: NAME
steps:
  a: {use: OTHER, with: {}}
  b: {use: OTHER, with: {}}
give: {a: "${a.a}"}
"""


def test_fragments_that_multiply_are_told() -> None:
    """Ten levels of two uses each would be a thousand steps."""
    made = {
        f"fragments/f{at}.yaml": FAN.replace("NAME", f"f{at}").replace("OTHER", f"f{at + 1}").encode()
        for at in range(10)
    }
    last = b"fragment: f10\nsteps: {s: {set: {a: 1}}}\ngive: {a: '${s.a}'}\n"
    assert problems_of({**project(), **made, "fragments/f10.yaml": last})


CALIBRATIONS = [
    "{}",
    "[]",
    "null",
    "{",
    '{"prompt": 1, "rule": {"kind": 2, "signals": [3, 4]}}',
    '{"prompt": ["a"], "rule": {"kind": "minimum", "signals": {"a": 1}}}',
    '{"prompt": "answer", "rule": []}',
    '"\\ud800"',
    "[" * 10_000,
]


@pytest.mark.parametrize("text", CALIBRATIONS)
def test_a_calibration_that_is_none_is_told(text: str) -> None:
    prompt = "prompts/answer.md"
    signals = "signals: [completeness, support]"
    files = project()
    files[prompt] = files[prompt].replace(signals.encode(), f"{signals}, calibration: calibrations/a.json".encode())
    found = problems_of({**files, "calibrations/a.json": text.encode()})
    assert {problem.file for problem in found} <= {"calibrations/a.json", prompt}
