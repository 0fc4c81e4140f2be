"""What a plan tells of two projects: what answers are held to, and every file that is another."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from support.catalog_files import changed, template_files

from signoff.catalog import load_project_files
from signoff.catalog.delivery.differences import NOTHING, compare_projects
from signoff.catalog.registry.compatibility import heaviest
from signoff.catalog.registry.prompt_changes import compare_prompts
from signoff.catalog.registry.versions import parse_source

PROMPT = """---
name: answer
version: 1.0.0
purpose: Answers.
task: generate
input:
  type: object
  properties: {question: {type: string, maxLength: 500}, docs: {type: array}}
  required: [question, docs]
output:
  type: object
  properties:
    body: {type: string, maxLength: 900}
    citations: {type: array, items: {type: string, maxLength: 500}, maxItems: 5}
    confidence: {type: number, minimum: 0, maximum: 1}
  required: [body, citations, confidence]
# HERE
---
# user
{{ question }} {{ docs }}
"""


@pytest.mark.parametrize(
    ("before", "after", "bump", "told"),
    [
        ("", "rules: [{id: short, that: size(body) < 500}]", "minor", "rules.short is new"),
        ("rules: [{id: short, that: size(body) < 500}]", "", "major", "rules.short was removed"),
        (
            "rules: [{id: r, that: size(body) < 5}]",
            "rules: [{id: r, that: size(body) < 9}]",
            "major",
            "rules.r was size",
        ),
        (
            "rules: [{id: r, that: body != ''}]",
            "rules: [{id: r, that: body != '', severity: warn}]",
            "major",
            "is warn",
        ),
        ("rules: [{id: r, that: body != '', severity: warn}]", "", "patch", "rules.r was removed"),
        ("rules: [{id: r, that: body != ''}]", "rules: [{id: r, that: body != '', message: M}]", "patch", "message"),
        ("filters: [{filter: secrets}]", "", "major", "filters.secrets was removed"),
        ("", "filters: [{filter: secrets, field: body}]", "minor", "filters.secrets of body is new"),
        ("filters: [{filter: secrets}]", "filters: [{filter: secrets, verdict: warn}]", "major", "was block, is warn"),
        ("filters: [{filter: links}]", "filters: [{filter: links, hosts: [a.test]}]", "major", "with hosts a.test"),
        ("filters: [{filter: promises, words: [a]}]", "filters: [{filter: promises, words: [a, b]}]", "minor", "with"),
        ("citations: {from: docs}", "", "major", "citations need not be there"),
        ("citations: {from: docs}", "citations: {from: docs, least: 2}", "minor", "at least 2"),
        ("confidence: {signals: [own]}", "confidence: {signals: [own, completeness]}", "major", "other signals"),
        ("repair: {attempts: 1}", "repair: {attempts: 3}", "patch", "repair changed"),
        ("cache: false", "cache: true", "patch", "cache changed"),
    ],
)
def test_what_answers_are_held_to_is_part_of_the_contract(before: str, after: str, bump: str, told: str) -> None:
    old, new = (parse_source("prompts/answer.md", PROMPT.replace("# HERE", text)) for text in (before, after))
    changes = compare_prompts(old, new)
    assert heaviest(changes) == bump, changes
    assert told in "; ".join(f"{change.place} {change.detail}" for change in changes)


RULE = """rule: limits
about: Limits.
input: {type: object, properties: {cents: {type: integer}}, required: [cents]}
conditions: [{id: cap, assert: "cents <= 100", severity: review, message: Above.}]
"""
TABLE = """decision: fee
about: What it costs.
hit: first
input: {type: object, properties: {cents: {type: integer}}, required: [cents]}
output: {type: object, properties: {fee: {type: integer}}, required: [fee], additionalProperties: false}
rules:
  - {when: {cents: "< 100"}, give: {fee: 1}}
  - {give: {fee: 2}}
"""
CALIBRATION = """{"prompt": "p", "prompt_version": "1.0.0", "version": "x", "calibration": {"method": "platt"},
 "measured": {"cases": 40, "accuracy": 0.9, "ece_after": 0.02, "gates": {"0.95": {"threshold": 0.8}}}}"""
MORE: Mapping[str, bytes] = {
    "rules/limits.yaml": RULE.encode(),
    "decisions/fee.yaml": TABLE.encode(),
    "calibrations/p.json": CALIBRATION.encode(),
    "knowledge/faq/a.md": b"# Hours\n\nWe open at nine.\n",
    "knowledge/faq.yaml": b"about: Answers.\n",
}


@pytest.mark.parametrize(
    ("file", "old", "new", "kind", "told"),
    [
        ("signoff.yaml", "roles:", "filters: [{filter: secrets}]\nroles:", "file", "+filters: [{filter: secrets}]"),
        ("models.yaml", "use: [local/minilm]", "use: [local/minilm], cache: true", "file", "cache: true"),
        (
            "rules/limits.yaml",
            "cents <= 100",
            "cents <= 900",
            "rule",
            "condition cap was cents <= 100, is cents <= 900",
        ),
        ("rules/limits.yaml", "severity: review", "severity: warn", "rule", "condition cap was review, is warn"),
        ("decisions/fee.yaml", "fee: 2", "fee: 3", "decision", "+  - {give: {fee: 3}}"),
        ("calibrations/p.json", '"threshold": 0.8', '"threshold": 0.4', "calibration", "95% precision was 0.8, is 0.4"),
        ("knowledge/faq.yaml", "about", "trusted: true\nabout", "file", "+trusted: true"),
        (
            "tools/replies.yaml",
            "timeout: 5s",
            "filters: [{filter: secrets}]\ntimeout: 5s",
            "tool",
            "filters changed",
        ),
        ("tools/replies.py", "Hello", "Dear", "file", "Dear"),
        ("policies/hello.cedar", "// What this", "// What that", "file", "+// What that"),
    ],
)
def test_every_file_that_is_another_is_told(file: str, old: str, new: str, kind: str, told: str) -> None:
    files = {**template_files(), **MORE}
    text = files[file].decode()
    assert old in text, text
    models = files["models.yaml"] + b"  - {task: embed, use: [local/minilm]}\n"
    before = {**files, "models.yaml": models}
    after = {**before, file: before[file].decode().replace(old, new, 1).encode()}
    (change,) = compare_projects(load_project_files(before), load_project_files(after))
    assert (change.kind, change.action) == (kind, "changed")
    assert told in "; ".join(change.details)


def test_of_many_lines_the_first_are_shown() -> None:
    files = changed("signoff.yaml", "roles:", "".join(f"# {at}\n" for at in range(40)) + "roles:")
    (change,) = compare_projects(load_project_files(template_files()), load_project_files(files))
    assert (len(change.details), change.details[-1]) == (13, "… and 28 more lines")


def test_a_project_that_comes_is_told_once() -> None:
    project = load_project_files(template_files())
    assert {change.name for change in compare_projects(NOTHING, project) if change.kind == "file"} == {
        "tools/replies.py"
    }
    assert compare_projects(project, load_project_files(template_files())) == ()
