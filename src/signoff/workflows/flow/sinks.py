"""Sinks: what may go where. Arguments need trust, effects need a cause, and regulated data may not go everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from signoff.core.labels import DataClass, Trust
from signoff.core.values import value
from signoff.workflows.flow.analysis import FlowResult, StepFlow, definite
from signoff.workflows.flow.contracts import DEFAULT_CLASS, Path, SinkTrust, Surroundings, ToolFacts
from signoff.workflows.flow.expressions import whole_of
from signoff.workflows.flow.findings import Finding, path_text, worst_path
from signoff.workflows.flow.model import NOTHING, Flow, Hop
from signoff.workflows.flow.outputs import members_of as _members
from signoff.workflows.flow.places import Place
from signoff.workflows.flow.reviewing import Presented
from signoff.workflows.offers import ChosenTemplate

SEARCHABLE_CLASS = DataClass.INTERNAL
"""The highest class of what is written where everybody sees it: search attributes, idempotency keys."""

_UNDO = "/undo"


@value
class Endorsing:
    """The reviews that a step requires, as far as it may rely on them.

    Attributes:
        values: those whose decided values are endorsed for it.
        causes: those that a person always decides before it runs.
        conditional: those that need not be decided by a person.
    """

    values: Mapping[str, Presented]
    causes: tuple[Presented, ...]
    conditional: tuple[Presented, ...]


def check_sinks(result: FlowResult, surroundings: Surroundings) -> Iterator[Finding]:
    """Everything that goes where it may not."""
    relied: dict[str, list[str]] = {}
    for flow in result.steps.values():
        if flow.step.verb == "tool" and (tool := surroundings.tools.get(flow.step.target)) is not None:
            checked = _ToolCheck(result, flow, tool)
            yield from checked.findings()
            if tool.effect:
                for review in checked.relied:
                    relied.setdefault(review, []).append(flow.path)
        yield from _classes(flow, surroundings)
    yield from _twice(result, relied)
    yield from _siblings(result, surroundings)
    for name, flow in result.attributes.items():
        if flow.data_class > SEARCHABLE_CLASS:
            word = flow.data_class.name.lower()
            detail = f"The attribute '{name}' shows {word} data to whoever lists runs and reads logs."
            yield Finding("flow-class", "", 0, detail, name, flow.class_path, "Search by something less sensitive.")


def endorsing(result: FlowResult, flow: StepFlow) -> Endorsing:
    """The reviews that a step may rely on: each is for one effect, so none from outside of a loop."""
    read = {name for expression in flow.step.arguments.values() for name in definite(expression)}
    values: dict[str, Presented] = {}
    causes: list[Presented] = []
    conditional: list[Presented] = []
    for name in flow.step.requires:
        known = flow.frame.step(name)
        if known is None or known.step.verb != "review":
            continue
        shown = next(one for path, one in result.reviews.items() if result.steps[path].step is known.step)
        if flow.frame.loops_to(name) or (shown.conditional and name not in read):
            conditional.append(shown)
            continue
        values[name] = shown
        if shown.needed is None:
            causes.append(shown)
        else:
            conditional.append(shown)
    return Endorsing(values, tuple(causes), tuple(conditional))


def uncaused(flow: StepFlow, grounds: Endorsing) -> Flow:
    """What outside had a part in that a step runs, without what a person saw and decided on."""
    atoms = frozenset(
        atom
        for atom in flow.control.atoms
        if atom.trust is not Trust.TRUSTED and not any(review.covers(atom) for review in grounds.causes)
    )
    return replace(flow.control, atoms=atoms)


class _ToolCheck:
    """The arguments, the cause and the quota of one call of a tool.

    Attributes:
        relied: the reviews without which it would not be sound.
    """

    def __init__(self, result: FlowResult, flow: StepFlow, tool: ToolFacts) -> None:
        self._flow = flow
        self._tool = tool
        self._grounds = endorsing(result, flow)
        self._cause = uncaused(flow, self._grounds)
        self.relied: set[str] = set()

    def findings(self) -> Iterator[Finding]:
        open_choice = False
        for path, sink in self._tool.sinks.items():
            if path[:1] and path[0] not in self._flow.arguments.select(("with",)).fields:
                continue
            flow = self._at(path, chosen=sink == "trusted")
            rest = self._unendorsed(flow)
            open_choice = open_choice or (self._is_amount(path) and bool(rest.atoms))
            yield from self._argument(path, sink, rest)
        if self._tool.effect and not self._flow.path.endswith(_UNDO):
            yield from self._trigger()
            yield from self._quota(open_choice=open_choice)

    def _at(self, path: Path, *, chosen: bool) -> Flow:
        """An argument; where it differs between iterations, with what chose which of them are acted on."""
        flow = self._flow.arguments.select(("with", *path)).whole()
        if not chosen:
            return flow
        inside = NOTHING
        for loop in flow.varies:
            begun = self._flow.frame.control_outside(loop).atoms
            inside = inside.join(Flow(self._cause.atoms - begun))
        return flow.join(inside.computed()) if inside.atoms else flow

    def _unendorsed(self, flow: Flow) -> Flow:
        """What is left where the reviews that it requires have been decided; checks that leave no choice count."""
        for atom in flow.atoms:
            if atom.review in self._grounds.values and atom.trust is not Trust.TRUSTED:
                self.relied.add(atom.review)
        atoms = frozenset(
            atom for atom in flow.atoms if atom.trust is not Trust.TRUSTED and atom.review not in self._grounds.values
        )
        return replace(flow, atoms=atoms)

    def _argument(self, path: Path, sink: SinkTrust, flow: Flow) -> Iterator[Finding]:
        name = ".".join(path)
        if sink == "trusted":
            bad = replace(flow, atoms=frozenset(atom for atom in flow.atoms if not atom.owned))
            if bad.atoms:
                yield self._bad_argument(name, bad)
        elif sink == "confined":
            bounded = self._within_schema(path, flow)
            bad = replace(flow, atoms=frozenset(atom for atom in bounded.atoms if atom.trust is Trust.UNTRUSTED))
            if bad.atoms:
                yield self._unconfined(name, bad)

    def _bad_argument(self, name: str, bad: Flow) -> Finding:
        tool = self._flow.step.target
        records = sorted({atom.record for atom in bad.atoms if atom.record})
        what = f"Untrusted input can choose '{name}' of '{tool}', which takes trusted values only."
        given = self._flow.step.arguments.get("with")
        if isinstance(given, ChosenTemplate) and name.partition(".")[0] in given.chosen:
            what = f"A model chooses '{name}' of '{tool}', which takes trusted values only."
            hint = f"Write it in 'with' of this entry of 'tools', as {{tool: {tool}, with: {{{name}: …}}}}."
            return self._finding("flow-argument", what, name, bad, hint)
        hint = "Take it from a trusted field of the input, or from a review that this step requires."
        if records:
            what = (
                f"Untrusted input can choose whose record '{name}' of '{tool}' is of: no trusted owner is tied to it."
            )
            hint = (
                f"Write 'owner' in the contract of the tool of '{records[0]}' and give it a trusted value,"
                " or assert that the record's owner is a trusted value."
            )
        return self._finding("flow-argument", what, name, bad, hint)

    def _unconfined(self, name: str, bad: Flow) -> Finding:
        detail = f"Untrusted input can set '{name}' of '{self._flow.step.target}' to anything: nothing confines it."
        hint = "Assert two bounds that are constants or trusted values, such as x > 0 && x <= order.refundable_cents."
        return self._finding("flow-confinement", detail, name, bad, hint)

    def _finding(self, code: str, detail: str, name: str, bad: Flow, hint: str) -> Finding:
        step = self._flow.step
        hop = Hop(f"{self._flow.path}.{name}", f"tool {step.target}", step.line)
        path = (*worst_path(bad), hop)
        skipped = sorted({atom.unreviewed for atom in bad.atoms if atom.unreviewed})
        review = next((one for one in self._grounds.conditional if one.review in skipped), None)
        if review is not None and review.needed is not None:
            detail += f" Nobody has to look where 'needed' of '{review.review}' is false."
            if review.needed.atoms:
                code, decides = "flow-review", path_text(worst_path(review.needed))
                detail += f" Untrusted input could remove that review: {decides}."
                hint = "Leave 'needed' out, or confine the value where nobody looks."
        return Finding(code, self._flow.path, step.line, detail, name, path, hint)

    def _is_amount(self, path: Path) -> bool:
        """Whether an argument is a confined number: what a quota counts."""
        numeric = self._schema(path).get("type") in ("integer", "number")
        return numeric and self._tool.sinks[path] == "confined"

    def _schema(self, path: Path) -> Mapping[str, Any]:
        schema: Any = self._tool.input_schema
        for key in path:
            schema = _property(schema, key)
        return _members(schema)

    def _within_schema(self, path: Path, flow: Flow) -> Flow:
        """What the tool's own input schema leaves: calls that break it are never made."""
        members = self._schema(path)
        low = any(key in members for key in ("minimum", "exclusiveMinimum"))
        high = any(key in members for key in ("maximum", "exclusiveMaximum"))
        if isinstance(members.get("enum"), list) or (low and high) or members.get("type") == "boolean":
            return replace(flow, atoms=frozenset(replace(atom, trust=Trust.CONFINED) for atom in flow.atoms))
        if members.get("type") in ("integer", "number"):
            return _ranged(flow, Trust.CONFINED) if low else flow
        # An order says nothing of a text.
        return _ranged(flow, Trust.UNTRUSTED)

    def _trigger(self) -> Iterator[Finding]:
        if self._tool.trigger == "any" or not self._cause.atoms:
            return
        step = self._flow.step
        detail = f"Untrusted data can cause '{step.target}', whose contract does not allow that."
        hint = "Put a review before it that a person always decides, or write 'trigger: any' in the tool's contract."
        path = (*worst_path(self._cause), Hop(self._flow.path, f"tool {step.target}", step.line))
        removable = [one for one in self._grounds.conditional if one.needed is not None and one.needed.atoms]
        code = "flow-trigger"
        if removable:
            code = "flow-review"
            decides = path_text(worst_path(removable[0].needed or NOTHING))
            detail += f" Untrusted input could remove the review '{removable[0].review}': {decides}."
        yield Finding(code, self._flow.path, step.line, detail, step.target, path, hint)

    def _quota(self, *, open_choice: bool) -> Iterator[Finding]:
        amounts = any(self._is_amount(path) for path in self._tool.sinks)
        forbidden = self._tool.trigger == "trusted" and self._cause.atoms
        if self._tool.quota or forbidden or not amounts or not (open_choice or self._cause.atoms):
            return
        step = self._flow.step
        detail = f"Untrusted data can cause '{step.target}' again and again: nothing limits what it may spend in all."
        hint = "Write a quota in the tool's contract: {per: customer, spend: cents, most: 20000, window: 1d}."
        bad = self._cause if self._cause.atoms else self._flow.arguments.select(("with",)).whole()
        path = (*worst_path(bad), Hop(self._flow.path, f"tool {step.target}", step.line))
        yield Finding("flow-quota", self._flow.path, step.line, detail, step.target, path, hint)


def _ranged(flow: Flow, trust: Trust) -> Flow:
    """A flow whose atoms in a range have that trust."""
    return replace(flow, atoms=frozenset(replace(a, trust=trust) if a.ranged else a for a in flow.atoms))


def _property(schema: Any, name: str) -> Any:
    members = _members(schema)
    while "properties" not in members and "items" in members:
        members = _members(members["items"])
    return _members(members.get("properties")).get(name)


def _twice(result: FlowResult, relied: Mapping[str, list[str]]) -> Iterator[Finding]:
    """A review is for one effect."""
    for review, paths in relied.items():
        for path in paths[1:]:
            step = result.steps[path].step
            detail = f"'{path}' relies on the review '{review}', which is used for '{paths[0]}' already."
            yield Finding(
                "flow-review", path, step.line, detail, review, (), "Let a person decide on it in a review of its own."
            )


def _siblings(result: FlowResult, surroundings: Surroundings) -> Iterator[Finding]:
    """Where untrusted data chooses which of several steps calls a tool, it chooses their trusted arguments."""
    by_tool: dict[str, list[StepFlow]] = {}
    for flow in result.steps.values():
        if flow.step.verb == "tool" and not flow.path.endswith(_UNDO):
            by_tool.setdefault(flow.step.target, []).append(flow)
    for target, flows in by_tool.items():
        tool = surroundings.tools.get(target)
        if tool is None or not tool.effect or len(flows) == 1:
            continue
        for path, sink in tool.sinks.items():
            name = ".".join(path)
            if sink != "trusted" or len(path) != 1:
                continue
            written = {_written(flow, name) for flow in flows}
            for flow in flows if len(written) > 1 else ():
                cause = uncaused(flow, endorsing(result, flow))
                if cause.atoms:
                    detail = (
                        f"Untrusted data chooses which step calls '{target}', and so its '{name}', which is trusted."
                    )
                    hint = "Choose by something trusted, or let a person decide in a review that each of them requires."
                    way = (*worst_path(cause), Hop(f"{flow.path}.{name}", f"tool {target}", flow.step.line))
                    yield Finding("flow-argument", flow.path, flow.step.line, detail, name, way, hint)


def _written(flow: StepFlow, name: str) -> str:
    given = flow.step.arguments.get("with")
    part = None if given is None else given.parts.get(name)
    return "" if part is None else part.source


# --- confidentiality --------------------------------------------------------------------------------------------------


def _classes(flow: StepFlow, surroundings: Surroundings) -> Iterator[Finding]:
    step, control = flow.step, flow.control.secrecy()
    if step.verb == "ai":
        prompt = surroundings.prompts.get(step.target)
        given = flow.arguments.whole().join(control)
        if prompt is not None and given.data_class > prompt.data_class:
            limit = prompt.data_class
            yield _class_finding(
                flow,
                given,
                limit,
                taker=f"the prompt '{step.target}'",
                word="with",
                hint="Raise its data_class, or give it less.",
            )
    if step.verb == "tool" and (tool := surroundings.tools.get(step.target)) is not None:
        for path in _class_paths(flow, tool):
            given = flow.arguments.select(("with", *path)).whole().join(control)
            limit = tool.classes.get(path, DEFAULT_CLASS)
            if given.data_class > limit:
                name = ".".join(path)
                word = given.data_class.name.lower()
                hint = f"Write 'x-signoff: {{class: {word}}}' at '{name}' of its input if it may have that."
                yield _class_finding(flow, given, limit, taker=f"'{name}' of '{step.target}'", word=name, hint=hint)
    if step.once is not None:
        given = whole_of(step.once, Place(flow.frame, flow.facts))
        if given.data_class > SEARCHABLE_CLASS:
            yield _class_finding(
                flow, given, SEARCHABLE_CLASS, taker="an idempotency key", word="once", hint="Use an id instead."
            )


def _class_paths(flow: StepFlow, tool: ToolFacts) -> Iterator[Path]:
    for name in flow.arguments.select(("with",)).fields:
        inner = [path for path in tool.classes if path[:1] == (name,) and len(path) > 1]
        yield from inner or [(name,)]


def _class_finding(flow: StepFlow, given: Flow, limit: DataClass, *, taker: str, word: str, hint: str) -> Finding:
    step = flow.step
    detail = f"{given.data_class.name.capitalize()} data can reach {taker}, which takes up to {limit.name.lower()}."
    path = (*given.class_path, Hop(f"{flow.path}.{word}", f"{step.verb} {step.target}".rstrip(), step.line))
    return Finding("flow-class", flow.path, step.line, detail, word, path, hint)


def check_reach(result: FlowResult) -> Iterator[Finding]:
    """Steps that can never run, as what they need contradicts itself; those that only follow from one are not told."""
    dead: set[str] = set()
    for path, flow in result.steps.items():
        clash = flow.facts.contradiction()
        if clash is None:
            continue
        dead.add(flow.step.name)
        if any(
            read.root in dead - {flow.step.name} for one in flow.step.arguments.values() for read in one.reads
        ) or dead & set(flow.step.requires):
            continue
        name = ".".join((clash[0].of[0], *clash[0].of[1]))
        detail = f"'{path}' can never run: it needs '{name}' {clash[0].text} and {clash[1].text} at once."
        yield Finding(
            "flow-never", path, flow.step.line, detail, flow.step.name, (), "Correct its condition, or take it out."
        )
