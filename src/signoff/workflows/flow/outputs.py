"""What each verb gives: where data comes in that nobody chose for us, and what contracts vouch for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from signoff.core.labels import DataClass, Labels, Trust
from signoff.workflows.agents import is_turn
from signoff.workflows.flow.contracts import Surroundings, ToolFacts
from signoff.workflows.flow.facts import listed_text
from signoff.workflows.flow.model import KNOWN, MODEL, NOTHING, UNVOUCHED, Atom, Flow, Hop, Value
from signoff.workflows.kinds import MODEL_KINDS, classification
from signoff.workflows.model import Step
from signoff.workflows.plans import is_planner

MAX_SCHEMA_NESTING = 8
"""Objects and lists inside each other of an output that are told apart."""

MAX_LISTED = 12
"""Values of a closed list that are written out."""


def of_verb(step: Step, arguments: Value, surroundings: Surroundings) -> tuple[Value, Flow]:
    """What a step gives, and what besides its arguments decides how it ends; of verbs that need no more than these."""
    given = arguments.select(("with",)).whole()
    match step.verb:
        case "retrieve":
            return of_index(step, arguments.whole(), surroundings), NOTHING
        case "decide":
            return Value(given.computed()), NOTHING
        case "check":
            return of_check(given), NOTHING
        case "wait" if step.target:
            value = of_event(step, surroundings.event(step.target))
            return value, value.whole()
        case "wait" | "emit":
            return KNOWN, NOTHING  # that the moment has come, that it was sent: of ours
        case _:
            value = _answered(step, arguments.whole(), _answer_schema(step, surroundings))
            chosen = _planned if is_planner(step) else _turned if is_turn(step) else None
            return (value if chosen is None else chosen(value)), value.flow


def _answer_schema(step: Step, surroundings: Surroundings) -> Mapping[str, Any]:
    """The schema that a model's answer meets; nothing is known of what other verbs give."""
    if step.verb == "ai":
        prompt = surroundings.prompts.get(step.target)
        return {} if prompt is None else prompt.output_schema
    if step.verb != "model":
        return {}
    kind = MODEL_KINDS.get(step.target)
    contract = classification(step.settings.get("labels") or {}) if step.target == "classify" else kind
    return {} if contract is None else contract.output_schema


def _answered(step: Step, given: Flow, schema: Mapping[str, Any]) -> Value:
    """A model's answer: never trusted; where its contract has a closed list, it can choose from that list only.

    Every field of it may tell of all that the model read, so all have one class: that an answer is short, or one of two
    words, keeps no secret.
    """
    source = f"{MODEL}{step.name}"
    own = Atom(source, path=(Hop(source, f"{step.verb} {step.target}".rstrip(), step.line),))
    flow = replace(given.computed(), atoms=_untied(given).atoms | {own})
    return _by_schema(schema, flow, MAX_SCHEMA_NESTING)


def _turned(answer: Value) -> Value:
    """A turn of an agent: the calls that its model chose, freely, or an answer as of any model."""
    whole = answer.whole()
    return Value(whole, {"calls": Value(whole), "output": answer, "over": Value(whole)})


def _planned(answer: Value) -> Value:
    """What a model writes of a plan: its calls, as it chooses, beside an answer as of any model."""
    whole = answer.whole()
    return Value(whole, {**answer.fields, "steps": Value(whole)})


def of_index(step: Step, query: Flow, surroundings: Surroundings) -> Value:
    """Passages: as the index, chosen by the query."""
    flow = replace(query.computed(), data_class=max(query.data_class, DataClass.INTERNAL))
    if step.target not in surroundings.trusted_indexes:
        source = f"{step.name}.hits"
        flow = flow.join(Flow(frozenset((Atom(source, raw=True, path=(Hop(source, line=step.line),)),))))
    return Value(flow)


def of_tool(step: Step, given: Value, tool: ToolFacts | None) -> Value:
    """A tool's answer: what its contract vouches for, of the record that its arguments chose."""
    chosen = _choice(step, given, tool)
    secrecy = given.whole().secrecy()
    if tool is None:
        return Value(_unvouched(f"{step.name}.output", step).join(chosen).join(secrecy))
    return _vouched(tool, tool.output_schema, (), UNVOUCHED, step, chosen.join(secrecy))


def of_own_effect(step: Step, tool: ToolFacts | None) -> Value:
    """What `result` is in an `undo`: the answer about the very effect that is taken back, whatever chose it."""
    if tool is None:
        return Value(_unvouched("result", step))
    return _vouched(tool, tool.output_schema, (), UNVOUCHED, replace(step, name="result"), NOTHING)


def of_check(given: Flow) -> Value:
    """A rule set's findings: booleans, and texts of the project."""
    flow = given.computed()
    atoms = frozenset(
        replace(atom, trust=min(atom.trust, Trust.CONFINED), domain=atom.domain or "one of false, true")
        for atom in flow.atoms
    )
    boolean = Value(replace(flow, atoms=atoms))
    return Value(flow, {"passed": boolean, "review": boolean})


def of_event(step: Step, labels: Labels) -> Value:
    """An event from outside: whoever sent it has chosen it; its class is that of what the project emits so."""
    source = f"{step.name}.event"
    atom = Atom(source, raw=True, path=(Hop(source, f"event {step.target}", step.line),))
    flow = Flow(frozenset((atom,)), max(labels.data_class, DataClass.INTERNAL), labels.residency)
    return Value(NOTHING, {"event": Value(flow)})


def _choice(step: Step, given: Value, tool: ToolFacts | None) -> Flow:
    """What chose the record that a tool answers with; nothing, where no argument leaves anybody a choice."""
    flow = given.whole()
    if not flow.atoms:
        return NOTHING
    owner = "" if tool is None else tool.owner
    own = given.fields.get(owner) if owner else None
    tied = own is not None and all(atom.trust is Trust.TRUSTED or atom.owned for atom in own.whole().atoms)
    atoms: set[Atom] = set()
    for atom in flow.atoms:
        if atom.trust is Trust.TRUSTED or atom.owned:
            atoms.add(replace(atom, raw=False, review=""))
        elif tied:
            domain = f"a record of the {owner} that is given"
            atoms.add(
                replace(atom, trust=Trust.CONFINED, domain=domain, owned=True, ranged=False, raw=False, review="")
            )
        else:
            atoms.add(
                replace(atom, trust=Trust.UNTRUSTED, domain="", ranged=False, record=step.name, raw=False, review="")
            )
    return Flow(frozenset(atoms), varies=flow.varies)


def _unvouched(source: str, step: Step) -> Flow:
    hop = Hop(source, f"{step.verb} {step.target}", step.line)
    return Flow(frozenset((Atom(source, raw=True, path=(hop,)),)), UNVOUCHED.data_class, class_path=(hop,))


def _vouched(  # noqa: PLR0917  (a recursion with what stays the same)
    tool: ToolFacts, schema: Any, path: tuple[str, ...], above: Labels, step: Step, chosen: Flow
) -> Value:
    """By the contract's labels; elements of a list stand at the list's path."""
    members = members_of(schema)
    if "const" in members:
        return Value(chosen.secrecy())
    labels = tool.output_labels.get(path, above)
    source = ".".join((step.name, *path))
    flow = Flow(frozenset(), labels.data_class, labels.residency, class_path=(Hop(source, line=step.line),))
    if labels.trust is Trust.UNTRUSTED:
        flow = flow.join(_as_listed(members, _unvouched(source, step)))
    flow = flow.join(chosen)
    properties = members_of(members.get("properties"))
    if len(path) >= MAX_SCHEMA_NESTING:
        return Value(flow)
    fields = {name: _vouched(tool, inner, (*path, name), labels, step, chosen) for name, inner in properties.items()}
    items = members.get("items")
    inside = _vouched(tool, items, path, labels, step, chosen) if isinstance(items, Mapping) else None
    return Value(flow, fields, inside)


def _by_schema(schema: Any, flow: Flow, depth: int) -> Value:
    """Of an answer that meets a schema: a closed list confines a field, a number's range does not."""
    members = members_of(schema)
    if "const" in members:
        return KNOWN
    own = _as_listed(members, flow)
    if not depth:
        return Value(flow)
    properties = members_of(members.get("properties"))
    fields = {name: _by_schema(inner, flow, depth - 1) for name, inner in properties.items()}
    items = members.get("items")
    return Value(own, fields, _by_schema(items, flow, depth - 1) if isinstance(items, Mapping) else None)


def _as_listed(schema: Mapping[str, Any], flow: Flow) -> Flow:
    values: list[Any] = []
    if isinstance(schema.get("enum"), list):
        values = cast("list[Any]", schema["enum"])
    elif schema.get("type") == "boolean":
        values = ["false", "true"]
    if not values:
        return flow
    text = listed_text(values) if len(values) <= MAX_LISTED else f"one of {len(values)} values"
    atoms = frozenset(
        replace(atom, trust=Trust.CONFINED, domain=text, ranged=False) if atom.trust is Trust.UNTRUSTED else atom
        for atom in flow.atoms
    )
    return replace(flow, atoms=atoms)


def _untied(flow: Flow) -> Flow:
    """What a model makes of a record is no record of anybody."""
    atoms = frozenset(
        replace(atom, trust=Trust.UNTRUSTED, domain="", owned=False, ranged=False, raw=False, record="", review="")
        if atom.trust is not Trust.TRUSTED
        else atom
        for atom in flow.atoms
    )
    return replace(flow, atoms=atoms)


def members_of(schema: Any) -> Mapping[str, Any]:
    """A part of a schema as a mapping; an empty one of whatever is none."""
    return cast("Mapping[str, Any]", schema) if isinstance(schema, Mapping) else {}
