"""The examples of the language's pages compile, as they stand, against the contracts that tests have."""

from __future__ import annotations

from textwrap import indent

import pytest
from support.docs_pages import Snippet, pages
from support.group_cases import CONTRACTS, END, HEAD, ORDER

from signoff.workflows import compile_workflow

FOLDER = "docs/reference/language/"
SNIPPETS = [
    snippet
    for page in pages()
    for snippet in page.snippets
    if snippet.page.startswith(FOLDER) and snippet.language == "yaml" and snippet.title is None
]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=str)
def test_an_example_compiles(snippet: Snippet) -> None:
    whole = snippet.text.startswith("workflow:")
    text = snippet.text if whole else f"{HEAD}steps:\n{ORDER}{indent(snippet.text, '  ')}\n{END}"
    workflow = compile_workflow(text, snippet.page, CONTRACTS)
    assert len(workflow.steps) >= 1


def test_every_new_verb_has_an_example() -> None:
    text = "\n".join(snippet.text for snippet in SNIPPETS)
    assert all(
        f"{verb}:" in text for verb in ("for", "repeat", "do", "wait", "call", "retry", "on_error", "attributes")
    )
