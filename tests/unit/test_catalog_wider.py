"""A label that a tool does not take is told before a run meets it, where nothing stands in its way."""

from __future__ import annotations

import pytest

from signoff.catalog import load_project_files
from signoff.catalog.wider import wider_lists

TOOL = """tool: desk.move
about: Moves a ticket.
effect: none
http: {method: GET, url: "https://desk.example/x"}
input:
  type: object
  properties: {queue: {enum: [bug, question], type: string}, note: {type: string}}
  required: [queue]
  additionalProperties: false
output: {type: object}
"""
TABLE = """decision: tier
hit: first
input: {type: object, properties: {kind: {type: string, enum: [bug, question]}}, required: [kind]}
output: {type: object, properties: {tier: {type: string}}, required: [tier]}
rules: [{id: all, when: {kind: "'bug'"}, give: {tier: a}}]
otherwise: {tier: b}
"""
RULE = """rule: known
input: {type: object, properties: {kind: {type: string}}, required: [kind]}
conditions: [{id: k, assert: "kind in ['bug', 'question']", severity: block, message: Unknown.}]
"""
HEAD = """workflow: a
version: 1.0.0
input:
  type: object
  properties: {kind: {type: string, enum: [bug, question, spam]}, text: {type: string}}
  required: [kind, text]
steps:
"""
MOVE = 'move: {tool: desk.move, with: {queue: "${input.kind}"}}'


def told(*steps: str) -> list[tuple[int | None, int | None, str]]:
    text = HEAD + "".join(f"  {step}\n" for step in steps) + "outcome: {done: 'true'}\n"
    files = {"signoff.yaml": "project: a\n", "tools/desk.yaml": TOOL, "decisions/tier.yaml": TABLE}
    files |= {"rules/known.yaml": RULE, "workflows/a.yaml": text}
    project = load_project_files({name: content.encode() for name, content in files.items()})
    found = list(wider_lists(project, project.workflows["a"]))
    assert {one.code for one in found} <= {"wider-list"}
    return [(one.line, one.column, one.detail) for one in found]


def test_it_is_told_at_its_place() -> None:
    detail = "'queue' of 'desk.move' may be 'spam' here, and it takes 'bug' or 'question' only: such a run fails"
    assert told(MOVE) == [(8, 34, f"{detail} at this step.")]


@pytest.mark.parametrize(
    "steps",
    [
        ('t: {decide: tier, with: {kind: "${input.kind}"}}',),
        ('named: {set: {kind: "${input.kind}"}}', 'move: {tool: desk.move, with: {queue: "${named.kind}"}}'),
        ('each: {for: [1], as: n, steps: {move: {tool: desk.move, with: {queue: "${input.kind}"}}}, give: {n: 1}}',),
        ("w: {when: input.text == 'x', set: {a: 1}}", MOVE),
    ],
)
def test_tables_values_and_groups_too(steps: tuple[str, ...]) -> None:
    assert len(told(*steps)) == 1


@pytest.mark.parametrize(
    "steps",
    [
        ("move: {tool: desk.move, with: {queue: bug}}",),
        ('move: {tool: desk.move, with: {queue: "${input.text}"}}',),
        ("move: {when: \"input.kind in ['bug', 'question']\", tool: desk.move, with: {queue: \"${input.kind}\"}}",),
        ("move: {when: input.kind != 'spam', tool: desk.move, with: {queue: \"${input.kind}\"}}",),
        ('move: {tool: desk.move, assert: "input.kind != \'spam\'", with: {queue: "${input.kind}"}}',),
        ('move: {tool: desk.move, with: {queue: "${input.kind}"}, on_error: continue}',),
        ("w: {when: input.kind == 'spam', set: {a: 1}}", MOVE),
        (
            'k: {check: known, with: {kind: "${input.kind}"}}',
            'move: {requires: k, tool: desk.move, with: {queue: "${input.kind}"}}',
        ),
    ],
)
def test_it_is_not_told_where_it_may_be_taken_care_of(steps: tuple[str, ...]) -> None:
    assert told(*steps) == []
