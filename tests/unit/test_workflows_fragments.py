"""Fragments, defaults, kinds of models and goals: expanded and typed at check time, mistakes told where they stand."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from support.catalog_files import added, only_problem, problems_of, template_files

from signoff.catalog import load_project_files
from signoff.core.errors import Problem
from signoff.workflows.model import Goal, Step, Workflow

FRAGMENT = """\
fragment: doubled
parameters:
  n: {type: integer}
  by: {type: integer, default: 2}
steps:
  product: {set: {n: "${given.n * given.by}"}}
give: {n: "${product.n}"}
"""
HEAD = """\
workflow: sums
version: 1.0.0
input: {type: object, properties: {n: {type: integer}, text: {type: string}}, required: [n, text]}
"""
USE = """\
steps:
  first: {use: doubled, with: {n: "${input.n}"}}
  product: {use: doubled, with: {n: "${first.n}", by: 3}}
outcome: {fine: {when: product.n > 0, give: {n: "${product.n}"}}}
"""
END = "outcome: {fine: 'true'}\n"


def files(workflow: str, fragments: Mapping[str, str] | None = None) -> dict[str, bytes]:
    found = added("workflows/sums.yaml", HEAD + workflow)
    for name, text in (fragments if fragments is not None else {"doubled": FRAGMENT}).items():
        found[f"fragments/{name}.yaml"] = text.encode()
    return found


def workflow(text: str, fragments: Mapping[str, str] | None = None) -> Workflow:
    return load_project_files(files(text, fragments)).workflows["sums"]


def where(problem: Problem) -> tuple[str | None, int | None, str | None]:
    return problem.file, problem.line, problem.code


def test_a_use_is_a_scope_with_its_parameters() -> None:
    found = workflow(USE)
    first, product = found.steps
    assert (first.verb, first.target, [step.name for step in first.body]) == ("do", "doubled", ["product"])
    assert set(first.arguments["with"].parts) == {"n", "by"}
    assert product.waits_for == {"first"}
    assert (first.body[0].file, first.body[0].line) == ("fragments/doubled.yaml", 6)
    assert found.output_schema["properties"]["n"] == {"type": "integer"}


def test_a_fragment_is_part_of_the_digest() -> None:
    other = FRAGMENT.replace("default: 2", "default: 4")
    assert workflow(USE).digest != workflow(USE, {"doubled": other}).digest


@pytest.mark.parametrize(
    ("old", "new", "line", "code", "told"),
    [
        ('use: doubled, with: {n: "${input.n}"}', "use: doubld, with: {n: 1}", 5, "unknown-name", "no fragment named"),
        ("by: 3", "by: three", 6, "type", "takes an integer"),
        ("by: 3", "times: 3", 6, "unknown-argument", "knows no 'times'"),
        ('n: "${input.n}"', "by: 1", 5, "missing-argument", "'n' is missing"),
        ("product.n > 0", "product.m > 0", 7, "expression-field", "no field 'm'"),
        ("product.n > 0", "given.n > 0", 7, "expression-name", "named 'given'"),
    ],
)  # fmt: skip
def test_a_wrong_use_is_told_where_it_is(old: str, new: str, line: int, code: str, told: str) -> None:
    problem = problems_of(files(USE.replace(old, new)))[0]
    assert where(problem) == ("workflows/sums.yaml", line, code)
    assert told in problem.detail


def test_a_broken_fragment_is_told_in_its_file_and_at_every_use() -> None:
    found = problems_of(files(USE, {"doubled": FRAGMENT.replace("given.by", "given.times")}))
    assert [where(problem) for problem in found] == [
        ("fragments/doubled.yaml", 6, "expression-field"),
        ("workflows/sums.yaml", 5, "fragment"),
        ("workflows/sums.yaml", 6, "fragment"),
    ]
    outside = problems_of(files(USE, {"doubled": FRAGMENT.replace("given.by", "input.n")}))
    assert where(outside[0]) == ("fragments/doubled.yaml", 6, "expression-name")


def test_fragments_that_use_themselves_are_refused() -> None:
    loop = "fragment: {0}\nsteps:\n  a: {{use: {1}}}\n"
    fragments = {"x": loop.format("x", "y"), "y": loop.format("y", "x")}
    found = problems_of(files("steps:\n  a: {use: x}\n" + END, fragments))
    assert where(found[0]) == ("fragments/x.yaml", 3, "cycle")
    assert "x → y → x" in found[0].detail
    assert where(found[-1]) == ("workflows/sums.yaml", 5, "fragment")


def test_fragments_cannot_multiply_or_nest_without_end() -> None:
    many = "".join(f"  s{number}: {{use: NEXT}}\n" for number in range(20))
    fragments = {f"b{at}": f"fragment: b{at}\nsteps:\n{many.replace('NEXT', f'b{at + 1}')}" for at in range(3)}
    fragments["b3"] = "fragment: b3\nsteps:\n  x: {set: {n: 1}}\n"
    found = problems_of(files("steps:\n  a: {use: b0}\n" + END, fragments))
    assert any(problem.code == "limit" and "500 steps" in problem.detail for problem in found)
    deep = {f"d{at}": f"fragment: d{at}\nsteps:\n  x: {{use: d{at + 1}}}\n" for at in range(8)}
    deep["d8"] = "fragment: d8\nsteps:\n  x: {set: {n: 1}}\n"
    found = problems_of(files("steps:\n  a: {use: d0}\n" + END, deep))
    assert any(problem.code == "limit" and "5 deep" in problem.detail for problem in found)


@pytest.mark.parametrize(
    ("old", "new", "line", "code"),
    [
        ("fragment: doubled\n", "fragment: Doubled!\n", 1, "name"),
        ("type: integer}\n  by", "type: integr}\n  by", 3, "schema"),
        ("default: 2", "default: two", 4, "value"),
        ("steps:", "step:", 5, "unknown-key"),
        ("give: {n:", "give: {done:", 7, "name"),
        ("product: {set", "given: {set", 6, "name"),
    ],
)
def test_a_wrong_fragment_is_told_where_it_stands(old: str, new: str, line: int, code: str) -> None:
    found = problems_of(files("steps:\n  a: {set: {n: 1}}\n" + END, {"doubled": FRAGMENT.replace(old, new, 1)}))
    assert ("fragments/doubled.yaml", line, code) in [where(problem) for problem in found]


# --- defaults --------------------------------------------------------------------------------------------------------


def step(found: Workflow, name: str) -> Step:
    return next(step for step in found.steps if step.name == name)


PROJECT = """
defaults:
  timeout: 20s
  retry: {times: 2}
  review: {by: role/reviewer}
  limits: {cost: 0.10 USD}
"""
DEFAULTED = """\
risk: high
defaults: {tool: {on_error: continue}, ai: {timeout: 5s}}
steps:
  sorted: {ai: sort-message@^1, with: {text: "${input.text}"}}
  look: {review: Look?}
  answer: {tool: replies.write, with: {name: a, label: "${sorted.label}"}, on_error: fail, retry: {times: 0}}
outcome: {fine: 'true'}
"""


def test_a_layer_wins_over_the_one_before_it() -> None:
    given = files(DEFAULTED)
    given["signoff.yaml"] += PROJECT.encode()
    found = load_project_files(given).workflows["sums"]
    assert (step(found, "sorted").timeout_s, step(found, "sorted").retry.times) == (5.0, 2)
    assert (step(found, "answer").timeout_s, step(found, "answer").retry.times) == (20.0, 0)
    assert (step(found, "answer").error_mode, step(found, "sorted").error_mode) == ("fail", "fail")
    assert step(found, "look").settings["by"] == "role/reviewer"
    assert step(found, "look").settings["expire"] == 7 * 86400
    assert found.limits.cost is not None
    assert (found.limits.cost.micro_usd, found.limits.time_s) == (100_000, 30 * 86400)
    without = load_project_files({**given, "signoff.yaml": given["signoff.yaml"].replace(b"20s", b"21s")})
    assert without.workflows["sums"].digest != found.digest


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("defaults: {timeout: soon}", "value"),
        ("defaults: {tool: {once: x}}", "unknown-key"),
        ("defaults: {tools: {timeout: 1s}}", "unknown-key"),
        ("defaults: {on_error: {value: 1}}", "value"),
        ("defaults: {for: {max: 0}}", "value"),
        ("defaults: {retry: {times: -1}}", "value"),
        ("defaults: none", "type"),
    ],
)
def test_wrong_defaults_are_told_where_they_stand(text: str, code: str) -> None:
    found = problems_of(files(f"{text}\nsteps:\n  a: {{set: {{n: 1}}}}\n{END}"))
    assert where(found[0]) == ("workflows/sums.yaml", 4, code)
    project = template_files()
    project["signoff.yaml"] += f"{text}\n".encode()
    lines = project["signoff.yaml"].count(b"\n")
    assert where(problems_of(project)[0]) == ("signoff.yaml", lines, code)


# --- models and goals ------------------------------------------------------------------------------------------------


def test_a_classification_is_typed_by_its_labels() -> None:
    text = """\
steps:
  kind: {model: classify, labels: {refund: wants money, other: anything}, with: {text: "${input.text}"}}
  seen: {when: kind.label == 'refnd', set: {sure: "${kind.confidence}"}}
"""
    problem = only_problem(files(text + END))
    assert (where(problem), problem.suggestion) == (
        ("workflows/sums.yaml", 6, "expression-constant"),
        "Did you mean 'refund'?",
    )
    assert step(workflow(text.replace("refnd", "refund") + END), "kind").settings["labels"] == {
        "refund": "wants money",
        "other": "anything",
    }


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("{model: rerank, with: {query: a}}", "missing-argument", "texts"),
        ("{model: clasify, with: {text: a}}", "unknown-name", "no models of the kind 'clasify'."),
        ("{model: classify, with: {text: a}}", "missing-key", "'labels' is missing"),
        ("{model: classify, labels: [one], with: {text: a}}", "limit", "2 to 200 labels"),
        ("{model: classify, labels: [a, b], with: {text: a, n: 1}}", "unknown-argument", "knows no 'n'"),
        ("{model: embed, labels: [a, b], with: {texts: [a]}}", "value", "Only 'model: classify'"),
    ],
)
def test_a_wrong_model_step_is_told(line: str, code: str, told: str) -> None:
    problem = problems_of(files(f"steps:\n  m: {line}\n{END}"))[0]
    assert where(problem) == ("workflows/sums.yaml", 5, code)
    assert told in problem.detail


def test_goals_are_numbers_with_a_side() -> None:
    text = "goals: {wrong: 0, automatic: 40%, resolve: 4h, cost: '<= 0.25 USD', answered: '>= 10'}\n"
    goals = workflow(text + "steps:\n  a: {set: {n: 1}}\n" + END).goals
    assert list(goals.values()) == [
        Goal("wrong", 0, "number", "at_most"),
        Goal("automatic", 0.4, "share", "at_least"),
        Goal("resolve", 14400, "seconds", "at_most"),
        Goal("cost", 0.25, "usd", "at_most"),
        Goal("answered", 10, "number", "at_least"),
    ]
    for wrong in ("many", "true", "[1]", "'= 3'", "1 EUR", "4 hours"):
        problem = only_problem(files(f"goals: {{g: {wrong}}}\nsteps:\n  a: {{set: {{n: 1}}}}\n{END}"))
        assert where(problem) == ("workflows/sums.yaml", 4, "value")
