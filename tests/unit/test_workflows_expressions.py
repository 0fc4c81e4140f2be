"""CEL, strictly: errors are never absorbed, reads are known, types are checked before anything runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.core.labels import BOTTOM, Labels
from signoff.workflows.errors import Blocked, ExpressionError
from signoff.workflows.expressions import CelExpression, ExpressionCompiler, Faulty
from signoff.workflows.model import Read
from signoff.workflows.shapes import ANY, shape_of_schema

ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "cents": {"type": "integer"},
        "share": {"type": "number"},
        "label": {"enum": ["refund", "card"]},
        "note": {"type": ["string", "null"]},
        "lines": {
            "type": "array",
            "items": {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]},
        },
        "done": {"type": "boolean"},
        "result": {"type": "string"},
    },
    "required": ["id", "cents", "share", "label", "note", "lines", "done", "result"],
}
VALUE: dict[str, Any] = {
    "id": "O1",
    "cents": 300,
    "share": 1,  # JSON does not tell 1 from 1.0
    "label": "refund",
    "note": None,
    "lines": [{"sku": "a"}, {"sku": "b"}],
    "done": True,
    "result": "done",
}
COMPILER = ExpressionCompiler(
    {"input": lambda: ANY, "order": lambda: shape_of_schema(ORDER), "gone": lambda: ANY}, ("order", "gone")
)


class Scope:
    """A run in which `gone` was blocked."""

    def __init__(self, given: Any = None) -> None:
        self._values: Mapping[str, Any] = {
            "input": {} if given is None else given,
            "order": VALUE,
            "gone": {"done": False, "result": "blocked"},
        }

    def value(self, root: str) -> Any:
        return self._values[root]

    def readable(self, root: str) -> bool:
        return root != "gone"

    def labels(self, root: str, path: tuple[str, ...]) -> Labels:
        return BOTTOM


def compiled(source: str) -> CelExpression:
    expression = COMPILER.compile(source)
    assert isinstance(expression, CelExpression), expression
    return expression


def evaluate(source: str, given: Any = None) -> Any:
    return compiled(source).evaluate(Scope(given))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("order.id", "O1"),
        (" order . id ", "O1"),
        ("order['id']", "O1"),
        ("order.cents < 300.5", True),
        ("order.share * 1.5", 1.5),
        ("order.share * 2 > order.cents", False),
        ("order.cents + 1", 301),
        ("order.cents / 7", 42),
        ("-order.share", -1),
        ("1 < 1.5", True),
        ("order.lines.map(line, line.sku)", ["a", "b"]),
        ("order.lines.filter(line, line.sku == 'b')", [{"sku": "b"}]),
        ("order.lines.exists(line, line.sku == 'b')", True),
        ("order.lines.all(line, line.sku == 'b')", False),
        ("order.lines.exists_one(line, line.sku == 'b')", True),
        ("order.lines[1].sku", "b"),
        ("order.note == null", True),
        ("order.?note.orValue('none')", None),
        ("gone.?note.orValue('none')", "none"),
        ("gone.?note.optMap(n, n + '!').orValue('none')", "none"),
        ("gone.done", False),
        ("gone.result in ['blocked', 'failed']", True),
        ("gone.done ? gone.x : 0", 0),
        ("{'a': [order.cents, 1.5, null, true]}", {"a": [300, 1.5, None, True]}),
        ("has(order.note)", True),
        ("has(input.a) && input.a.b", False),
        ("'%s-%d'.format([order.id, order.cents])", "O1-300"),
        ("'a,b'.split(',')", ["a", "b"]),
        ("math.greatest(order.cents, 5)", 300),
        ("size(order.lines) * 1.5", 3.0),
        ("order.id == 'O1' ? 'yes' : 'no'", "yes"),
    ],
)
def test_values(source: str, expected: Any) -> None:
    if source.startswith("has(input.a) &&"):
        with pytest.raises(ExpressionError, match="input"):
            evaluate(source)
        assert evaluate("has(input.a) ? input.a.b : false") is expected
        return
    value = evaluate(source)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("input.x", "'input' has no field 'x'"),
        ("input.x || true", "'input' has no field 'x'"),
        ("true || input.x", "'input' has no field 'x'"),
        ("false && input.x", "'input' has no field 'x'"),
        ("input.n && true", "not a boolean"),
        ("true || input.n", "not a boolean"),
        ("input.n.x", "'input.n' is not an object"),
        ("1 / 0 == 1 || true", "divide by zero"),
        ("[1, 2, 3].exists(i, i == 1 || i / 0 == 2)", "divide by zero"),
        ("[2, 1].exists(i, i == 2 || i / (i - 1) == 0)", "divide by zero"),
        ("[1, 0].all(i, 1 / i == 5)", "divide by zero"),
        ("[0, 1].exists(i, 1 / i == 1)", "divide by zero"),
        ("order.lines[7].sku", "the list has 2 items, so none at 7"),
        ("input.n + 1", "cannot be applied"),
        ("9223372036854775807 + order.cents", "overflow"),
        ("1.0 / 0.0", "finite"),
        ("{1: 2}", "keys"),
        ("[input.big]", "64 bits"),
        ("gone.?x.orValue(input.y)", "no field 'y'"),
    ],
)
def test_errors_are_never_absorbed(source: str, says: str) -> None:
    with pytest.raises(ExpressionError, match=says):
        evaluate(source, {"n": None, "big": 2**70})


@pytest.mark.parametrize(
    "source",
    [
        "gone",
        "gone.x",
        "gone.done || gone.x",
        "true || gone.x",
        "has(gone.x)",
        "gone.?x.hasValue()",
        "false ? 1 : gone.x",
        "[gone]",
    ],
)
def test_reading_data_that_is_not_there_blocks(source: str) -> None:
    with pytest.raises(Blocked) as caught:
        evaluate(source)
    assert caught.value.by == "gone"


@pytest.mark.parametrize("value", [2**70, None, True, 1.5, "é\u2028", [], {}, [[1, [2]]], {"a": {"b": [None]}}])
def test_plain_paths_give_the_value_itself(value: Any) -> None:
    assert evaluate("input.v", {"v": value}) is value


TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_values_survive_a_trip_through_cel(value: Any) -> None:
    [through] = compiled("[input.v]").evaluate(Scope({"v": value}))
    assert through == value


@pytest.mark.parametrize(
    "value", ["a\0b", {"id": "\0"}, {"id\0": "other"}, [{"a": [{"\0": 1}]}], json.loads("[" * 500 + "]" * 500)]
)
def test_values_that_cel_would_see_otherwise_are_errors(value: Any) -> None:
    with pytest.raises(ExpressionError, match="NUL"):
        evaluate("input.v == input.v", {"v": value})
    assert evaluate("input.v", {"v": value}) is value


# A condition made of operands that are true, false or an error, with what a strict reader says of it.
operands = st.sampled_from(
    [
        ("true", True),
        ("input.yes", True),
        ("!input.yes", False),
        ("false", False),
        ("input.missing", None),
        ("1 / 0 == 1", None),
    ]
)


def _both(sides: tuple[tuple[str, bool | None], tuple[str, bool | None], str]) -> tuple[str, bool | None]:
    (left, a), (right, b), operator = sides
    value = None if a is None or b is None else (a and b) if operator == "&&" else (a or b)
    return f"({left} {operator} {right})", value


conditions = st.recursive(
    operands, lambda inner: st.tuples(inner, inner, st.sampled_from(["&&", "||"])).map(_both), max_leaves=8
)


@settings(deadline=None)
@given(conditions)
def test_and_and_or_are_strict(condition: tuple[str, bool | None]) -> None:
    source, expected = condition
    expression = compiled(source)
    if expected is None:
        with pytest.raises(ExpressionError):
            expression.evaluate(Scope({"yes": True}))
    else:
        assert expression.evaluate(Scope({"yes": True})) is expected


@settings(deadline=None)
@given(st.lists(st.sampled_from([1, 2, 0]), max_size=6), st.sampled_from(["all", "exists"]))
def test_loops_look_at_every_item(items: list[int], loop: str) -> None:
    source = f"input.items.{loop}(i, 2 / i == 1)"
    if 0 in items:
        with pytest.raises(ExpressionError):
            evaluate(source, {"items": items})
    else:
        results = [2 // i == 1 for i in items]
        assert evaluate(source, {"items": items}) is (all(results) if loop == "all" else any(results))


def test_reads_are_everything_it_names() -> None:
    expression = compiled("gone.done ? order.lines[0].sku : input.a['b'].c == order.?note.orValue('') ? 'x' : 'y'")
    assert set(expression.reads) == {
        Read("gone", ("done",), status_only=True),
        Read("order", ("lines",)),
        Read("input", ("a", "b", "c")),
        Read("order", ("note",), status_only=True),
    }
    assert compiled("order.lines.exists(order, order.sku == 'a')").reads == (Read("order", ("lines",)),)
    assert compiled("1 + 1").reads == ()


@pytest.mark.parametrize(
    ("source", "offset", "detail", "suggestion"),
    [
        ("order.cent < 1", 6, "no field 'cent'", "'cents'"),
        ("order.lines.all(l, l.skuu == 'a')", 21, "no field 'skuu'", "'sku'"),
        ("order.?nota.orValue('')", 7, "no field 'nota'", "'note'"),
        ("order.cents < 'high'", 12, "An integer cannot be compared with a string", None),
        ("order.id == 5", 9, "A string is never equal to an integer", None),
        ("order.label == 'refun'", 12, "never 'refun'", "'refund'"),
        ("order.label in ['card', 'refun']", 12, "never 'refun'", "'refund'"),
        ("order.id.x", 9, "A string has no fields", None),
        ("order.cents && true", 0, "This is an integer", None),
        ("order.cents + 'a'", 12, "cannot join", "text"),
        ("order.share % 2", 12, "'%' needs integers", "int("),
        ("ordr.id", 0, "named 'ordr'", "'order'"),
        ("true && foo(1)", 8, "named 'foo'", None),
        ("order.id +", 10, "not CEL", None),
        ("order.?id", 0, "optional", "orValue"),
        ("order.id.orValue('')", 6, "not optional", ".?id.orValue"),
        ("b'a'", 0, "not JSON", "string("),
        ("order.lines.all(a, order.lines.all(b, order.lines.all(c, true)))", None, "nested more than 2", None),
        ("true && 1", 5, "'&&' cannot be applied", None),
        ("order.id in 'abc'", 9, "", None),
        ("order." + "x" * 5000, 0, "at most 4096", "set"),
        ("!(" * 900 + "true" + ")" * 900, None, "", None),
        ("1" + "+1" * 2000, None, "", None),
        ("(" * 900 + "1" + ")" * 900, None, "", None),
        ("'\ud800'", None, "", None),
        ("", None, "", None),
    ],
)
def test_what_is_wrong_is_found_before_anything_runs(
    source: str, offset: int | None, detail: str, suggestion: str | None
) -> None:
    faulty = COMPILER.compile(source)
    assert isinstance(faulty, Faulty), faulty
    finding = faulty.findings[0]
    assert detail in finding.detail
    if offset is not None:
        assert finding.offset == offset
    if suggestion is not None:
        assert suggestion in (finding.suggestion or "")


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="orderinputgone.cents&|!?:()[]{}'\"0123456789 +-*/<>=,", max_size=30))
def test_any_text_compiles_or_is_faulty(source: str) -> None:
    expression = COMPILER.compile(source)
    if isinstance(expression, CelExpression):
        with suppress(Blocked, ExpressionError):
            expression.evaluate(Scope())
