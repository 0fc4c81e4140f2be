"""Whatever stands in a project's files: problems with places, never a traceback, never past the limits."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.bad_files import MORE, project, told
from support.catalog_files import problems_of

from signoff.catalog import load_project_files

PATIENCE_S = 20.0  # of a bomb, on a machine that does other things as well; one that went off would take hours


def test_the_corpus_is_sound() -> None:
    assert set(load_project_files(project()).workflows) == {"hello", "many", "coded"}


NAMES = sorted(project())
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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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


HEAD = "---\n{}---\n# user\n".format(project()["prompts/sort-message.md"].decode().split("---\n", 2)[1])
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
    "signs without end": ("workflows/coded.py", "a = " + "-" * 100_000 + "1\n"),
    "functions without end": ("tools/replies.py", "a = " + "lambda: " * 5_000 + "1\n"),
    "sums without end": ("workflows/coded.py", "a = " + "1+" * 200_000 + "1\n"),
    "brackets without end": ("tools/replies.py", "a = " + "(" * 5_000),
    "a policy without end": ("policies/all.cedar", "permit (principal, action, resource) when { " + "(" * 20_000),
    "a policy of signs": (
        "policies/all.cedar",
        '@id("a") permit (principal, action, resource) when { ' + "!" * 20_000 + "true };",
    ),
    "policies without number": ("policies/all.cedar", '@id("a") permit (principal, action, resource);\n' * 5_000),
    "templates that are too long": (
        "prompts/sort-message.md",
        HEAD + "{{ text }}" * 90_000,
    ),
    "filters without end": ("prompts/sort-message.md", HEAD + "{{ text" + "|upper" * 30_000 + " }}"),
    "conditions in conditions": (
        "prompts/sort-message.md",
        HEAD + "{% if text %}" * 95 + "{{ text }}" + "{% endif %}" * 95,
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
