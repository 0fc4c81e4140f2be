"""What a change of a prompt demands, which variant is chosen, known mistakes, and other registries' forms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from signoff.catalog.registry.cases import judge
from signoff.catalog.registry.compatibility import compare_schemas, heaviest, lowest_next
from signoff.catalog.registry.differences import side_by_side
from signoff.catalog.registry.exchange import export_prompt, import_prompt
from signoff.catalog.registry.lint import RULES, lint
from signoff.catalog.registry.prompt_changes import compare_prompts
from signoff.catalog.registry.versions import parse_source
from signoff.catalog.variants import Alternative, Dimension, choose
from signoff.catalog.versions import Parts
from signoff.core.errors import DefinitionError, InvalidError

TEXT = """---
name: answer
version: 1.0.0
purpose: Answers a question.
task: generate
input:
  type: object
  properties: {question: {type: string, maxLength: 500}, locale: {type: string, maxLength: 20}}
  required: [question]
output:
  type: object
  properties: {text: {type: string, maxLength: 900}, tone: {type: string, enum: [warm, plain]}}
  required: [text]
tests:
  - name: short
    input: {question: "Why?"}
    expect: {tone: plain}
    assert: "size(text) < 20"
    answer: {text: So., tone: plain}
variants:
  locale: {values: [en, de, de-AT, fr], default: en, fallback: {fr: de}}
---
# system
Be kind.

# system (locale=de)
Sei freundlich.

# user
{{ question }}
"""
PLAIN = TEXT[: TEXT.index("variants:")].replace(", locale: {type: string, maxLength: 20}", "") + (
    "---\n# system\nBe kind.\n\n# user\nAnswer: {{ question }}\n"
)


@pytest.mark.parametrize(
    ("old", "new", "side", "bump"),
    [
        ({"a": 1}, {}, "output", "major"),
        ({"a": 1}, {"a": 1, "b": 1}, "output", "minor"),
        ({}, {"b": 1}, "input", "minor"),
        ({"a": 1}, {}, "input", "major"),
    ],
)
def test_fields_that_come_and_go(old: Mapping[str, int], new: Mapping[str, int], side: Any, bump: str) -> None:
    schemas = [{"type": "object", "properties": {name: {"type": "string"} for name in names}} for names in (old, new)]
    assert heaviest(compare_schemas(schemas[0], schemas[1], side)) == bump


@pytest.mark.parametrize(
    ("old", "new", "of_input", "of_output"),
    [
        ({"required": []}, {"required": ["a"]}, "major", "minor"),
        ({"type": "integer"}, {"type": "number"}, "minor", "major"),
        ({"type": "string"}, {"type": "integer"}, "major", "major"),
        ({"enum": ["x"]}, {"enum": ["x", "y"]}, "minor", "major"),
        ({"enum": ["x", "y"]}, {"enum": ["y", "x"]}, "patch", "patch"),
        ({"maxLength": 5}, {"maxLength": 9}, "minor", "major"),
        ({"minimum": 5}, {"minimum": 9}, "major", "minor"),
        ({}, {"pattern": "^x"}, "major", "minor"),
        ({"title": "a"}, {"title": "b"}, "patch", "patch"),
        ({"oneOf": [dict[str, Any]()]}, {"oneOf": [True]}, "major", "major"),
    ],
)
def test_inputs_may_widen_and_outputs_narrow(old: Any, new: Any, of_input: str, of_output: str) -> None:
    wrapped: list[dict[str, Any]] = [{"type": "object", "properties": {"a": {}}, **schema} for schema in (old, new)]
    if "required" not in old:
        wrapped = [{"type": "object", "properties": {"a": schema}} for schema in (old, new)]
    assert heaviest(compare_schemas(wrapped[0], wrapped[1], "input")) == of_input
    assert heaviest(compare_schemas(wrapped[0], wrapped[1], "output")) == of_output


def test_text_is_a_patch_and_nothing_is_nothing() -> None:
    prompt = parse_source("p.md", TEXT)
    assert compare_prompts(prompt, parse_source("p.md", TEXT)) == ()
    changed = parse_source("p.md", TEXT.replace("Be kind", "Be brief"))
    assert heaviest(compare_prompts(prompt, changed)) == "patch"


@pytest.mark.parametrize(
    ("version", "bump", "lowest"),
    [
        ((1, 2, 3), "major", (2, 0, 0)),
        ((1, 2, 3), "minor", (1, 3, 0)),
        ((1, 2, 3), "patch", (1, 2, 4)),
        ((0, 2, 3), "major", (0, 3, 0)),
    ],
)
def test_the_lowest_version_that_fits(version: Parts, bump: Any, lowest: Parts) -> None:
    assert lowest_next(version, bump) == lowest


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        (None, "Be kind."),
        ("en", "Be kind."),
        ("de", "Sei freundlich."),
        ("de-AT", "Sei freundlich."),
        ("de-CH-1996", "Sei freundlich."),
        ("DE_at", "Sei freundlich."),
        ("fr", "Sei freundlich."),
        ("xx", "Be kind."),
        ("{{ question }}", "Be kind."),
        (7, None),
    ],
)
def test_the_variant_that_fits_best(locale: Any, said: str | None) -> None:
    values = {"question": "Why?"} if locale is None else {"question": "Why?", "locale": locale}
    prompt = parse_source("p.md", TEXT)
    if said is None:
        with pytest.raises(InvalidError):
            prompt.render(values)
    else:
        assert prompt.render(values)[0].content.startswith(said)


def test_an_earlier_dimension_counts_more() -> None:
    dimensions = (Dimension("locale", ("en", "de"), "en"), Dimension("line", ("home", "pro"), "home"))
    alternatives = (
        Alternative({"line": "pro"}, "pro"),
        Alternative({"locale": "de"}, "de"),
        Alternative({"locale": "de", "line": "pro"}, "both"),
    )
    chosen = {
        (locale, line): choose("base", alternatives, dimensions, {"locale": locale, "line": line})
        for locale in ("en", "de")
        for line in ("home", "pro")
    }
    assert list(chosen.values()) == ["base", "pro", "de", "both"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("(locale=de)", "(locale=it)", "no value 'it'"),
        ("(locale=de)", "(lokale=de)", "do not vary by 'lokale'"),
        ("(locale=de)", "(de)", "says no values"),
        ("# system (locale=de)", "# user (locale=de)", "of the same role"),
        ("default: en", "default: it", "cannot be 'it'"),
        ("{fr: de}", "{fr: de, de: fr}", "falls back to itself"),
        ('assert: "size(text) < 20"', 'assert: "size(txt) < 20"', "txt"),
        ("expect: {tone: plain}", "expect: {mood: plain}", "no 'mood'"),
        ("purpose:", "data_class: regulated\npurpose:", "has an owner"),
        ("purpose:", "owners: [ana]\npurpose:", "names nobody"),
        ("purpose:", "quality: {accuracy: high}\npurpose:", "must be a number"),
    ],
)
def test_wrong_front_matter_is_told(old: str, new: str, problem: str) -> None:
    assert old in TEXT
    with pytest.raises(DefinitionError) as caught:
        parse_source("p.md", TEXT.replace(old, new, 1))
    assert any(problem in str(item) for item in caught.value.problems), caught.value.problems


def test_a_case_is_held_against_an_answer() -> None:
    prompt = parse_source("p.md", TEXT)
    (case,) = prompt.tests
    assert judge(prompt, case, {"text": "So.", "tone": "plain"}) == ()
    wrong = judge(prompt, case, {"text": "x" * 30, "tone": "warm"})
    assert len(wrong) == 2
    assert judge(prompt, case, {"tone": "plain"})[0].startswith("breaks the contract")


@pytest.mark.parametrize("form", ["langfuse", "langsmith"])
def test_what_is_exported_comes_back(form: Any) -> None:
    data = json.loads(json.dumps(export_prompt(parse_source("p.md", PLAIN), PLAIN, form)))
    back = import_prompt(data, form)
    assert (back.text, back.notes) == (PLAIN, ())
    edited = json.loads(json.dumps(data).replace("Answer:", "Reply:"))
    edited = edited if form == "langsmith" else {**edited, "config": data["config"]}
    if form == "langsmith":
        edited["manifest"]["kwargs"]["metadata"] = data["manifest"]["kwargs"]["metadata"]
    again = import_prompt(edited, form)
    assert "Reply: {{ question }}" in again.text
    assert parse_source("p.md", again.text).output_schema == parse_source("p.md", PLAIN).output_schema


def test_variants_cannot_be_exported() -> None:
    with pytest.raises(InvalidError, match="variants"):
        export_prompt(parse_source("p.md", TEXT), TEXT, "langfuse")


FOREIGN: list[tuple[Any, Any, list[str]]] = [
    (
        "langfuse",
        {"name": "Movie Critic", "type": "text", "prompt": "As a {{level}} critic: {{movie}}?"},
        ["level", "movie"],
    ),
    (
        "langfuse",
        {"name": "x", "type": "chat", "prompt": [{"role": "system", "content": "Hi {{user.name}}"}]},
        ["user_name"],
    ),
    (
        "langsmith",
        {
            "lc": 1,
            "type": "constructor",
            "id": ["langchain_core", "prompts", "prompt", "PromptTemplate"],
            "kwargs": {"template": "Say {what} as {{json}}.", "template_format": "f-string"},
        },
        ["what"],
    ),
]


@pytest.mark.parametrize(("form", "data", "variables"), FOREIGN)
def test_foreign_prompts_become_files_that_are_sound(form: Any, data: Any, variables: list[str]) -> None:
    imported = import_prompt(data, form)
    assert list(parse_source("p.md", imported.text).input_schema["properties"]) == variables
    assert imported.notes


@pytest.mark.parametrize(
    "data",
    [
        [],
        {},
        {"prompt": 3},
        {"prompt": []},
        {"prompt": [{"type": "placeholder", "name": "history"}]},
        {"prompt": [{"role": "tool", "content": "x"}]},
        {"prompt": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"prompt": "{{#if x}}y{{/if}}"},
        {"prompt": "{% include 'x' %}"},
        {"prompt": "{{ ''.__class__ }}"},
        {"prompt": "x", "config": {"signoff": {"file": "no front matter"}}},
    ],
)
def test_what_cannot_be_taken_over_is_refused(data: Any) -> None:
    with pytest.raises(InvalidError):
        import_prompt(data, "langfuse")


BAD = """---
name: bad
version: 1.0.0
purpose: Shows mistakes.
task: classify
data_class: confidential
input:
  type: object
  properties: {text: {type: string}, who: {type: string, maxLength: 20}}
  required: [text]
labels: {a: Wants a thing., b: "A thing, wants."}
examples: [{input: {text: x}, output: {label: a}}]
tests: [{name: t, input: {text: x}, expect: {label: a}}]
---
# system
Today is a good day, {{ who }}. Think step by step. Reply with valid JSON only. TODO mail ana@corp.test\u200b
Key: sk-abcdefghijklmnop1234

# user
{{ text }} {text}
"""


def test_known_mistakes_are_found() -> None:
    found = {problem.code for problem in lint(parse_source("p.md", BAD), BAD)}
    expected = "P001 P002 P004 P005 P006 P007 P008 P010 P011 P012 P013 P014 P015 P016 P017 P018"
    assert found == set(expected.split())
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_lines_stand_beside_their_counterparts() -> None:
    pairs = side_by_side("a\nb\nc\n", "a\nB\nc\nd\n")
    assert [(pair.sign, pair.before, pair.after) for pair in pairs] == [
        ("same", "a", "a"),
        ("changed", "b", "B"),
        ("same", "c", "c"),
        ("added", "", "d"),
    ]
