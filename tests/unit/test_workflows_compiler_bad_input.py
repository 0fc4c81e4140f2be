"""Any text at all compiles or has problems."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.workflow_cases import CONTRACTS, REFUND

from signoff.core.errors import DefinitionError
from signoff.workflows import compile_workflow

FILE = "workflows/refund.yaml"
SIGNS = [
    ":",
    "-",
    "{",
    "}",
    "[",
    "]",
    "\n",
    "  ",
    "'",
    '"',
    "${",
    "}",
    "&a",
    "*a",
    "!!x",
    "\t",
    "#",
    "|",
    ">",
    "%",
    "?",
    "\0",
]
WORDS = [
    "steps",
    "when",
    "null",
    "true",
    "1e9",
    "\ud83d",
    "é",
    "triage",
    ".done",
    "||",
    "input",
    "decision.result",
    "\\U99",
]
fragments = st.sampled_from([*SIGNS, *WORDS])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(REFUND)), st.integers(0, 12), fragments), min_size=1, max_size=4))
def test_a_mutated_document_compiles_or_has_problems(edits: list[tuple[int, int, str]]) -> None:
    text = REFUND
    for at, removed, added in edits:
        text = text[:at] + added + text[at + removed :]
    with suppress(DefinitionError):
        compile_workflow(text, FILE, CONTRACTS)


structures = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | fragments,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ai", "tool", "with", "set", "when", "undo", "retry", "review", "by", "show", "x"]), inner
        )
    ),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), structures), structures, structures)
def test_any_structure_compiles_or_has_problems(steps: Any, outcome: Any, given_input: Any) -> None:
    import json  # noqa: PLC0415  (JSON is YAML)

    document = {"workflow": "w", "version": "1.0.0", "input": given_input, "steps": steps, "outcome": outcome}
    with suppress(DefinitionError):
        compile_workflow(json.dumps(document), FILE, CONTRACTS)
