"""Whatever stands in a project's files: problems with places, never a traceback, never past the limits."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.catalog_files import problems_of, template_files

from signoff.catalog import load_project_files
from signoff.core.errors import DefinitionError

PATIENCE_S = 20.0  # of a bomb, on a machine that does other things as well; one that went off would take hours

MORE = {
    "decisions/limits.yaml": """\
decision: limits
hit: first
input: {type: object, properties: {cents: {type: integer}}, required: [cents]}
output: {type: object, properties: {action: {enum: [auto, review]}}, required: [action]}
rules:
  - {id: small, when: {cents: "< 100, [200..300]"}, give: {action: auto}}
  - {id: odd, when: {cents: "${cents % 2 == 1}"}, give: {action: review}}
otherwise: {action: review}
""",
    "decisions/tier.csv": "first,in cents: integer 0..,out tier: gold|silver\na,< 100,silver\notherwise,,gold\n",
    "fragments/limited.yaml": """\
fragment: limited
parameters: {cents: {type: integer, default: 5}}
steps:
  limit: {decide: limits, with: {cents: "${given.cents}"}}
give: {action: "${limit.action}"}
""",
    "rules/small.yaml": """\
rule: small
input: {type: object, properties: {cents: {type: integer}}, required: [cents]}
conditions:
  - {id: cap, assert: cents <= 100, severity: review, message: Too much.}
""",
    "schedules/daily.yaml": """\
schedule: daily
workflow: many
cron: '0 6 * * *'
as: [operator]
input: {cents: 1}
""",
    "workflows/many.yaml": """\
workflow: many
version: 1.0.0
input: {type: object, properties: {cents: {type: integer}, note: {type: string}}, required: [cents]}
risk: high
goals: {share: 40%}
defaults: {tool: {retry: {times: 2}}}
attributes: {cents: "${input.cents}"}
steps:
  limit: {use: limited, with: {cents: "${input.cents}"}}
  tier: {decide: tier, with: {cents: "${input.cents}"}}
  kind: {model: classify, labels: [a, b], with: {text: "${input.?note.orValue('none')}"}}
  small: {check: small, with: {cents: "${input.cents}"}}
  each: {for: "${[1, 2]}", as: n, steps: {s: {set: {n: "${n * 2}"}}}, give: {n: "${s.n}"}}
  again: {repeat: {t: {set: {n: "${index}"}}}, until: t.n > 1, give: {n: "${t.n}"}}
  pause: {when: has(input.note) && kind.label == 'a', wait: 2s}
  both: {do: {u: {set: {a: 1}}}, give: {a: "${u.a}"}, on_error: {a: 0}}
outcome: {fine: {when: limit.done && tier.tier == 'gold', give: {n: "${both.a}"}}, other: 'true'}
""",
}


def project() -> dict[str, bytes]:
    return {**template_files(), **{name: text.encode() for name, text in MORE.items()}}


WHOLE = frozenset({"no-route", "encoding", "duplicate", "unknown-name", "empty", "limit"})
"""Codes of problems that are about a file as a whole, or about two of them."""


def told(files: dict[str, bytes], name: str) -> None:
    """Load; what is wrong is in a file, and at a place of it unless it is about the file as a whole."""
    try:
        load_project_files(files)
    except DefinitionError as error:
        assert error.problems  # noqa: PT017  (that it is raised at all depends on the example)
        lost = [problem for problem in error.problems if not problem.file]
        nowhere = [
            problem
            for problem in error.problems
            if problem.file == name
            and problem.line is None
            and problem.pointer is None
            and problem.code not in WHOLE
            and not name.endswith((".json", ".cedar"))
        ]
        if lost or nowhere:
            raise AssertionError([*lost, *nowhere]) from error


def test_the_corpus_is_sound() -> None:
    assert set(load_project_files(project()).workflows) == {"hello", "many"}


NAMES = sorted(name for name in project() if not name.endswith(".py"))
PIECES = st.sampled_from(
    [
        "",
        "\n",
        "  ",
        ": ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "'",
        '"',
        "${",
        "}",
        "#",
        "|",
        ">",
        "*a",
        "&a",
        "!t",
        "?",
        "\t",
        "null",
        "-1",
        "9" * 30,
        "1e999",
        "true",
        "input",
        "has(",
        "..",
        "%",
        "\0",
        "\ufeff",
        "é",
        "\u2028",
        ",",
        "@",
        "\r",
    ]
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_files_are_told_and_never_break_the_check(data: st.DataObject) -> None:
    files = project()
    name = data.draw(st.sampled_from(NAMES))
    text = files[name].decode()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 12))
        text = text[:at] + data.draw(PIECES) + text[at + cut :]
    told({**files, name: text.encode()}, name)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_lines_that_move_or_go_are_told(data: st.DataObject) -> None:
    files = project()
    name = data.draw(st.sampled_from(NAMES))
    lines = files[name].decode().splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 1))
    line = lines.pop(at)
    if data.draw(st.booleans()):
        lines.insert(data.draw(st.integers(0, len(lines))), " " * data.draw(st.integers(0, 3)) + line)
    told({**files, name: "".join(lines).encode()}, name)


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(NAMES))
def test_any_bytes_are_told(content: bytes, name: str) -> None:
    told({**project(), name: content}, name)


LOOP = "[1,2,3,4,5,6,7,8,9]"
BOMBS: dict[str, tuple[str, str]] = {
    "aliases that multiply": ("workflows/many.yaml", "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n"),
    "merges": ("workflows/many.yaml", "a: &a {x: 1}\nb: {<<: *a}\n"),
    "deep lists": ("workflows/many.yaml", "[" * 50_000),
    "deep mappings": ("decisions/limits.yaml", "".join(f"{' ' * at}a:\n" for at in range(1_200))),
    "deep flow mappings": ("fragments/limited.yaml", "{a: " * 20_000),
    "many values": ("rules/small.yaml", "a: [" + "1," * 30_000 + "1]\n"),
    "many keys": ("tools/replies.yaml", "".join(f"k{at}: 1\n" for at in range(30_000))),
    "a file that is too large": ("schedules/daily.yaml", "# " + "x" * 1_100_000 + "\n"),
    "a sheet that is too large": ("decisions/tier.csv", "first,in a: integer,out b: text\n" + "r,1,x\n" * 9_000),
    "a cell without end": ("decisions/tier.csv", 'first,in a: integer,out b: text\nr,"' + "not(" * 100_000 + '",x\n'),
    "nested quantifiers of a schema": (
        "schemas/message.json",
        '{"type": "object", "properties": {"text": {"pattern": "^(a+)+$"}, "name": {"type": "string"}}}',
    ),
    "a schema that is itself": ("schemas/message.json", '{"$ref": "#"}'),
    "a schema without end": ("schemas/message.json", '{"allOf": [' * 5_000),
    "an expression without end": (
        "workflows/many.yaml",
        MORE["workflows/many.yaml"].replace("t.n > 1", "t.n > " + "+".join(["1"] * 3_000)),
    ),
    "parentheses without end": (
        "workflows/many.yaml",
        MORE["workflows/many.yaml"].replace("t.n > 1", "(" * 1_500 + "true" + ")" * 1_500),
    ),
    "loops in loops": (
        "workflows/many.yaml",
        MORE["workflows/many.yaml"].replace(
            "t.n > 1", f"{LOOP}.all(a, {LOOP}.all(b, {LOOP}.all(c, {LOOP}.all(d, a + b + c + d > 0))))"
        ),
    ),
    "a template without end": ("prompts/sort-message.md", "---\nname: x\n---\n# user\n" + "{% if a %}" * 5_000),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_in_time(bomb: str) -> None:
    name, text = BOMBS[bomb]
    began = time.perf_counter()
    told({**project(), name: text.encode()}, name)
    assert time.perf_counter() - began < PATIENCE_S
    if bomb != "nested quantifiers of a schema":  # it is matched without backtracking, so it is no bomb
        assert problems_of({**project(), name: text.encode()})
