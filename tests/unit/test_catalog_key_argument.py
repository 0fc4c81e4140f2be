"""A tool whose input schema refuses its own idempotency key would fail at every call: `signoff check` says so."""

from __future__ import annotations

import pytest

from signoff.catalog.projects import load_project_files
from signoff.core.errors import DefinitionError

TOOL = """tool: pay
about: Pays.
effect: write
http: {{method: POST, url: "http://127.0.0.1:1/pay"}}
input:
  type: object
  properties: {{n: {{type: integer, x-signoff: {{sink: any}}}}{more}}}
  required: [n]
  additionalProperties: false
output: {{type: object}}
idempotency: {{argument: key, recovery: resend}}
"""


def files(more: str) -> dict[str, bytes]:
    return {"signoff.yaml": b"project: keys\n", "tools/pay.yaml": TOOL.format(more=more).encode()}


def test_a_closed_schema_without_the_key_is_a_problem():
    with pytest.raises(DefinitionError) as caught:
        load_project_files(files(""))
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == ("tools/pay.yaml", 11)
    assert "takes no 'key'" in problem.detail


def test_a_schema_with_the_key_is_sound():
    more = ", key: {type: string, x-signoff: {sink: any}}"
    assert load_project_files(files(more)).tools["pay"].idempotency is not None
