"""Decision tables: what cells mean, which rows are hit, and gaps and overlaps told with values that show them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.catalog_files import added, only_problem
from support.docs_pages import pages

from signoff.capabilities.validation import decide
from signoff.catalog import load_project_files
from signoff.catalog.coverage import examine
from signoff.catalog.decisions import DecisionTable
from signoff.catalog.parsing.decision_sheets import load_sheet
from signoff.catalog.parsing.decisions import parse_decision
from signoff.core.errors import DefinitionError, StepError
from signoff.core.schemas import validate
from signoff.workflows.documents import load_document
from signoff.workflows.unary import UnaryError, parse_unary

HEAD = """\
decision: limits
hit: {hit}
input:
  type: object
  properties:
    cents: {{type: integer, minimum: 0, maximum: 20}}
    country: {{enum: [de, fr, us]}}
    vip: {{type: boolean}}
  required: [cents, country]
output: {{type: object, properties: {{action: {{enum: [auto, review]}}, limit: {{type: number}}}}, required: [action]}}
rules:
"""
SHEET = """\
first,in cents: integer 0..,in country: de|fr|us,out action: auto|review,out bonus: number,about
small,< 100,-,auto,0.5,nobody looks
eu,,"'de','fr'",review,"${cents / 2.0}",
otherwise,,,auto,0,
"""


def table(rows: str, hit: str = "unique", more: str = "") -> DecisionTable:
    text = HEAD.format(hit=hit) + rows + more
    return parse_decision(load_document(text, "decisions/limits.yaml"), "decisions/limits.yaml", digest="0")


def problems(rows: str, hit: str = "unique", more: str = "") -> list[tuple[int | None, str | None, str]]:
    with pytest.raises(DefinitionError) as caught:
        table(rows, hit, more)
    return [(problem.line, problem.code, problem.detail) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("cell", "passes", "fails"),
    [
        ("> 100", [101, 100.5], [100, None, "101", True]),
        ("[1..5]", [1, 5, 2.5], [0, 6, None]),
        ("(1..5)", [2], [1, 5]),
        ("'de', 'fr'", ["de", "fr"], ["us", None, ""]),
        ("-", [None, 1, "x", True], []),
        ("", [None, 1], []),
        ("not('us', null)", ["de", 1], ["us", None]),
        ("!= 'us'", ["de", None], ["us"]),
        ("< 5, >= 10", [4, 10], [5, 9]),
        ("== 1", [1, 1.0], [True, "1", None]),
        ("true", [True], [1, False, None]),
        ("null", [None], [0, ""]),
        ("['a'..'c')", ["a", "b", "bz"], ["c", 1]),
        (r"'it\'s'", ["it's"], ["its"]),
    ],
)
def test_a_cell_means_what_the_reference_says(cell: str, passes: list[Any], fails: list[Any]) -> None:
    test = parse_unary(cell)
    assert [value for value in passes if not test.matches(value)] == []
    assert [value for value in fails if test.matches(value)] == []


@pytest.mark.parametrize(
    ("cell", "offset"),
    [
        ("de", 0), ("[5..1]", 0), ("1..5", 1), ("'a", 0), (">", 1), ("> null", 2), ("1 2", 2), ("(1..1)", 0),
        ("[1..'a']", 0), ("not('a'", 7), ("1e999", 0), ("9" * 30, 0), ("not(" * 1000, 40),
    ],
)  # fmt: skip
def test_what_is_no_cell_is_told_where(cell: str, offset: int) -> None:
    with pytest.raises(UnaryError) as caught:
        parse_unary(cell)
    assert caught.value.offset == offset


@given(st.text(alphabet="<>=!()[],.'\"-0123456789 abntrue\\", max_size=60))
def test_any_text_is_a_cell_or_an_error(text: str) -> None:
    try:
        test = parse_unary(text)
    except UnaryError as error:
        offset = error.offset
    else:
        assert [test.matches(value) for value in (None, True, 1, 1.5, "a")]
        return
    assert 0 <= offset <= len(text)


def test_a_gap_and_an_overlap_come_with_a_row_of_values() -> None:
    assert problems("  - {id: a, when: {cents: '< 5'}, give: {action: auto}}\n") == [
        (12, "gap", "No rule is hit by cents = 5, country = 'de', vip = true.")
    ]
    rows = (
        "  - {id: a, when: {cents: '<= 5'}, give: {action: auto}}\n"
        "  - {id: b, when: {cents: '>= 5'}, give: {action: auto}}\n"
    )
    assert problems(rows) == [(13, "overlap", "'a' and 'b' are both hit by cents = 5, country = 'de', vip = true.")]
    assert problems(rows + "  - {id: c, when: {cents: '7'}, give: {action: auto}}\n", "first") == [
        (14, "never", "The rule 'c' is never hit: what it asks for cannot come, or rules above it take it all.")
    ]


def test_a_gap_that_a_condition_may_fill_is_only_told() -> None:
    rows = (
        "  - {id: a, when: {cents: '< 5'}, give: {action: auto}}\n"
        "  - {id: b, when: {vip: '${cents > 4}'}, give: {action: auto}}\n"
    )
    found = table(rows)
    assert [warning.code for warning in found.warnings] == ["gap"]
    assert "may be" in found.warnings[0].detail
    assert decide(found, {"cents": 9, "country": "de"}).matched == ("b",)
    assert table(rows, more="otherwise: {action: review}\n").warnings == ()


@pytest.mark.parametrize(
    ("row", "code", "told"),
    [
        ("{when: {cent: 1}, give: {action: auto}}", "unknown-name", "There is no column 'cent'."),
        ("{when: {country: \"'gb'\"}, give: {action: auto}}", "constant", "'country' is never 'gb'"),
        ("{when: {cents: \"'5'\"}, give: {action: auto}}", "type", "'cents' is an integer, so it is never a string."),
        ("{when: {cents: five}, give: {action: auto}}", "cell", "'five' is no constant."),
        ("{when: {cents: {a: 1}}, give: {action: auto}}", "cell", "A cell is a test"),
        ("{when: {cents: '${cents + 1}'}, give: {action: auto}}", "type", "A cell gives a boolean"),
        ("{when: {cents: '${cens > 1}'}, give: {action: auto}}", "expression-name", "named 'cens'"),
        ("{give: {action: never}}", "constant", "takes one of auto, review"),
        ("{give: {action: auto, limit: many}}", "type", "takes a number here"),
        ("{give: {}}", "missing-argument", "'action' is missing"),
        ("{when: {cents: 1}}", "missing-key", "'give' is missing"),
        ("{id: otherwise, give: {action: auto}}", "duplicate", "The id 'otherwise'"),
    ],
)
def test_what_is_wrong_with_a_row_is_told_where_it_stands(row: str, code: str, told: str) -> None:
    found = problems(f"  - {row}\n")
    assert [(line, kind) for line, kind, _ in found] == [(12, code)]
    assert told in found[0][2]


def test_hit_policies() -> None:
    rows = (
        "  - {id: low, when: {cents: '< 5'}, give: {action: auto, limit: 1}}\n"
        "  - {id: vip, when: {vip: true}, give: {action: auto, limit: '${cents * 2.0}'}}\n"
    )
    first = table(rows, "first", "otherwise: {action: review}\n")
    value = {"cents": 1, "country": "de", "vip": True}
    assert decide(first, value).output == {"action": "auto", "limit": 1, "matched": ["low"]}
    assert decide(first, {**value, "cents": 9}).output == {"action": "auto", "limit": 18.0, "matched": ["vip"]}
    assert decide(first, {"cents": 9, "country": "de"}).output == {"action": "review", "matched": ["otherwise"]}
    collect = table(rows, "collect")
    assert decide(collect, value).output == {
        "items": [{"action": "auto", "limit": 1}, {"action": "auto", "limit": 2.0}],
        "count": 2,
        "matched": ["low", "vip"],
    }
    assert decide(collect, {"cents": 9, "country": "de"}).output == {"items": [], "count": 0, "matched": []}
    for decided in (decide(first, value), decide(collect, value)):
        contract = (first if decided.matched == ("low",) else collect).contract
        assert validate(contract.output_schema, decided.output) == []


def test_a_decision_that_cannot_be_made_fails() -> None:
    rows = (
        "  - {id: a, when: {cents: '< 5'}, give: {action: auto}}\n"
        "  - {id: b, when: {vip: '${10 / cents > 1}'}, give: {action: auto}}\n"
    )
    found = table(rows)
    for value, kind in (({"cents": 20}, "arguments"), ({"cents": 0, "country": "de"}, "decision_error")):
        with pytest.raises(StepError) as caught:
            decide(found, value)
        assert caught.value.kind == kind
    for cents in (3, 20):
        with pytest.raises(StepError) as caught:
            decide(found, {"cents": cents, "country": "de"})
        assert caught.value.kind == "decision"


NUMBERS = st.sampled_from(["-", "< 3", "<= 3", "> 3", "[2..5]", "(2..5)", "4", "1, 7", "not(4)", "not([2..5])", ">= 6"])
WORDS = st.sampled_from(["-", "'de'", "'de','fr'", "not('us')", "!= 'fr'", "> 'de'"])
FLAGS = st.sampled_from(["-", "true", "false", "null", "not(true)"])
ROWS = st.lists(st.tuples(NUMBERS, WORDS, FLAGS), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.sampled_from(["unique", "first"]))
def test_gaps_and_overlaps_are_exactly_those_of_all_values(rows: list[tuple[str, str, str]], hit: str) -> None:
    """Against every value there is: the domain is small enough to try them all."""
    lines = "".join(
        f'  - {{id: r{at}, when: {{cents: "{a}", country: "{b}", vip: "{c}"}}, give: {{action: auto}}}}\n'
        for at, (a, b, c) in enumerate(rows)
    )
    text = HEAD.format(hit="collect") + lines
    try:
        parsed = parse_decision(load_document(text, "t"), "t", digest="0")
    except DefinitionError:
        return  # a row that no value hits: it is told, and leaves nothing to compare
    tests = [tuple(row.tests[name] for name in ("cents", "country", "vip")) for row in parsed.rows]
    masks = [
        [
            at
            for at, row in enumerate(tests)
            if all(test.matches(value) for test, value in zip(row, values, strict=True))
        ]
        for values in product(range(21), ("de", "fr", "us"), (True, False, None))
    ]
    found = examine(replace(parsed, hit=hit))  # pyright: ignore[reportArgumentType]  (a hit policy)
    assert any(not mask for mask in masks) == any(finding.kind == "gap" for finding in found)
    if hit == "unique":
        assert any(len(mask) > 1 for mask in masks) == any(finding.kind == "overlap" for finding in found)
    reached = {mask[0] for mask in masks if mask} if hit == "first" else {at for mask in masks for at in mask}
    never = {finding.rows[0] for finding in found if finding.kind == "never"}
    assert never == {f"r{at}" for at in range(len(rows))} - {f"r{at}" for at in reached}


def test_a_sheet_is_a_table() -> None:
    parsed = parse_decision(load_sheet(SHEET, "decisions/tier.csv"), "decisions/tier.csv", digest="0")
    assert (parsed.name, parsed.hit, [row.id for row in parsed.rows]) == ("tier", "first", ["small", "eu"])
    assert decide(parsed, {"cents": 300, "country": "fr"}).output == {
        "action": "review",
        "bonus": 150.0,
        "matched": ["eu"],
    }
    assert decide(parsed, {"cents": 300, "country": "us"}).matched == ("otherwise",)


@pytest.mark.parametrize(
    ("old", "new", "line", "column"),
    [
        ("first,", "some,", 1, 1),
        ("in cents: integer 0..", "in cents: numbr", 1, 7),
        ("'de','fr'", "'de','gb'", 3, 5),
        ("< 100", "< ten", 2, 9),
        ("auto,0.5", "auto,much", 2, 20),
        ("eu,,", "eu,", 3, 1),
        ("otherwise,,,auto,0,", 'otherwise,,,"auto,0,', 4, 1),
    ],
)
def test_what_is_wrong_with_a_sheet_is_told_with_line_and_column(old: str, new: str, line: int, column: int) -> None:
    problem = only_problem(added("decisions/tier.csv", SHEET.replace(old, new, 1)))
    assert (problem.file, problem.line, problem.column) == ("decisions/tier.csv", line, column)


def test_the_output_of_a_decision_is_typed_for_later_steps() -> None:
    files = added("decisions/tier.csv", SHEET)
    step = "  tier:\n    decide: tier\n    with: {cents: 5, country: de}\n  reply:\n    when: tier.action == 'autoo'\n"
    files["workflows/hello.yaml"] = files["workflows/hello.yaml"].replace(b"  reply:\n", step.encode(), 1)
    assert "autoo" in only_problem(files).detail
    files["workflows/hello.yaml"] = files["workflows/hello.yaml"].replace(b"autoo", b"auto")
    assert set(load_project_files(files).decisions) == {"tier"}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, len(SHEET) - 1), st.text(max_size=4))
def test_a_damaged_sheet_is_a_located_problem(at: int, text: str) -> None:
    try:
        parse_decision(
            load_sheet(SHEET[:at] + text + SHEET[at + 1 :], "decisions/x.csv"), "decisions/x.csv", digest="0"
        )
    except DefinitionError as error:
        unplaced = [problem for problem in error.problems if not (problem.line and problem.column and problem.file)]
        if unplaced:
            raise AssertionError(unplaced) from error


def test_the_tables_of_the_reference_are_sound() -> None:
    snippets = [
        snippet for page in pages() for snippet in page.snippets if snippet.page == "docs/reference/decisions.md"
    ]
    texts = {snippet.language: snippet.text for snippet in snippets}
    yaml = parse_decision(load_document(texts["yaml"], "d.yaml"), "d.yaml", digest="0")
    sheet = parse_decision(load_sheet(texts["text"], "decisions/s.csv"), "decisions/s.csv", digest="0")
    assert (yaml.warnings, sheet.warnings) == ((), ())
    value = {"cents": 20_000, "country": "fr", "customer": {"vip": True}}
    assert decide(yaml, value).output == {"action": "auto", "limit": 20_000, "matched": ["vip"]}
