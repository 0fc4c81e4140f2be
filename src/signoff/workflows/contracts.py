"""Finds what a step names: prompts, tools, indexes, rule sets and workflows; checks names and what is given to them."""

from __future__ import annotations

from collections.abc import Mapping

from signoff.workflows.arguments import check_fields
from signoff.workflows.documents import Node
from signoff.workflows.kinds import kind_contract
from signoff.workflows.model import Contract, Contracts, Expression, Verb
from signoff.workflows.report import Report
from signoff.workflows.scopes import Shared
from signoff.workflows.shapes import shape_of_schema
from signoff.workflows.uses import usable, use_contract
from signoff.workflows.values import shape_of
from signoff.workflows.verbs import VERBS, VerbKeys
from signoff.workflows.waits import EVENT_HINT, EVENT_TYPE, wait_target

_NO_TARGET = ("values", "items", "body")


def compile_target(report: Report, node: Node, verb: Verb, keys: VerbKeys) -> str:
    """What the verb names, which is always a constant; empty of a verb that names nothing."""
    value = node.entries[verb]
    if keys.target in _NO_TARGET:
        return ""
    if keys.target == "wait":
        return wait_target(report, value)
    target = report.text(value, f"What '{verb}' names")
    if "${" in target:
        hint = "Write a constant; what varies goes into the data."
        report.add(value, f"What '{verb}' names is fixed.", suggestion=hint, code="type")
    elif keys.target == "event" and target and not EVENT_TYPE.fullmatch(target):
        report.add(value, f"'{target}' cannot be an event's type.", suggestion=EVENT_HINT, code="name")
    return target


def contract_of(shared: Shared, node: Node, verb: Verb, *, quiet: bool = False) -> Contract | None:
    """The contract that a step names; none where its verb names none, or there is none (reported unless quiet)."""
    kinds: Mapping[str, str] = {
        "prompt": "prompt",
        "tool": "tool",
        "index": "index",
        "rules": "rule set",
        "decision": "decision",
        "workflow": "workflow",
    }
    target = VERBS[verb].target
    if target == "fragment":
        fragment = usable(shared, node, quiet=quiet)
        return None if fragment is None else use_contract(fragment)
    if target == "kind":
        return kind_contract(shared.report, node, quiet=quiet)
    return find_contract(shared, node.entries[verb], kinds[target], quiet=quiet) if target in kinds else None


def find_contract(shared: Shared, node: Node, what: str, *, quiet: bool = False) -> Contract | None:
    """The contract of that kind that a value of the document names."""
    name = node.text
    if not name or "${" in name:
        return None
    known = _known(shared.contracts, what)
    try:
        contract = known[name]
    except KeyError:
        if not quiet:
            shared.report.unknown(node, what, name, list(known))
        return None
    shared.named[(what, name)] = contract
    return contract


def known_contract(contracts: Contracts, kind: str, name: str) -> Contract | None:
    """The contract of that kind and name; none where there is none."""
    try:
        return _known(contracts, kind)[name]
    except KeyError:
        return None


def _known(contracts: Contracts, what: str) -> Mapping[str, Contract]:
    return {
        "prompt": contracts.prompts,
        "tool": contracts.tools,
        "index": contracts.indexes,
        "rule set": contracts.rules,
        "decision": contracts.decisions,
        "workflow": contracts.workflows,
    }[what]


def check_arguments(
    report: Report, node: Node, verb: Verb, arguments: Mapping[str, Expression], contract: Contract
) -> None:
    """Check what a step gives against what its contract takes."""
    expected = shape_of_schema(contract.input_schema)
    if verb == "retrieve":
        query, given = expected.get("query"), arguments.get("query")
        if query is not None and given is not None and not query.may_be(shape_of(given).kinds):
            report.add(node.entries["query"], f"A query is {query}, and this is {shape_of(given)}.", code="type")
        return
    taker = f"'{node.entries[verb].text}'"
    check_fields(report, node.entries.get("with", node), shape_of(arguments["with"]), expected, taker)
