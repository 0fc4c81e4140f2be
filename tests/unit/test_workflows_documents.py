"""Strict YAML with the place of every value and of every character."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from signoff.core.errors import DefinitionError, Problem
from signoff.workflows.documents import MAX_DOCUMENT_BYTES, load_document


def problem_of(text: str) -> Problem:
    with pytest.raises(DefinitionError) as caught:
        load_document(text, "x.yaml")
    assert caught.value.problems[0].file == "x.yaml"
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("~", None),
        ("null", None),
        ("12", 12),
        ("-3", -3),
        ("0o17", 15),
        ("0x1F", 31),
        ("010", 10),
        ("1_000", "1_000"),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ("2026-01-01", "2026-01-01"),
        ("12:30", "12:30"),
        ("'12'", "12"),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("{a: [1, x], b: }", {"a": [1, "x"], "b": None}),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text: str, value: Any) -> None:
    plain = load_document(text, "x.yaml").plain()
    assert plain == value
    assert type(plain) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("a: 1\nb:\n\t- c\n", 3, 1, "cannot start"),
        ("a: 1\nb: {c: 1, c: 2}\n", 2, 11, "occurs twice"),
        ("a: &x [1]\nb: *x\n", 1, 4, "Anchors"),
        ("a: !!str 5\n", 1, 4, "Tags"),
        ("a: !!python/object:os.system {}\n", 1, 4, "Tags"),
        ("a: 1\n---\nb: 2\n", 2, 1, "several documents"),
        ("", 1, 1, "empty"),
        ("# only a comment\n", 1, 1, "empty"),
        ("a: [1, 2\n", 2, 1, "not YAML"),
        ("a: 'x\n", 2, 1, "not YAML"),
        ("a: b: c\n", 1, 5, "not YAML"),
        ("a: \x00\n", 1, 1, "not YAML"),
        ('a: "\\U99999999"\n', 1, 1, "not YAML"),
        ("? [a, b]\n: 1\n", 1, 3, "A key is a text"),
        ("~: 1\n", 1, 1, "A key is a text"),
        ("a: " + "[" * 40 + "]" * 40, 1, 36, "nested more than"),
        ("- 1\n" * 20_001, 20_000, 3, "more than 20000 values"),
        ("a: '" + "x" * MAX_DOCUMENT_BYTES + "'", 1, 1, "larger than"),
    ],
)
def test_what_documents_may_not_have_is_a_problem_with_a_place(text: str, line: int, column: int, says: str) -> None:
    problem = problem_of(text)
    assert says in problem.detail
    assert (problem.line, problem.column) == (line, column)


def test_every_duplicate_is_found() -> None:
    with pytest.raises(DefinitionError) as caught:
        load_document("a: 1\na: 2\nb: {c: 1, c: 2}\n", "x.yaml")
    assert [problem.line for problem in caught.value.problems] == [2, 3]


def test_nodes_know_their_place_and_pointer() -> None:
    node = load_document("steps:\n  a/b:\n    with: [1, {c: x}]\n", "x.yaml").entries["steps"].entries["a/b"]
    inner = node.entries["with"].items[1].entries["c"]
    assert (inner.line, inner.column) == (3, 19)
    assert inner.pointer == "/steps/a~1b/with/1/c"
    assert node.keys["with"] == (3, 5)


PLACES = """\
plain: one two ${x}
single: 'it''s ${x}'
double: "tab\\t\\u00e9 ${x}"
folded: >-
  first
  second ${x}

  third
literal: |
  first

    ${x}
wrapped: one
  two ${x}
"""


@pytest.mark.parametrize(
    ("key", "line", "column"),
    [("plain", 1, 16), ("single", 2, 16), ("double", 3, 22), ("folded", 6, 10), ("literal", 12, 5), ("wrapped", 14, 7)],
)
def test_a_character_is_found_however_the_text_is_written(key: str, line: int, column: int) -> None:
    node = load_document(PLACES, "x.yaml").entries[key]
    assert node.place(node.value.index("$")) == (line, column)
    assert PLACES.split("\n")[line - 1][column - 1] == "$"


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)


@settings(deadline=None)
@given(st.lists(texts, min_size=1, max_size=5), st.sampled_from(["|", ">", '"', "'", ""]))
def test_places_never_leave_the_text(words: list[str], style: str) -> None:
    body = "\n  ".join(words)
    text = f"a: {style}-\n  {body}\n" if style in ("|", ">") else f"a: {style}{body}{style}\n"
    with suppress(DefinitionError):
        document = load_document(text, "x.yaml")
        node = document.entries.get("a")
        if node is not None and node.text is not None:
            lines = text.split("\n")
            for offset in range(len(node.text) + 1):
                line, column = node.place(offset)
                assert 1 <= line <= len(lines)
                assert column >= 1


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_document_or_a_problem(text: str) -> None:
    with suppress(DefinitionError):
        load_document(text, "x.yaml").plain()


def test_a_key_that_readers_take_differently_is_refused() -> None:
    """YAML 1.2 reads `{?0: 1}` as the key `?0`, the library as the key `0`."""
    with pytest.raises(DefinitionError) as caught:
        load_document("value: {?0: 1}", "x.yaml")
    assert caught.value.problems[0].line == 1
    assert load_document("value: {'?0': 1}", "x.yaml").plain() == {"value": {"?0": 1}}


@settings(deadline=None)
@given(
    st.recursive(
        st.booleans() | st.integers(-1000, 1000) | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts.filter(bool), inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_another_writer_wrote_is_read_back(value: Any) -> None:
    import io  # noqa: PLC0415  (only here)

    stream = io.StringIO()
    writer: Any = YAML(typ="safe", pure=True)
    writer.dump({"value": value}, stream)
    with suppress(DefinitionError):  # an anchor for a list that occurs twice, or a key such as `true`
        assert load_document(stream.getvalue(), "x.yaml").plain() == {"value": value}
