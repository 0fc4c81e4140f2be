"""Tests that the documentation names are there, and every rule of the engine names one."""

from __future__ import annotations

import ast
import re
from functools import cache

from support.docs_pages import CHECKOUT, page, pages, rows

NAMED = re.compile(r"\b(test_\w+\.py)(?:::(test_\w+))?")


@cache
def known_tests() -> dict[str, set[str]]:
    """The test functions of every test file, by the file's name."""
    return {
        path.name: {
            node.name
            for node in ast.parse(path.read_text("utf-8")).body
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
        }
        for path in (CHECKOUT / "tests").rglob("test_*.py")
    }


def test_tests_that_are_named_exist() -> None:
    missing = [
        f"{found.name}: {file}{'::' + name if name else ''}"
        for found in pages()
        for file, name in NAMED.findall(found.text)
        if file not in known_tests() or (name and name not in known_tests()[file])
    ]
    assert missing == []


def test_every_rule_of_the_engine_names_a_test_that_holds_it() -> None:
    rules = rows(page("docs/reference/engine-rules.md").text)
    assert len(rules) > 40
    assert [rule[0] for rule in rules if not NAMED.search(rule[2])] == []
