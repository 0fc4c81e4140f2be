"""Which workflows may be checked apart from each other: none that depends on another of another part."""

from __future__ import annotations

from signoff.catalog.documents import read_documents
from signoff.catalog.parts import MIN_SHARE, parts_of
from signoff.catalog.projects import ProjectReader
from signoff.workflows.model import Contracts

SET = """\
workflow: {name}
version: 1.0.0
input: {{type: object}}
steps:
  a: {{{step}}}
outcome: {{fine: 'true'}}
"""


def documents(**steps: str) -> list[frozenset[str]]:
    """The parts, for two processes, of as many plain workflows as they are worth, and those."""
    plain = {f"plain{number}": "set: {a: 1}" for number in range(2 * MIN_SHARE)}
    texts = {f"workflows/{name}.yaml": SET.format(name=name, step=step) for name, step in (plain | steps).items()}
    return parts_of(read_documents(texts, Contracts(), []), 2)


def together(parts: list[frozenset[str]], *names: str) -> bool:
    return any({f"workflows/{name}.yaml" for name in names} <= part for part in parts)


def test_the_parts_are_all_of_it_and_of_one_size_and_the_same_each_time() -> None:
    first, second = documents()
    assert len(first) == len(second) == MIN_SHARE
    assert not first & second
    assert documents() == [first, second]


def test_what_calls_each_other_stays_together() -> None:
    parts = documents(a="call: b", b="call: c", c="set: {a: 1}", d="call: c")
    assert together(parts, "a", "b", "c", "d")


def test_what_has_to_do_with_events_stays_together() -> None:
    assert together(documents(a="emit: x.v1, payload: {}", b="wait: {event: x.v1}"), "a", "b")


def test_few_workflows_are_one_part() -> None:
    texts = {f"workflows/{n}.yaml": SET.format(name=f"w{n}", step="set: {a: 1}") for n in range(2 * MIN_SHARE - 1)}
    read = read_documents(texts, Contracts(), [])
    assert parts_of(read, 2) == [frozenset(texts)]
    assert parts_of([], 8) == [frozenset()]


def test_calls_in_fragments_count() -> None:
    files = {
        f"workflows/p{number}.yaml": SET.format(name=f"p{number}", step="set: {a: 1}").encode()
        for number in range(2 * MIN_SHARE)
    }
    files |= {
        "signoff.yaml": b"project: p\n",
        "fragments/f.yaml": b"fragment: f\nsteps: {g: {use: g}}\n",
        "fragments/g.yaml": b"fragment: g\nsteps: {c: {call: a}}\n",
        "workflows/z.yaml": SET.format(name="z", step="use: f").encode(),
        "workflows/a.yaml": SET.format(name="a", step="set: {a: 1}").encode(),
    }
    assert together(parts_of(ProjectReader(files).documents, 2), "a", "z")
