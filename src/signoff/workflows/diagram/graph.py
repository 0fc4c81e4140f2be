"""What a picture of a workflow shows: a box for each step, an edge for each reference, the ends it may have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from signoff.core.labels import DataClass, Trust
from signoff.workflows.agents import CALLS
from signoff.workflows.flow import FlowResult
from signoff.workflows.flow.facts import Facts
from signoff.workflows.flow.places import Place
from signoff.workflows.model import Expression, Outcome, Step, Workflow
from signoff.workflows.offers import CALL
from signoff.workflows.plans import STEPS

EdgeKind = Literal["data", "control", "requires", "after", "outcome"]
Taint = Literal["trusted", "confined", "untrusted"]
INPUT = "input"
MAX_SAID = 68
"""Characters of what a box says of one thing; it stands in two lines where it must."""

KINDS: Mapping[str, str] = {
    "ai": "model",
    "tool": "tool",
    "retrieve": "search",
    "check": "rules",
    "decide": "table",
    "review": "person",
    "emit": "event",
    "set": "values",
    "wait": "wait",
    "call": "workflow",
    "for": "for each",
    "repeat": "repeat",
    "agent": "agent",
    "plan": "plan",
    "do": "group",
}
"""What a box says a step is, by verb."""


@dataclass(frozen=True, slots=True)
class Box:
    """One box of the picture.

    Attributes:
        id: unique: the step's path; `input`; `→name` of an outcome.
        title: the step's name.
        kind: its verb; `effect` of a tool that changes the world; `input`, `outcome`.
        lines: what else is said in it, one a line.
        taint: who could choose what it gives.
        data_class: of what it gives.
        undo: the tool that takes its effect back; empty where there is none.
        inside: the boxes of a group.
    """

    id: str
    title: str
    kind: str
    lines: tuple[str, ...] = ()
    taint: Taint = "trusted"
    data_class: DataClass = DataClass.PUBLIC
    undo: str = ""
    inside: Diagram | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow: data that is read, a condition, what is required, or mere order."""

    source: str
    target: str
    kind: EdgeKind
    taint: Taint = "trusted"


@dataclass(frozen=True, slots=True)
class Diagram:
    """A picture, or the inside of a group."""

    title: str
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    about: str = ""
    notes: tuple[str, ...] = field(default=())


def diagram_of(workflow: Workflow, effects: frozenset[str] = frozenset(), flow: FlowResult | None = None) -> Diagram:
    """The picture of a workflow.

    Args:
        workflow: as compiled; one in Python shows its ends only.
        effects: the tools that change the world.
        flow: the analysis of its data flow, for the colours of the labels.
    """
    maker = _Maker(effects, flow)
    inner = maker.scope(workflow.steps, "")
    start = Box(INPUT, "input", "input", tuple(sorted(map(str, workflow.input_schema.get("properties") or {})))[:4])
    ends: list[Box] = []
    edges = list(inner.edges)
    for outcome in workflow.outcomes:
        ends.append(Box(f"→{outcome.name}", outcome.name, "outcome", (_cut(outcome.condition.source),)))
        edges += maker.end(outcome, workflow.steps)
    return Diagram(
        f"{workflow.name} {workflow.version}", (start, *inner.boxes, *ends), tuple(edges), about=workflow.about
    )


def _final(steps: Sequence[Step]) -> set[str]:
    return {step.name for step in steps} - {name for step in steps for name in step.waits_for}


class _Maker:
    def __init__(self, effects: frozenset[str], flow: FlowResult | None) -> None:
        self._effects = effects
        self._flow = flow

    def scope(self, steps: Sequence[Step], prefix: str) -> Diagram:
        names = {step.name for step in steps}
        boxes = tuple(self._box(step, prefix) for step in steps)
        known: set[str] = names if prefix else {*names, INPUT}
        edges: list[Edge] = []
        for step in steps:
            strongest: dict[str, EdgeKind] = {}
            for source, kind in _named(step):
                if source in known and source != step.name:
                    strongest.setdefault(source, kind)
            for source, kind in strongest.items():
                path = INPUT if source == INPUT else f"{prefix}{source}"
                edges.append(Edge(path, f"{prefix}{step.name}", kind, self._read(step, source, prefix)))
        return Diagram("", boxes, tuple(edges))

    def end(self, outcome: Outcome, steps: Sequence[Step]) -> Iterator[Edge]:
        """What an end gives is read from steps or the input; what it asks for is how steps ended."""
        names = {step.name for step in steps}
        given: dict[str, Trust] = {}
        place = (
            None
            if self._flow is None
            else next((Place(found.frame, Facts()) for path, found in self._flow.steps.items() if path in names), None)
        )
        for read in () if outcome.give is None else outcome.give.reads:
            if read.root in names or read.root == INPUT:
                read_trust = (
                    Trust.TRUSTED if place is None else place.read(read.root, read.path, guarded=False).whole().trust
                )
                given[read.root] = max(given.get(read.root, Trust.TRUSTED), read_trust)
        yield from (Edge(root, f"→{outcome.name}", "data", _taint(trust)) for root, trust in sorted(given.items()))
        # An end that asks for nothing comes when everything has ended: behind what nothing else waits for.
        asked = {read.root for read in outcome.condition.reads} & names or _final(steps)
        yield from (Edge(root, f"→{outcome.name}", "outcome") for root in sorted(asked - given.keys()))

    def _box(self, step: Step, prefix: str) -> Box:
        path = f"{prefix}{step.name}"
        kind = "effect" if step.verb == "tool" and step.target in self._effects else step.verb
        found = None if self._flow is None else self._flow.steps.get(path)
        taint: Taint = "trusted"
        data_class = DataClass.PUBLIC
        if found is not None:
            whole = found.value.whole()
            taint, data_class = _taint(whole.trust), whole.data_class
        inside = self._inside(step, path) if step.body else None
        undo = "" if step.undo is None else step.undo.target
        return Box(path, step.name, kind, tuple(_lines(step)), taint, data_class, undo, inside)

    def _inside(self, step: Step, path: str) -> Diagram:
        """The boxes of a group; of an agent and a plan what they may call, as which of it is called is for a model."""
        if step.verb == "agent":
            offered, prefix = next(inner for inner in step.body if inner.name == CALLS).body, f"{path}/{CALLS}/"
        elif _executes(step):
            offered, prefix = step.body[1:], f"{path}/"
        else:
            return self.scope(step.body, f"{path}/")
        found = (self._box(replace(inner, when=None), prefix) for inner in offered)
        named = zip(found, offered, strict=True)
        return Diagram("", tuple(replace(box, title=inner.target, lines=box.lines[1:]) for box, inner in named), ())

    def _read(self, step: Step, source: str, prefix: str) -> Taint:
        """The trust of what one step reads of another."""
        return _taint(max(self._trusts(step, source, prefix), default=Trust.TRUSTED))

    def _trusts(self, step: Step, source: str, prefix: str) -> Iterator[Trust]:
        found = None if self._flow is None else self._flow.steps.get(f"{prefix}{step.name}")
        if found is None:
            return
        place = Place(found.frame, found.facts)
        for expression in _all_expressions(step):
            for read in expression.reads:
                if read.root == source:
                    yield place.read(read.root, read.path, guarded=False).whole().trust
        for inner in step.body:
            yield from self._trusts(inner, source, f"{prefix}{step.name}/")


def _taint(trust: Trust) -> Taint:
    return "untrusted" if trust is Trust.UNTRUSTED else "confined" if trust is Trust.CONFINED else "trusted"


def _all_expressions(step: Step) -> Iterator[Expression]:
    yield from step.arguments.values()
    yield from (one for one in (step.when, step.needed, step.until, *step.asserts) if one is not None)


def _named(step: Step) -> Iterator[tuple[str, EdgeKind]]:
    """What a step names, the strongest reason first: required, read, asked in a condition, merely before."""
    for name in step.requires:
        yield name, "requires"
    for key, expression in step.arguments.items():
        if key != "show":
            yield from _roots(expression, "data")
    for expression in (*step.asserts, *(one for one in (step.when, step.needed) if one is not None)):
        yield from _roots(expression, "control")
    for name in step.after:
        yield name, "after"
    for inner in step.body:
        yield from _named(inner)
    if "show" in step.arguments:
        yield from _roots(step.arguments["show"], "data")


def _roots(expression: Expression, kind: EdgeKind) -> Iterator[tuple[str, EdgeKind]]:
    for read in expression.reads:
        yield read.root, kind


def _lines(step: Step) -> Iterator[str]:
    target = step.target
    if step.verb == "wait" and not target:
        target = f"{step.settings['duration_s']:g} s" if "duration_s" in step.settings else "a moment"
    if step.verb == "for":
        target = step.arguments["items"].source
    if target:
        yield _cut(target)
    if step.verb == "review" and step.settings.get("by"):
        yield _cut(f"by {step.settings['by']}")
    if step.when is not None:
        yield _cut(f"when {step.when.source}")
    if step.needed is not None:
        yield _cut(f"needed if {step.needed.source}")
    for check in step.asserts[:2]:
        yield _cut(f"assert {check.source}")
    if step.until is not None and step.verb == "repeat" and not _executes(step):
        yield _cut(f"until {step.until.source}")


def _executes(step: Step) -> bool:
    """Whether it is the step of a plan that makes the calls."""
    return step.verb == "repeat" and step.name == STEPS and step.body[0].name == CALL


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_SAID else f"{line[: MAX_SAID - 1]}…"
