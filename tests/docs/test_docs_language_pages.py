"""Each verb, key and code of the language has its page, and what a page says of a mistake is what the check says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.docs_pages import CHECKOUT, rows, words
from support.language_pages import language_pages, mistakes, problems_of, with_examples

from signoff.catalog.flow import require_flow
from signoff.catalog.projects import load_project_files
from signoff.workflows import load_document
from signoff.workflows.compiler import WORKFLOW_KEYS
from signoff.workflows.model import Step, Verb, every_step
from signoff.workflows.verbs import CALL_KEYS, COMMON_KEYS, VERBS

PAGES = sorted(language_pages())
OF_STEPS = {*COMMON_KEYS, *CALL_KEYS}
ELSEWHERE = {"needed", "once", "undo"}
"""Keys of one verb that the page of all steps tells where to find."""
SOURCE = CHECKOUT / "src" / "signoff"
CHECKER = [
    *(SOURCE / "workflows").glob("*.py"),
    *(SOURCE / "catalog" / name for name in ("outgoing_checks.py", "documents.py")),
]
UNSHOWN = {
    *("no-route", "unable-model", "unheard-filter", "fragment", "limit", "flow-review"),
    *("expression-limit", "duplicate", "duplicate-key", "yaml"),
}
"""Codes that no single line can show: files that are large, or broken, or elsewhere."""


def keys_of(name: str) -> list[str]:
    return [word for cells in rows(language_pages()[name].section("## Keys")) for word in words(cells[0])]


def test_every_verb_has_a_page_and_every_page_is_linked() -> None:
    assert set(PAGES) == {*VERBS, "steps", "workflow"}
    overview = (CHECKOUT / "docs/reference/language.md").read_text("utf-8")
    assert [name for name in PAGES if f"(language/{name}.md" not in overview] == []


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_key_of_a_verb_is_on_its_page(verb: Verb) -> None:
    own = {verb, *VERBS[verb].keys} - OF_STEPS
    listed = set(keys_of(verb))
    assert {*own} <= listed
    assert listed <= {*own, "timeout"}, "a wait says what a timeout leads to"


def test_every_key_of_steps_and_of_the_document_is_on_its_page() -> None:
    assert set(keys_of("steps")) >= OF_STEPS | ELSEWHERE
    assert keys_of("workflow") == list(WORKFLOW_KEYS)


@pytest.mark.parametrize("name", PAGES)
def test_the_example_of_a_page_passes_the_check(name: str) -> None:
    project = load_project_files(with_examples(name))
    require_flow(project)
    steps = [step for workflow in project.workflows.values() for step in every_step(workflow.steps)]
    assert name not in VERBS or any(_is(step, name) for step in steps)


def _is(step: Step, verb: str) -> bool:
    return step.verb == verb or (verb == "use" and step.verb == "do" and bool(step.target))


@pytest.mark.parametrize("name", PAGES)
def test_each_mistake_is_told_with_the_code_that_its_row_has(name: str) -> None:
    told = problems_of(name)
    wrong = {mistake.source: [problem.code for problem in found] for mistake, found in told.items()
             if mistake.code not in {problem.code for problem in found}}  # fmt: skip
    assert wrong == {}
    assert {mistake.code for mistake in mistakes(name) if not mistake.shown} <= UNSHOWN


def codes_of(path: Path) -> Iterator[str]:
    """What a module gives as `code=…`; the codes of expressions get their prefix."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        finding = function in {"Finding", "_find"}
        given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        given += node.args[3:4] if finding else []
        for value in given:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield f"expression-{value.value}" if finding else value.value


def test_every_code_that_the_checker_gives_is_on_a_page() -> None:
    listed = {mistake.code for name in PAGES for mistake in mistakes(name)}
    used = {code for path in CHECKER for code in codes_of(path)} | {"expression-type"}
    assert len(used) > 20
    assert sorted(used - listed) == []


def test_every_code_of_data_flow_is_named() -> None:
    modules = [*(SOURCE / "workflows/flow").glob("*.py"), SOURCE / "catalog/flow_policy.py"]
    used = {code for path in modules for code in re.findall(r'"(flow-[a-z]+)"', path.read_text("utf-8"))}
    text = language_pages()["steps"].text
    assert used
    assert [code for code in sorted(used) if f"`{code}`" not in text] == []


def test_a_page_says_of_every_mistake_what_to_do() -> None:
    for name in PAGES:
        for cells in rows(language_pages()[name].section("## Errors before anything runs")):
            _, _, remedy = cells
            assert len(remedy) > len("remedy"), cells
            source = words(cells[1])
            if source:
                load_document(source[0], name)
