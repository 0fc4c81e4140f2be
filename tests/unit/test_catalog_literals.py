"""Texts that look like values are warned of: they are sent as they stand."""

from __future__ import annotations

from signoff.catalog import load_project_files
from signoff.catalog.literals import literal_warnings

WORKFLOW = """workflow: a
version: 1.0.0
input: {type: object, properties: {name: {type: string}}, required: [name]}
steps:
  first:
    set:
      meant: "${input.name}"
      path: input.name
      braces: "Dear {{ input.name }},"
      mixed: "${input.name} and {{name}}"
      inside: [{deep: first.meant}]
      text: shop.example
      sentence: See input.name for more.
outcome: {done: "true"}
"""


def test_texts_that_look_like_values_are_told_at_their_place() -> None:
    files = {"signoff.yaml": "project: a\n", "workflows/a.yaml": WORKFLOW}
    found = list(literal_warnings(load_project_files({name: text.encode() for name, text in files.items()})))
    assert [(one.code, one.line, one.column, one.suggestion) for one in found] == [
        ("literal", 8, 13, 'Write "${input.name}" for the value.'),
        ("literal", 9, 16, 'Write "${input.name}" for the value.'),
        ("literal", 10, 29, 'Write "${name}" for the value.'),
        ("literal", 11, 23, 'Write "${first.meant}" for the value.'),
    ]
    assert found[0].detail == "'input.name' is a text as it stands, not a value."
