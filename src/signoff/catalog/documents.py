"""Compiles the workflow documents of a project together: each may call the others.

Two passes: the first reads what a document says of itself (name, input, outcomes), so that any may name any other,
whatever else is wrong with it; the second compiles each after those it calls, so that what they give is known.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from signoff.catalog.memo import Memo
from signoff.core.errors import DefinitionError, Problem
from signoff.core.values import value
from signoff.workflows.compiler import compile_with_uses
from signoff.workflows.documents import Node, load_document
from signoff.workflows.fragment_checks import check_fragments
from signoff.workflows.fragments import uses_in
from signoff.workflows.graph import find_cycle
from signoff.workflows.model import Contract, Contracts, Limits, Step, Workflow

ANY_OBJECT: Mapping[str, Any] = {"type": "object"}
"""What a workflow takes or gives as far as is known before it is compiled."""


@value
class Document:
    """A document of a workflow, read and not compiled.

    Attributes:
        name: the workflow's; empty where the document does not say it.
        contract: what it takes and its outcomes, as far as the document says so itself.
        calls: the names of the workflows that it calls, in its fragments too.
        size: of its text, in characters.
        events: it emits one or waits for one.
    """

    file: str
    node: Node
    name: str
    contract: Contract
    calls: tuple[str, ...]
    size: int
    events: bool


def read_documents(
    texts: Mapping[str, str], contracts: Contracts, problems: list[Problem], memo: Memo | None = None
) -> list[Document]:
    """Those documents, in the order of their files.

    Args:
        texts: by file.
        contracts: what they may name.
        problems: gets everything that is wrong.
        memo: what was read before, in this process.
    """
    memo = memo or Memo()
    read = [document for file in sorted(texts) if (document := _read(texts[file], file, contracts, problems, memo))]
    first: dict[str, Document] = {}
    for document in read:
        if document.name and first.setdefault(document.name, document) is not document:
            detail = f"The workflow '{document.name}' is in {first[document.name].file} already."
            suggestion = "Give one another name."
            problems.append(Problem(detail, document.file, suggestion=suggestion, code="duplicate"))
    return read


def compile_documents(
    documents: Sequence[Document],
    contracts: Contracts,
    problems: list[Problem],
    memo: Memo | None = None,
    part: Container[str] | None = None,
) -> dict[str, Workflow]:
    """The workflows of those documents, by name, in their order.

    Args:
        documents: of a project.
        contracts: what they may name; `workflows` are those of other kinds.
        problems: gets everything that is wrong.
        memo: what was compiled before, in this process.
        part: the files that are compiled, with all that they call; of the others only the heads are known.
    """
    memo = memo or Memo()
    first: dict[str, Document] = {}
    for document in documents:
        if document.name:
            first.setdefault(document.name, document)
    known = {**contracts.workflows, **{name: document.contract for name, document in first.items()}}
    found: dict[str, Workflow] = {}
    contracts = check_fragments(replace(contracts, workflows=known), problems)
    for document in _callees_first(documents, first):
        if part is not None and document.file not in part:
            found[document.name] = _head(document)
            continue
        try:
            workflow = _compile(document, replace(contracts, workflows=known), memo)
        except DefinitionError as error:
            problems += error.problems
            continue
        if first.get(workflow.name) is document:
            found[workflow.name] = workflow
            known[workflow.name] = contract_of(workflow)
    return {name: found[name] for name in first if name in found}


def _head(document: Document) -> Workflow:
    """A workflow of which nothing but what its document says of itself is known: others may name it."""
    return Workflow(
        name=document.name,
        version="",
        about="",
        owner="",
        risk="low",
        goals={},
        limits=Limits(),
        input_schema=document.contract.input_schema,
        steps=(),
        outcomes=(),
        digest="",
        file=document.file,
    )


def _compile(document: Document, contracts: Contracts, memo: Memo) -> Workflow:
    kept = memo.workflow(document.node, document.file, contracts)
    if kept is not None:
        return kept
    workflow, uses = compile_with_uses(document.node, document.file, contracts)
    memo.keep_workflow(document.node, document.file, workflow, uses)
    return workflow


def contract_of(workflow: Workflow) -> Contract:
    """What a `call` has to know of a workflow."""
    outcomes = tuple(outcome.name for outcome in workflow.outcomes)
    return Contract(workflow.input_schema, workflow.output_schema or ANY_OBJECT, outcomes=outcomes)


def endless_calls(workflows: Mapping[str, Workflow]) -> list[Problem]:
    """Workflows that call each other, or themselves, without a condition on the way: such a run never ends."""
    certain = {name: [call.target for call in _certain_calls(workflow.steps)] for name, workflow in workflows.items()}
    cycle = find_cycle(certain)
    if cycle is None:
        return []
    workflow, called = workflows[cycle[0]], cycle[1] if len(cycle) > 1 else cycle[0]
    step = next(step for step in _certain_calls(workflow.steps) if step.target == called)
    path = " → ".join([*cycle, cycle[0]])
    detail = f"This calls itself in every run, for ever: {path}."
    suggestion = "Give one of the calls a 'when' that ends it."
    return [Problem(detail, workflow.file, step.line, suggestion=suggestion, code="cycle")]


def _certain_calls(steps: tuple[Step, ...]) -> Iterator[Step]:
    """Calls that nothing in the document keeps from being made. A `for` may have no items, a fallback no failure."""
    for step in steps:
        if step.when is not None:
            continue
        if step.verb == "call":
            yield step
        elif step.verb in ("repeat", "do"):
            yield from _certain_calls(step.body)


def _read(text: str, file: str, contracts: Contracts, problems: list[Problem], memo: Memo) -> Document | None:
    try:
        node = memo.kept("document", file, text, problems, lambda: load_document(text, file))
    except DefinitionError as error:
        problems += error.problems
        return None
    entries = node.entries
    name = entries["workflow"].text if "workflow" in entries else None
    outcome, steps = entries.get("outcome"), entries.get("steps")
    outcomes = () if outcome is None else tuple(outcome.entries)
    contract = Contract(_input(entries.get("input"), contracts), ANY_OBJECT, outcomes=outcomes)
    nodes = () if steps is None else (steps, *_fragments_of(steps, contracts))
    calls = tuple(dict.fromkeys(called for part in nodes for called in _called(part)))
    return Document(file, node, name or "", contract, calls, len(text), any(map(_has_events, nodes)))


def _input(node: Node | None, contracts: Contracts) -> Mapping[str, Any]:
    if node is None:
        return ANY_OBJECT
    if node.kind == "mapping":
        return cast("dict[str, Any]", node.plain())
    return contracts.schemas.get(node.text or "", ANY_OBJECT)


def _called(node: Node) -> Iterator[str]:
    """Names that stand behind a `call` anywhere in the steps; one that is data only costs an order of compiling."""
    for key, named in node.entries.items():
        if key == "call" and named.text:
            yield named.text
        yield from _called(named)
    for item in node.items:
        yield from _called(item)


def _fragments_of(steps: Node, contracts: Contracts) -> Iterator[Node]:
    """The fragments that some steps use, and those that these use, each once."""
    to_see, seen = [name for name, _ in uses_in(steps)], set[str]()
    while to_see:
        name = to_see.pop()
        fragment = contracts.fragments.get(name)
        if fragment is not None and name not in seen:
            yield fragment.node
            to_see += [used for used, _ in uses_in(fragment.node)]
        seen.add(name)


def _has_events(node: Node) -> bool:
    """Whether something in it may emit an event or wait for one; data of that name only costs a look."""
    return (
        not {"emit", "wait"}.isdisjoint(node.entries)
        or any(map(_has_events, node.entries.values()))
        or any(map(_has_events, node.items))
    )


def _callees_first(documents: Sequence[Document], first: Mapping[str, Document]) -> list[Document]:
    """Every document once, after those that it calls; where they call each other, in the order of their files."""
    ordered: list[Document] = []
    begun: set[str] = set()
    for start in documents:
        stack = [(start, 0)]
        while stack:
            document, at = stack.pop()
            if at == 0:
                if document.file in begun:
                    continue
                begun.add(document.file)
            callee = first.get(document.calls[at]) if at < len(document.calls) else None
            if at < len(document.calls):
                stack.append((document, at + 1))
                if callee is not None:
                    stack.append((callee, 0))
            else:
                ordered.append(document)
    return ordered
