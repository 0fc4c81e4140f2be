"""The page of the kinds of models: its project passes the check, its limits are the code's."""

from __future__ import annotations

import pytest
from support.docs_pages import page, rows, words

from signoff.catalog.flow import require_flow
from signoff.catalog.models import LOCAL_LIMITS, PROVIDER_TASKS
from signoff.catalog.projects import load_project_files
from signoff.workflows.kinds import MODEL_KINDS
from signoff.workflows.model import every_step

NAME = "docs/reference/model-kinds.md"
HERE = [kind for kind in MODEL_KINDS if kind not in ("classify", "embed")]


def test_its_project_passes_the_check_with_an_example_of_each_kind() -> None:
    files = {snippet.title: snippet.text.encode() for snippet in page(NAME).snippets if snippet.title}
    project = load_project_files({"signoff.yaml": b"project: kinds\n", **files})
    require_flow(project)
    used = [step.target for each in project.workflows.values() for step in every_step(each.steps)]
    assert sorted(used) == sorted(HERE)


def test_each_kind_is_told_with_its_provider() -> None:
    table = rows(page(NAME).text)
    told = {words(cells[0])[0]: words(cells[1])[0] for cells in table if len(cells) == 4}
    assert list(told) == HERE
    assert all(kind in PROVIDER_TASKS[provider] for kind, provider in told.items())


@pytest.mark.parametrize("kind", HERE)
def test_each_member_is_named(kind: str) -> None:
    section = page(NAME).section(f"## {kind}")
    members = [*MODEL_KINDS[kind].input_schema["properties"], *MODEL_KINDS[kind].output_schema["properties"]]
    assert [name for name in members if f"`{name}`" not in section] == []


def test_limits_are_the_codes() -> None:
    told: dict[str, dict[str, tuple[int, int]]] = {}
    for cells in rows(page(NAME).section("## Limits")):
        told.setdefault(words(cells[0])[0], {})[words(cells[1])[0]] = (int(cells[2]), int(cells[3]))
    assert told == LOCAL_LIMITS
