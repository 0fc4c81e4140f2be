"""Plain data with `${…}` in its texts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.core.labels import BOTTOM
from signoff.workflows.documents import load_document
from signoff.workflows.errors import ExpressionError
from signoff.workflows.expressions import ExpressionCompiler
from signoff.workflows.model import Expression
from signoff.workflows.report import Report
from signoff.workflows.semantics import RunScope
from signoff.workflows.shapes import ANY
from signoff.workflows.templates import split_text
from signoff.workflows.values import ValueCompiler

COMPILER = ExpressionCompiler({"input": lambda: ANY}, ())


def template(text: str, *, key: bool = False) -> Expression:
    report = Report("x.yaml")
    values = ValueCompiler(COMPILER, report)
    node = load_document(text, "x.yaml")
    made = values.key(node) if key else values.template(node)
    report.raise_if_any("wrong")
    assert made is not None
    return made


def value(text: str, given: Any, *, key: bool = False) -> Any:
    return template(text, key=key).evaluate(RunScope(given, {}, {}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'${input.n}'", 5),
        ("'${input.o}'", {"a": [1]}),
        ("'${input.none}'", None),
        ("'n=${input.n}'", "n=5"),
        ("'${input.n}${input.s}'", "5é"),
        ("' ${input.n}'", " 5"),
        ("'${input.f} ${input.t} ${input.o}'", '1.5 true {"a":[1]}'),
        ("'$${input.n}'", "${input.n}"),
        ("'$${a} ${input.n} $$ $'", "${a} 5 $$ $"),
        ("\"${input.n == 5 ? '}' : '{'}\"", "}"),
        ("\"${{'a': {'b': input.n}}.a}\"", {"b": 5}),
        ("\"${'\\\\'}' + input.s}\"", "'}é"),
        ("{a: ['${input.n}', {b: 'x${input.n}', c: 1}], d: null}", {"a": [5, {"b": "x5", "c": 1}], "d": None}),
        ("[1, two, ~]", [1, "two", None]),
        ("${input.big}", 2**70),
        ("v${input.big}", f"v{2**70}"),
    ],
)
def test_templates(text: str, expected: Any) -> None:
    scope = {"n": 5, "o": {"a": [1]}, "none": None, "s": "é", "f": 1.5, "t": True, "big": 2**70}
    found = value(text, scope)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("text", ["'x ${input.none}'", "'x ${input.missing}'"])
def test_a_text_cannot_hold_null_or_nothing(text: str) -> None:
    with pytest.raises(ExpressionError):
        value(text, {"none": None})


@pytest.mark.parametrize("given", [{"id": None}, {"id": ""}, {"id": "  "}, {"id": "x" * 501}, {}])
def test_a_key_is_never_empty_or_endless(given: Any) -> None:
    with pytest.raises(ExpressionError):
        value("'${input.id}'", given, key=True)
    assert value("'${input.id}'", {"id": 7}, key=True) == "7"


def test_constants_read_nothing() -> None:
    made = template("{a: [1, {b: x}]}")
    assert made.reads == ()
    assert made.labels(RunScope({}, {}, {})) == BOTTOM
    assert [read.path for read in template("{a: '${input.x.y} ${input.x.y}', b: ['${input.z}']}").reads] == [
        ("x", "y"),
        ("z",),
    ]


@given(st.text())
def test_escaped_text_comes_out_as_it_was(text: str) -> None:
    escaped = text.replace("$", "$$") if "${" not in text and "$$" not in text else text.replace("${", "$${")
    if "$$" in text or "$" in text.replace("${", ""):
        return
    assert "".join(piece.text for piece in split_text(escaped)) == text


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_characters="$", codec="utf-8"), max_size=8), st.integers(0, 9)),
        max_size=5,
    )
)
def test_pieces_are_put_together_in_order(parts: list[tuple[str, int]]) -> None:
    text = "".join(f"{literal}${{input.v[{index}]}}" for literal, index in parts)
    pieces = list(split_text(text))
    assert "".join(f"${{{piece.text}}}" if piece.expression else piece.text for piece in pieces) == text
    assert all(text[piece.offset : piece.offset + len(piece.text)] == piece.text for piece in pieces)
