"""Compiles an `agent`: turns of a model and the calls that it chooses, made of the steps that there are.

An agent is a loop whose body the language already has. Each turn is an `ai` step that may choose calls, and the calls
are a `for` over `tool` and `retrieve` steps, of which each call runs the one that it names. So whatever holds for those
steps (policy, quotas, effects, recovery, labels, what data flow proves of them) holds for what an agent does.

    research[0]/turn                        what the model says: calls, or its answer
    research[0]/calls[0]/call_shop_get_order
    research[1]/turn                        sees what the calls gave, as `last`
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from signoff.core.labels import BOTTOM, Labels
from signoff.core.values import value
from signoff.workflows.bodies import Body
from signoff.workflows.contracts import find_contract
from signoff.workflows.documents import Node
from signoff.workflows.model import Contract, Expression, Read, Scope, Step
from signoff.workflows.reads import STATUS_FIELDS
from signoff.workflows.scopes import StepScope, step_nodes
from signoff.workflows.shapes import ANY, BOOLEAN, INTEGER, STRING, Shape, list_shape, object_shape, shape_of_schema
from signoff.workflows.templates import MappingTemplate

TURN = "turn"
"""The step of each turn that asks the model."""
CALLS = "calls"
"""The step of each turn that makes the calls."""
CALL = "call"
"""What a call is named inside: `tool`, `id` and `arguments`."""
MAX_OFFERED = 64
"""Tools of one agent; vendors take 128, and models choose worse among many."""

ENTRY_KEYS = ("tool", "with", "assert", "once", "retry", "timeout", "undo", "about")
RETRIEVE_KEYS = ("retrieve", "top", "retry", "timeout", "about")
TURN_SHAPE = object_shape(
    {
        "calls": list_shape([object_shape({"id": STRING, "tool": STRING, "arguments": ANY})]),
        "output": ANY,
        "over": BOOLEAN,
    }
)
"""What is read of a turn: the calls that it chose, or its answer."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNSPEAKABLE = re.compile(r"[^A-Za-z0-9_-]")


class ChosenTemplate(MappingTemplate):
    """A tool's arguments: some written by the author, the others chosen by the model, which may leave out any."""

    __slots__ = ("chosen",)

    def __init__(self, written: MappingTemplate, chosen: frozenset[str]) -> None:
        super().__init__(written.source, written.parts, written.shape)
        self.chosen = chosen

    def evaluate(self, scope: Scope) -> Any:
        """The object, without what the model left out."""
        given: Mapping[str, Any] = scope.value(CALL)["arguments"]
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
        """The call's id and tool, and the output."""
        call: Mapping[str, Any] = scope.value(CALL)
        found: dict[str, Any] = {}
        for name in self.steps:
            if scope.readable(name):
                found = scope.value(name)
        output = {name: item for name, item in found.items() if name not in STATUS_FIELDS}
        return {"id": call["id"], "tool": call["tool"], "output": output}

    def labels(self, scope: Scope) -> Labels:
        """The join over all of them: which one it was is known by the others' ends."""
        found = BOTTOM
        for name in (CALL, *self.steps):
            found = found.join(scope.labels(name, ()))
        return found


@value
class _Offer:
    """One entry of `tools`.

    Attributes:
        name: what the model calls it.
        step: the name of the step that makes the call.
        node: of that step.
        chosen: the arguments that the model chooses.
        fixed: the others: the author wrote them, or the engine fills them in.
    """

    name: str
    step: str
    node: Node
    target: Mapping[str, str]
    chosen: frozenset[str]
    fixed: tuple[str, ...]


class AgentCompiler:
    """Compiles one agent.

    Args:
        outer: the scope that it stands in.
        node: the step in the document.
        settings: its bounds, once they are asked for.
    """

    def __init__(self, outer: StepScope, node: Node) -> None:
        self._outer = outer
        self._node = node
        self._report = outer.shared.report

    def shape(self) -> Shape:
        """What it gives: the answer that its prompt's contract describes."""
        contract = find_contract(self._outer.shared, self._node.entries["agent"], "prompt", quiet=True)
        return ANY if contract is None else shape_of_schema(contract.output_schema)

    def compile(self, settings: Mapping[str, Any]) -> Body:
        """Its turns, what each gives to the next, and when it is over."""
        offers = self._offers()
        if not offers:
            return Body((), None, None, frozenset())  # what is wrong is in the report
        node, entries = self._node, self._node.entries
        turn = {"ai": entries["agent"], "on_error": _text(node, "fail")}
        turn |= {key: entries[key] for key in ("with", "retry") if key in entries}
        calls = {
            "for": _text(node, f"${{{TURN}.{CALLS}}}"),
            "as": _text(node, CALL),
            "at_once": _scalar(node, 1),
            "failures": _text(node, "collect"),
            "on_error": _text(node, "fail"),
            "give": _mapping(node, {}),
            "steps": _mapping(node, {offer.step: offer.node for offer in offers}),
        }
        holder = _mapping(node, {TURN: _mapping(node, turn), CALLS: _mapping(node, calls)})
        nodes = step_nodes(self._outer.shared, holder, "'agent'", self._outer.visible, self._outer.depth + 1)
        given: dict[str, Callable[[], Shape]] = {TURN: _turn, "last": _any, "index": _index}
        scope = self._outer.inside(holder, nodes, given)
        compiled = {step.name: step for step in scope.compile_all()}
        give = scope.values.template(
            _mapping(
                node,
                {
                    "output": _text(node, f"${{{TURN}.output}}"),
                    "results": _text(node, f"${{{CALLS}.items}}"),
                    "failed": _text(node, f"${{{CALLS}.failed}}"),
                },
            )
        )
        until = scope.values.condition(_text(node, f"{TURN}.over"))
        last = scope.values.template(_text(node, "${last}"))
        steps = tuple(_finished(step, offers, settings, last) for step in compiled.values())
        return Body(steps, give, until, scope.foreign())

    # --- what it may call ------------------------------------------------------------------------------------------

    def _offers(self) -> tuple[_Offer, ...]:
        listed, report = self._node.entries.get("tools"), self._report
        if listed is None:
            return ()  # told as a missing key
        if listed.kind != "list" or not listed.items:
            hint = "Write them as [shop.get_order, {tool: payments.refund, with: {order: …}}]."
            report.add(listed, "'tools' is a list of what it may call.", suggestion=hint, code="type")
            return ()
        if len(listed.items) > MAX_OFFERED:
            report.add(listed, f"An agent has at most {MAX_OFFERED} tools.", code="limit")
            return ()
        found: dict[str, _Offer] = {}
        for item in listed.items:
            offer = self._offer(item)
            if offer is None:
                continue
            if offer.name in found:
                report.add(item, f"'{offer.name}' is listed twice: it could not be told apart.", code="duplicate")
            found.setdefault(offer.name, offer)
        return tuple(found.values())

    def _offer(self, item: Node) -> _Offer | None:
        report = self._report
        entry = item if item.kind == "mapping" else _mapping(item, {"tool": item})
        verb = "retrieve" if "retrieve" in entry.entries else "tool"
        report.unknown_keys(entry, RETRIEVE_KEYS if verb == "retrieve" else ENTRY_KEYS, "an entry of 'tools'")
        named = entry.entries.get(verb)
        if named is None:
            hint = "Write 'tool' with one of the project's tools, or 'retrieve' with an index."
            report.add(entry, "This names no tool.", suggestion=hint, code="missing-key")
            return None
        target = report.text(named, f"What '{verb}' names")
        contract = find_contract(self._outer.shared, named, "index" if verb == "retrieve" else "tool")
        if contract is None:
            return None
        name = _UNSPEAKABLE.sub("_", target)[:64]
        return self._made(entry, verb, target, name, contract)

    def _made(self, entry: Node, verb: str, target: str, name: str, contract: Contract) -> _Offer:
        step = f"call_{re.sub(r'[^a-z0-9_]', '_', name.lower())}"[:64]
        entries = {key: item for key, item in entry.entries.items() if key in (*ENTRY_KEYS, *RETRIEVE_KEYS)}
        fixed, chosen = entry.entries.get("with"), dict[str, Node]()
        if verb == "retrieve":
            entries["query"] = _text(entry, f"${{{CALL}.arguments.query}}")
        else:
            written = dict(fixed.entries) if fixed is not None and self._report.mapping(fixed, "'with'") else {}
            properties = cast("Mapping[str, Any]", contract.input_schema.get("properties") or {})
            chosen = {
                key: _text(entry, _of_call(key)) for key in properties if key not in (*written, contract.key_argument)
            }
            entries["with"] = _mapping(fixed or entry, {**written, **chosen})
        entries["when"] = _text(entry, f"{CALL}.tool == '{name}'")
        entries["on_error"] = _text(entry, "fail")
        fixed_names = (*(() if fixed is None else fixed.entries), *filter(None, (contract.key_argument,)))
        return _Offer(name, step, _mapping(entry, entries), {verb: target}, frozenset(chosen), fixed_names)


def _finished(step: Step, offers: tuple[_Offer, ...], settings: Mapping[str, Any], last: Expression) -> Step:
    """A step of a turn, with what no document can say."""
    if step.name == TURN:
        offered = {offer.name: {**offer.target, "fixed": list(offer.fixed)} for offer in offers}
        bounds = {**step.settings, **settings, "tools": offered}
        return replace(step, arguments={**step.arguments, "last": last}, settings=bounds)
    by_step = {offer.step: offer for offer in offers}
    body = tuple(_chosen(inner, by_step[inner.name].chosen) for inner in step.body)
    most = settings.get("max_calls", 1)
    return replace(step, body=body, give=Answered(tuple(by_step)), settings={**step.settings, "max": most})


def _chosen(step: Step, chosen: frozenset[str]) -> Step:
    written = step.arguments.get("with")
    if not isinstance(written, MappingTemplate) or not chosen:
        return step
    return replace(step, arguments={**step.arguments, "with": ChosenTemplate(written, chosen)})


def _of_call(name: str) -> str:
    field = f".{name}" if _IDENTIFIER.fullmatch(name) else f"[{_quoted(name)}]"
    return f"${{{CALL}.arguments{field}}}"


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _turn() -> Shape:
    return TURN_SHAPE


def _any() -> Shape:
    return ANY


def _index() -> Shape:
    return INTEGER


def _scalar(at: Node, written: Any) -> Node:
    return Node("scalar", at.path, at.line, at.column, value=written)


def _text(at: Node, text: str) -> Node:
    return _scalar(at, text)


def _mapping(at: Node, entries: Mapping[str, Node]) -> Node:
    """A mapping that stands where `at` does; keys that are the author's keep their place."""
    keys = {key: at.keys.get(key, (item.line, item.column)) for key, item in entries.items()}
    return Node("mapping", at.path, at.line, at.column, entries=entries, keys=keys)


def turns_of(steps: tuple[Step, ...]) -> Iterator[Step]:
    """The steps that ask an agent's model, of those given."""
    return (step for step in steps if is_turn(step))


def is_turn(step: Step) -> bool:
    """Whether a step is an agent's turn."""
    return step.verb == "ai" and "tools" in step.settings
