"""What a model may call: the entries of `tools`, each made into the step that calls it.

What an entry's `with` names is the author's; the other arguments are the model's to choose. Those become expressions
over `call`, so that types, asserts and data flow see them like anything else that is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from signoff.core.labels import BOTTOM, Labels
from signoff.core.values import value
from signoff.workflows.contracts import find_contract
from signoff.workflows.documents import Node
from signoff.workflows.model import Contract, Expression, Read, Scope, Step
from signoff.workflows.reads import STATUS_FIELDS
from signoff.workflows.scopes import StepScope
from signoff.workflows.templates import MappingTemplate

CALL = "call"
"""What a call is named inside: `tool` and `arguments`."""
MAX_OFFERED = 64
"""Tools of one step; vendors take 128, and models choose worse among many."""

ENTRY_KEYS = ("tool", "with", "assert", "once", "retry", "timeout", "undo", "about")
RETRIEVE_KEYS = ("retrieve", "top", "retry", "timeout", "about")

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNSPEAKABLE = re.compile(r"[^A-Za-z0-9_-]")
_UNNAMEABLE = re.compile(r"[^a-z0-9_]")


class ChosenTemplate(MappingTemplate):
    """An object of which a model chose some members, and may have left out any of those.

    Attributes:
        chosen: the members that are the model's.
    """

    __slots__ = ("_at", "chosen")

    def __init__(self, written: MappingTemplate, chosen: frozenset[str], at: tuple[str, ...]) -> None:
        super().__init__(written.source, written.parts, written.shape)
        self.chosen = chosen
        self._at = at

    def evaluate(self, scope: Scope) -> Any:
        """The object, without what the model left out."""
        root, *path = self._at
        given: Any = scope.value(root)
        for name in path:
            given = given[name]
        return {
            key: entry.evaluate(scope) for key, entry in self.parts.items() if key not in self.chosen or key in given
        }


@value
class Answered:
    """What a call gave, by whichever step made it: an Expression."""

    steps: tuple[str, ...]

    @property
    def source(self) -> str:
        """There is nothing like it in documents."""
        return "what the call gave"

    @property
    def reads(self) -> tuple[Read, ...]:
        """The call, and every step that may have made it."""
        return (Read(CALL), *(Read(name, (), status_only=True) for name in self.steps))

    @property
    def parts(self) -> Mapping[str, Expression]:
        """It is known as a whole only."""
        return {}

    def evaluate(self, scope: Scope) -> Any:
        """The tool, and its output."""
        found: dict[str, Any] = {}
        for name in self.steps:
            if scope.readable(name):
                found = scope.value(name)
        output = {name: item for name, item in found.items() if name not in STATUS_FIELDS}
        return {"tool": scope.value(CALL)["tool"], "output": output}

    def labels(self, scope: Scope) -> Labels:
        """The join over all of them: which one it was is known by the others' ends."""
        found = BOTTOM
        for name in (CALL, *self.steps):
            found = found.join(scope.labels(name, ()))
        return found


@value
class Offer:
    """One entry of `tools`.

    Attributes:
        name: what the model calls it.
        step: the name of the step that makes the call.
        node: of that step.
        target: what it calls, by verb.
        chosen: the arguments that the model chooses.
        fixed: the others: the author wrote them, or the engine fills them in.
    """

    name: str
    step: str
    node: Node
    target: Mapping[str, str]
    chosen: frozenset[str]
    fixed: tuple[str, ...]


def offers_of(scope: StepScope, listed: Node | None) -> tuple[Offer, ...]:
    """The entries of `tools`; what is wrong with them is reported.

    Args:
        scope: where the step stands.
        listed: the value of `tools`; none where it is missing, which is told as a missing key.
    """
    report = scope.shared.report
    if listed is None:
        return ()
    if listed.kind != "list" or not listed.items:
        hint = "Write them as [shop.get_order, {tool: payments.refund, with: {order: …}}]."
        report.add(listed, "'tools' is a list of what may be called.", suggestion=hint, code="type")
        return ()
    if len(listed.items) > MAX_OFFERED:
        report.add(listed, f"A model is offered at most {MAX_OFFERED} tools.", code="limit")
        return ()
    found: dict[str, Offer] = {}
    for item in listed.items:
        offer = _offer(scope, item)
        if offer is None:
            continue
        if offer.step in found:
            report.add(item, f"'{offer.name}' is listed twice: it could not be told apart.", code="duplicate")
        found.setdefault(offer.step, offer)
    return tuple(found.values())


def settings_of(offers: Sequence[Offer]) -> dict[str, Any]:
    """What the step that asks the model must know of them, as plain data: by name what it is, and what is fixed."""
    return {offer.name: {**offer.target, "fixed": list(offer.fixed)} for offer in offers}


def chosen_step(step: Step, offers: Sequence[Offer]) -> Step:
    """The step of an offer, whose model may leave out what it chooses; any other step as it is."""
    offer = next((one for one in offers if one.step == step.name), None)
    written = step.arguments.get("with")
    if offer is None or not offer.chosen or not isinstance(written, MappingTemplate):
        return step
    template = ChosenTemplate(written, offer.chosen, (CALL, "arguments"))
    return replace(step, arguments={**step.arguments, "with": template})


def _offer(scope: StepScope, item: Node) -> Offer | None:
    report = scope.shared.report
    entry = item if item.kind == "mapping" else made_mapping(item, {"tool": item})
    verb = "retrieve" if "retrieve" in entry.entries else "tool"
    report.unknown_keys(entry, RETRIEVE_KEYS if verb == "retrieve" else ENTRY_KEYS, "an entry of 'tools'")
    named = entry.entries.get(verb)
    if named is None:
        hint = "Write 'tool' with one of the project's tools, or 'retrieve' with an index."
        report.add(entry, "This names no tool.", suggestion=hint, code="missing-key")
        return None
    target = report.text(named, f"What '{verb}' names")
    contract = find_contract(scope.shared, named, "index" if verb == "retrieve" else "tool")
    return None if contract is None else _made(scope, entry, verb, target, contract)


def spoken_name(target: str) -> str:
    """What a model calls a tool or an index: vendors take no dots."""
    return _UNSPEAKABLE.sub("_", target)[:64]


def step_name(name: str) -> str:
    """The name of the step that makes the calls of what a model calls so."""
    return f"call_{_UNNAMEABLE.sub('_', name.lower())}"[:64]


def _made(scope: StepScope, entry: Node, verb: str, target: str, contract: Contract) -> Offer:
    name = spoken_name(target)
    step = step_name(name)
    entries = {key: item for key, item in entry.entries.items() if key in (*ENTRY_KEYS, *RETRIEVE_KEYS)}
    fixed, chosen = entry.entries.get("with"), dict[str, Node]()
    if verb == "retrieve":
        entries["query"] = made_text(entry, _of_call("query"))
    else:
        written = dict(fixed.entries) if fixed is not None and scope.shared.report.mapping(fixed, "'with'") else {}
        taken = (*written, contract.key_argument)
        properties = cast("Mapping[str, Any]", contract.input_schema.get("properties") or {})
        chosen = {key: made_text(entry, _of_call(key)) for key in properties if key not in taken}
        entries["with"] = made_mapping(fixed or entry, {**written, **chosen})
    entries["when"] = made_text(entry, f"{CALL}.tool == '{name}'")
    entries["on_error"] = made_text(entry, "fail")
    fixed_names = (*(() if fixed is None else fixed.entries), *filter(None, (contract.key_argument,)))
    return Offer(name, step, made_mapping(entry, entries), {verb: target}, frozenset(chosen), fixed_names)


def _of_call(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    field = f".{name}" if _IDENTIFIER.fullmatch(name) else f"['{escaped}']"
    return f"${{{CALL}.arguments{field}}}"


# --- parts of a document that nobody wrote ----------------------------------------------------------------------------


def made_scalar(at: Node, written: Any) -> Node:
    """A value that stands where `at` does."""
    return Node("scalar", at.path, at.line, at.column, value=written)


def made_text(at: Node, text: str) -> Node:
    """A text that stands where `at` does."""
    return made_scalar(at, text)


def made_mapping(at: Node, entries: Mapping[str, Node]) -> Node:
    """A mapping that stands where `at` does; keys that are the author's keep their place."""
    keys = {key: at.keys.get(key, (item.line, item.column)) for key, item in entries.items()}
    return Node("mapping", at.path, at.line, at.column, entries=entries, keys=keys)
