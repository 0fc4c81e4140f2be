"""What authors have at hand: the published schema of the language, and one layout that changes no meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.catalog_files import template_files
from support.docs_pages import CHECKOUT
from support.group_cases import LINES, ORDER, POLL, document
from support.workflow_cases import REFUND

from signoff.catalog.formatting import format_text
from signoff.catalog.scaffold import create_project
from signoff.core.errors import DefinitionError
from signoff.core.schemas import check_schema, validate
from signoff.workflows import load_document
from signoff.workflows.language_schema import ABOUT_KEYS, ABOUT_VERBS, LANGUAGE_SCHEMAS
from signoff.workflows.verbs import VERBS

DOCUMENTS = {
    "refund": REFUND,
    "groups": document(ORDER + LINES + POLL),
    "template": template_files()["workflows/hello.yaml"].decode(),
    **{path.stem: path.read_text("utf-8") for path in (CHECKOUT / "examples").glob("*/workflows/*.yaml")},
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_compiles_meets_the_published_schema(name: str) -> None:
    assert validate(LANGUAGE_SCHEMAS["workflow"](), load_document(DOCUMENTS[name], name).plain()) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("risk: medium", "risk: middle"),
        ("    top: 5", "    top: 500"),
        ("    top: 5", "    topp: 5"),
        ("    ai: classify@^3", "    aii: classify@^3"),
        ("    ai: classify@^3", "    ai: classify@^3\n    tool: shop.get_order"),
        ("by: role/support-lead", "by: support-lead"),
    ],
)
def test_what_is_wrong_is_wrong_for_editors_too(old: str, new: str) -> None:
    assert old in REFUND
    assert validate(LANGUAGE_SCHEMAS["workflow"](), load_document(REFUND.replace(old, new, 1), "w").plain()) != []


def test_every_key_and_verb_is_described_to_editors() -> None:
    for make in LANGUAGE_SCHEMAS.values():
        assert check_schema(make()) == []
    steps: list[dict[str, Any]] = LANGUAGE_SCHEMAS["workflow"]()["$defs"]["step"]["oneOf"]
    assert [step["title"] for step in steps] == list(VERBS) == list(ABOUT_VERBS)
    assert [key for step in steps for key, part in step["properties"].items() if "description" not in part] == []
    known = {key for step in steps for key in step["properties"]} | set(LANGUAGE_SCHEMAS["workflow"]()["properties"])
    assert set(ABOUT_KEYS) - known == set()


def test_a_new_project_has_the_schemas_its_modelines_name(tmp_path: Path) -> None:
    create_project(tmp_path / "p", "hello")
    file = tmp_path / "p" / "workflows" / "hello.yaml"
    modeline = file.read_text().splitlines()[0]
    assert modeline.startswith("# yaml-language-server: $schema=")
    assert (file.parent / modeline.partition("=")[2]).resolve().is_file()


MESSY = """\
# the whole
a:   1   # one


b:
      - x
      -   y: "2"   # quoted


      - 'no'
c: {d:  [1,2]}
e: [f, {g: h}]
on: yes
t: |
  two
    lines

"""
NEAT = """\
# the whole
a: 1     # one

b:
  - x
  - y: "2"         # quoted

  - 'no'
c: {d: [1, 2]}
e: [f, {g: h}]
on: yes
t: |
  two
    lines
"""


def test_a_layout_keeps_comments_quotes_and_meaning() -> None:
    assert format_text("w.yaml", MESSY) == NEAT
    assert format_text("w.yaml", NEAT) == NEAT
    assert format_text("prompts/p.md", "x   \n\n\n") == "x   \n\n\n"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_are_laid_out_once(name: str) -> None:
    once = format_text("w.yaml", DOCUMENTS[name])
    assert format_text("w.yaml", once) == once
    assert load_document(once, "w").plain() == load_document(DOCUMENTS[name], "w").plain()
    assert once.count("#") == DOCUMENTS[name].count("#"), "no comment is lost"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(REFUND) - 1), st.text(alphabet=" \n:-#'\"{}[]|>ab", max_size=6))
def test_damaged_text_is_laid_out_with_its_meaning_or_refused(at: int, text: str) -> None:
    damaged = REFUND[:at] + text + REFUND[at + len(text) :]
    try:
        meant = load_document(damaged, "w.yaml").plain()
    except DefinitionError:
        with pytest.raises(DefinitionError):
            format_text("w.yaml", damaged)
        return
    assert load_document(format_text("w.yaml", damaged), "w.yaml").plain() == meant
