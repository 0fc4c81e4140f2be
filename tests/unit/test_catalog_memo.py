"""Checking again with a memo gives what checking anew gives, whatever was changed in between."""

from __future__ import annotations

import pytest
from support.catalog_files import template_files

from signoff.catalog.flow import project_flow
from signoff.catalog.memo import Memo
from signoff.catalog.projects import load_project_files
from signoff.core.errors import DefinitionError

CALLER = """\
workflow: caller
version: 1.0.0
input: {type: object, properties: {text: {type: string}, name: {type: string}}, required: [text, name]}
steps:
  inner: {call: hello, with: {text: "${input.text}", name: "${input.name}"}}
  used: {use: named, with: {name: "${inner.outcome}"}}
outcome: {fine: {when: inner.outcome == 'answered', give: {n: "${used.n}"}}, other: 'true'}
"""
FRAGMENT = """\
fragment: named
parameters: {name: {type: string}}
steps:
  n: {set: {n: "${given.name + '!'}"}}
give: {n: "${n.n}"}
"""
CHANGES = {
    "nothing": ("signoff.yaml", "x", "x"),
    "a workflow": ("workflows/hello.yaml", "sorted.confidence < 0.6", "sorted.confidence < 0.7"),
    "an outcome that a caller reads": ("workflows/hello.yaml", "answered: reply.done", "done: reply.done"),
    "a prompt's contract": ("prompts/sort-message.md", "  praise:", "  thanks:"),
    "a prompt's text": ("prompts/sort-message.md", "{{ text }}", "{{ text }} "),
    "a tool": ("tools/replies.yaml", "label", "lable"),
    "a schema": ("schemas/message.json", '"name"', '"nome"'),
    "a policy": ("policies/hello.cedar", "permit", "forbid"),
    "a fragment": ("fragments/named.yaml", "'!'", "'?'"),
    "a fragment's parameter": (
        "fragments/named.yaml",
        "parameters: {name: {type: string}}",
        "parameters: {name: {type: integer}}",
    ),
    "the defaults": ("signoff.yaml", "roles:", "defaults: {ai: {timeout: 7s}}\nroles:"),
    "a broken document": ("workflows/caller.yaml", "version: 1.0.0", "version: ["),
}


def outcome(files: dict[str, bytes], memo: Memo | None) -> object:
    """Everything that a check tells of a project."""
    try:
        project = load_project_files(files, memo)
    except DefinitionError as error:
        return tuple(map(str, error.problems))
    digests = {name: workflow.digest for name, workflow in project.workflows.items()}
    return digests, tuple(map(str, project_flow(project, memo).problems))


@pytest.mark.parametrize("change", CHANGES)
def test_a_memo_changes_nothing_but_the_time(change: str) -> None:
    files = {**template_files(), "workflows/caller.yaml": CALLER.encode(), "fragments/named.yaml": FRAGMENT.encode()}
    name, old, new = CHANGES[change]
    assert change == "nothing" or old in files[name].decode()
    changed = {**files, name: files[name].replace(old.encode(), new.encode())}
    memo = Memo()
    before = outcome(files, memo)
    assert before == outcome(files, None)
    assert outcome(changed, memo) == outcome(changed, None)
    assert outcome(files, memo) == before


def test_what_is_as_it_was_is_not_made_again() -> None:
    memo = Memo()
    first, second = load_project_files(template_files(), memo), load_project_files(template_files(), memo)
    assert first.workflows["hello"] is second.workflows["hello"]
    assert next(iter(first.prompts)) is next(iter(second.prompts))
