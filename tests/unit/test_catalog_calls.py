"""Workflows of one project call each other: names, inputs and outputs are checked, and endless calls are found."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from signoff.catalog.documents import compile_documents, contract_of, endless_calls, read_documents
from signoff.core.errors import Problem
from signoff.workflows import Workflow
from signoff.workflows.model import Contracts

HEAD = (
    "workflow: {name}\nversion: 1.0.0\ninput: {{type: object, properties: {{n: {{type: integer}}}}, required: [n]}}\n"
)


def document(name: str, steps: str, outcome: str = "outcome: {fine: 'true'}\n") -> str:
    return HEAD.format(name=name) + f"steps:\n{steps}{outcome}"


def loaded(**documents: str) -> tuple[Mapping[str, Workflow], list[Problem]]:
    problems: list[Problem] = []
    texts = {f"workflows/{name}.yaml": text for name, text in documents.items()}
    return compile_documents(read_documents(texts, Contracts(), problems), Contracts(), problems), problems


LEAF = document("leaf", "  x: {set: {m: 1}}\n", "outcome: {good: {when: x.done, give: {m: '${x.m}'}}}\n")


@pytest.mark.parametrize("file", ["a", "z"])
def test_what_a_called_workflow_gives_is_known_whatever_the_order_of_files(file: str) -> None:
    good = document("caller", "  s: {call: leaf, with: {n: 1}}\n  b: {set: {m: '${s.output.m + 1}'}}\n")
    assert loaded(**{file: good}, leaf=LEAF)[1] == []
    wrong = document("caller", "  s: {call: leaf, with: {n: 1}}\n  b: {set: {m: '${s.output.mm}'}}\n")
    [problem] = loaded(**{file: wrong}, leaf=LEAF)[1]
    assert (problem.file, problem.code, problem.suggestion) == (
        f"workflows/{file}.yaml",
        "expression-field",
        "Did you mean 'm'?",
    )


def test_a_broken_workflow_is_there_for_those_that_call_it() -> None:
    caller = document("caller", "  s: {call: leaf, with: {n: 1}}\n  b: {when: s.outcome == 'good', set: {m: 1}}\n")
    _, problems = loaded(caller=caller, leaf=LEAF.replace("m: 1}", "m: '${y}'}"))
    assert {problem.file for problem in problems} == {"workflows/leaf.yaml"}


def test_a_name_that_is_there_twice() -> None:
    found, problems = loaded(a=LEAF, b=LEAF)
    assert [(problem.file, problem.code) for problem in problems] == [("workflows/b.yaml", "duplicate")]
    assert found["leaf"].file == "workflows/a.yaml"


def test_the_digest_of_a_caller_covers_what_it_is_given() -> None:
    caller = document("caller", "  s: {call: leaf, with: {n: 1}}\n")
    before = loaded(caller=caller, leaf=LEAF)[0]["caller"].digest
    assert loaded(caller=caller, leaf=LEAF + "about: Other words.\n")[0]["caller"].digest == before
    assert loaded(caller=caller, leaf=LEAF.replace("good", "well"))[0]["caller"].digest != before
    assert loaded(caller=caller, leaf=LEAF.replace("give: {m:", "give: {k:"))[0]["caller"].digest != before


def test_a_contract_says_what_a_call_must_know() -> None:
    contract = contract_of(loaded(leaf=LEAF)[0]["leaf"])
    assert contract.outcomes == ("good",)
    assert contract.input_schema["required"] == ["n"]
    assert contract.output_schema["properties"] == {"m": {"type": "integer"}}


@pytest.mark.parametrize(
    ("steps", "endless"),
    [
        ("  s: {call: a, with: {n: 1}}\n", True),
        ("  s: {when: input.n > 1, call: a, with: {n: '${input.n - 1}'}}\n", False),
        ("  g: {do: {s: {call: a, with: {n: 1}}}}\n", True),
        ("  g: {when: input.n > 1, do: {s: {call: a, with: {n: 1}}}}\n", False),
        ("  g: {repeat: {s: {call: a, with: {n: 1}}}, until: 'true'}\n", True),
        ("  g: {for: [1], steps: {s: {call: a, with: {n: 1}}}, give: {}}\n", False),
        ("  s: {call: b, with: {n: 1}}\n", True),
    ],
)
def test_calls_that_never_end(steps: str, endless: bool) -> None:
    other = document("b", "  back: {call: a, with: {n: 1}}\n")
    found, problems = loaded(a=document("a", steps), b=other)
    assert problems == []
    told = endless_calls(found)
    assert [problem.code for problem in told] == (["cycle"] if endless else [])
    if endless:
        assert (told[0].file, told[0].line is not None) == ("workflows/a.yaml", True)
