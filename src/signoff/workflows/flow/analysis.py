"""The flow of data through a workflow, before anything runs: an abstract interpretation of its steps in their order.

For each step: what decided that it runs (`control`), what its data is made of, what is known where it acts, and what
decided how it ended. Loops are repeated to a fixpoint; a `call` analyses the called workflow with what it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from signoff.core.values import value
from signoff.workflows.concluding import settled_names
from signoff.workflows.expressions import CelExpression
from signoff.workflows.flow import outputs
from signoff.workflows.flow.contracts import Surroundings
from signoff.workflows.flow.expressions import value_of, whole_of
from signoff.workflows.flow.facts import Fact, Facts, listed_text
from signoff.workflows.flow.model import KNOWN, NOTHING, Atom, Flow, Hop, Value, join_flows, value_of_labels
from signoff.workflows.flow.places import Frame, Known, Place
from signoff.workflows.flow.reviewing import Presented, decided, presented
from signoff.workflows.graph import ranks
from signoff.workflows.model import LOOP_VERBS, Expression, Step, Workflow
from signoff.workflows.sources import DEFAULT_INPUT_LABELS
from signoff.workflows.templates import ListTemplate, MappingTemplate, TextTemplate

MAX_TURNS = 8
"""How often the body of a loop is looked at; there are few labels, so it settles before."""

MAX_CALLS = 8
"""Workflows that call one another; what is called deeper may give anything."""


@value
class StepFlow:
    """What the analysis found of one step.

    Attributes:
        step: the step.
        path: its place, such as `lines/pay` in a group.
        control: what decided that it runs.
        arguments: what it acts with, by key (`with`, `propose`, …), where everything that it asserts holds.
        value: what it gives.
        outcome: what decided how it ended.
        facts: what is known where it acts.
        frame: where it stands.
    """

    step: Step
    path: str
    control: Flow
    arguments: Value
    value: Value
    outcome: Flow
    facts: Facts
    frame: Frame

    def covering(self) -> Flow:
        """All that had a part in it: at least what a run's labels say of it."""
        return join_flows((self.control, self.arguments.whole(), self.value.whole()))


@dataclass(slots=True)
class FlowResult:
    """What the analysis found of a workflow.

    Attributes:
        steps: by path, in the order of the document.
        reviews: what each review shows, by the step's path.
        output: what a run gives, and what decided that.
        attributes: what the run is searched by, by name.
        calls: what each `call` was analysed as, by path.
    """

    workflow: Workflow
    steps: dict[str, StepFlow] = field(default_factory=dict[str, StepFlow])
    reviews: dict[str, Presented] = field(default_factory=dict[str, "Presented"])
    output: Value = KNOWN
    outcome: Flow = NOTHING
    attributes: dict[str, Flow] = field(default_factory=dict[str, Flow])
    calls: dict[str, FlowResult] = field(default_factory=dict[str, "FlowResult"])


def analyse(
    workflow: Workflow,
    surroundings: Surroundings,
    *,
    given: Value | None = None,
    control: Flow = NOTHING,
    depth: int = 0,
) -> FlowResult:
    """The flow of data through a workflow.

    Args:
        workflow: as compiled; of one in Python nothing is known.
        surroundings: what it names.
        given: its input, of one that is called; else as its schema says.
        control: what decided that it starts; an authenticated actor, where it is not called.
        depth: how many workflows called one another until this one was.
    """
    declared = value_of_labels(workflow.input_labels, DEFAULT_INPUT_LABELS, "input")
    start = declared if given is None else _as_declared(given, declared)
    result = FlowResult(workflow)
    top = Frame(surroundings, variables={"input": start}, control=control)
    analysis = _Analysis(surroundings, result, depth)
    analysis.scope(workflow.steps, top, "")
    place = Place(top, Facts())
    for outcome in workflow.outcomes:
        result.outcome = result.outcome.join(whole_of(outcome.condition, place).computed())
        matched = place.knowing(outcome.condition)
        result.output = result.output.join(value_of(outcome.give, matched))
    result.output = _chosen(result.output, settled_names(workflow), result.outcome)
    result.output = result.output.joined(control.join(result.outcome).secrecy())
    result.attributes = {item.name: whole_of(item.value, place) for item in workflow.attributes}
    return result


def _chosen(output: Value, settled: Iterable[str], outcome: Flow) -> Value:
    """What a run gives: which end it came to chose its values, but for those that all ends give alike."""
    fields = {name: value if name in settled else value.joined(outcome) for name, value in output.fields.items()}
    items = None if output.items is None else output.items.joined(outcome)
    return Value(output.flow.join(outcome), fields, items)


def _as_declared(given: Value, declared: Value) -> Value:
    """What is given, with at least the class that the schema says."""
    names = given.fields.keys() | declared.fields.keys()
    fields = {name: _as_declared(given.select((name,)), declared.select((name,))) for name in sorted(names)}
    items = None
    if given.items is not None or declared.items is not None:
        items = _as_declared(given.item(), declared.item())
    return Value(given.flow.join(declared.flow.secrecy()), fields, items)


class _Analysis:
    def __init__(self, surroundings: Surroundings, result: FlowResult, depth: int) -> None:
        self._surroundings = surroundings
        self._result = result
        self._depth = depth
        self._frames: dict[str, Frame] = {}

    def scope(self, steps: Sequence[Step], frame: Frame, prefix: str) -> None:
        """All steps of a scope, each after those that it waits for."""
        order = ranks({step.name: sorted(step.waits_for) for step in steps})
        for step in sorted(steps, key=lambda one: order[one.name]):
            frame.steps[step.name] = self._step(step, frame, prefix)

    def _step(self, step: Step, frame: Frame, prefix: str) -> Known:
        path = f"{prefix}{step.name}"
        start = Place(frame, frame.facts)
        place = start.with_facts(Facts(_inherited(step, frame)))
        when = whole_of(step.when, place)
        place = place.knowing(step.when)
        acting = place.knowing(*step.asserts)
        values = {key: value_of(expression, acting) for key, expression in step.arguments.items()}
        arguments = Value(NOTHING, values)
        control = join_flows((frame.control, when.computed(), *_waited_for(step, frame)))
        acted_on = (values[key].whole() for key in values if key != "show")
        used = join_flows((*acted_on, *(whole_of(check, place) for check in step.asserts)))
        used = used.join(whole_of(step.needed, acting)).computed()
        outcome = control.join(used)
        value, ended = self._output(step, path, acting, arguments, control)
        outcome = outcome.join(ended)
        how = f"{step.verb} {step.target}".rstrip()
        holds = acting.facts
        if step.error_mode in ("value", "steps"):
            instead = self._instead(step, path, place, outcome)
            value = value.join(instead).joined(outcome.computed())
            holds = place.facts
        value = value.joined(control.secrecy()).through(Hop(step.name, how, step.line))
        self._result.steps[path] = StepFlow(step, path, control, arguments, value, outcome, acting.facts, frame)
        return Known(step, value, outcome, holds)

    def _instead(self, step: Step, path: str, place: Place, outcome: Flow) -> Value:
        """What a step gives where it failed."""
        if step.error_mode == "value":
            return value_of(step.on_error, place)
        failed = {"error": Value(outcome.computed())}
        inner = Frame(self._surroundings, place.frame, failed, control=outcome.computed(), facts=place.facts)
        self.scope(step.fallback, inner, f"{path}/")
        return value_of(step.fallback_give, Place(inner, place.facts))

    def _output(self, step: Step, path: str, acting: Place, arguments: Value, control: Flow) -> tuple[Value, Flow]:
        """What a step gives, and what besides its data decides how it ends."""
        given = arguments.select(("with",))
        match step.verb:
            case "tool":
                tool = self._surroundings.tools.get(step.target)
                self._undo(step, path, acting, control)
                return outputs.of_tool(step, given, tool), NOTHING
            case "review":
                shown = self._result.reviews[path] = presented(step, acting)
                return decided(step, acting, shown), NOTHING
            case "set":
                return arguments.select(("set",)), NOTHING
            case "call":
                return self._call(step, path, given, control)
            case "for" | "repeat" | "agent" | "plan" | "do":
                return self._group(step, path, acting, arguments, control)
            case _:
                return outputs.of_verb(step, arguments, self._surroundings)

    def _undo(self, step: Step, path: str, acting: Place, control: Flow) -> None:
        """A compensation reads its own step's answer as `result`."""
        if step.undo is None:
            return
        own = outputs.of_own_effect(step, self._surroundings.tools.get(step.target))
        frame = Frame(self._surroundings, acting.frame, {"result": own}, control=control, facts=acting.facts)
        known = self._step(replace(step.undo, name="undo"), frame, f"{path}/")
        del known

    def _call(self, step: Step, path: str, given: Value, control: Flow) -> tuple[Value, Flow]:
        workflow = self._surroundings.workflows.get(step.target)
        if workflow is None or workflow.python is not None or self._depth >= MAX_CALLS:
            source = f"{step.name}.output"
            atom = Atom(source, raw=True, path=(Hop(source, f"call {step.target}", step.line),))
            flow = given.whole().computed().join(Flow(frozenset((atom,))))
            return Value(flow), flow
        inner = analyse(
            workflow,
            self._surroundings,
            given=_given_to(given),
            control=Flow(_released(control.atoms), control.data_class, control.residency),
            depth=self._depth + 1,
        )
        self._result.calls[path] = inner
        output = inner.output.joined(inner.outcome.secrecy())
        fields = {"output": output, "outcome": Value(inner.outcome.computed()), "run_id": KNOWN}
        ended = join_flows((inner.outcome, *(one.outcome for one in inner.steps.values()))).computed()
        return Value(NOTHING, fields), ended

    # --- groups ------------------------------------------------------------------------------------------------------

    def _group(self, step: Step, path: str, acting: Place, arguments: Value, control: Flow) -> tuple[Value, Flow]:
        if step.verb in LOOP_VERBS:
            return self._repeat(step, path, acting, arguments, control)
        if step.verb in ("do", "plan"):
            return self._body(step, path, acting, {}, control)
        items = arguments.select(("items",))
        item = items.item().joined(Flow(items.flow.atoms, items.flow.data_class, items.flow.residency))
        counted = items.flow
        varying = Flow(varies=frozenset((step.name,)))
        given = {step.settings["as"]: item.joined(varying), "index": Value(counted).joined(varying)}
        each, ended = self._body(step, path, acting, given, control.join(counted.computed()))
        ended = ended.join(counted.computed())
        each = each.outside(step.name)
        if step.settings["failures"] == "collect":
            each = each.joined(ended)
        fields = {"items": Value(counted, items=each), "count": Value(counted), "failed": Value(ended)}
        return Value(NOTHING, fields), replace(ended, varies=ended.varies - {step.name})

    def _repeat(self, step: Step, path: str, acting: Place, arguments: Value, control: Flow) -> tuple[Value, Flow]:
        last, again, ended = arguments.select(("start",)), NOTHING, NOTHING
        varying = Flow(varies=frozenset((step.name,)))
        each = KNOWN
        for _ in range(MAX_TURNS):
            given = {"last": last.joined(varying), "index": Value(again).joined(varying)}
            each, ended = self._body(step, path, acting, given, control.join(again.computed()))
            following = last.join(each)
            until = self._until(step, path, again)
            if following == last and until == again:
                break
            last, again = following, until
        stopped = again.computed()
        value = each.joined(stopped).outside(step.name)
        ended = ended.join(stopped)
        if step.verb == "agent":
            return value.select(("output",)), replace(ended, varies=ended.varies - {step.name})
        value = Value(value.flow, {**value.fields, "turns": Value(stopped).outside(step.name)}, value.items)
        return value, replace(ended, varies=ended.varies - {step.name})

    def _until(self, step: Step, path: str, again: Flow) -> Flow:
        inner = self._frames[path]
        return again.join(whole_of(step.until, Place(inner, inner.facts)))

    def _body(self, step: Step, path: str, acting: Place, given: dict[str, Value], control: Flow) -> tuple[Value, Flow]:
        """A body once: what it gives, and what decided how its steps ended."""
        inner = Frame(
            self._surroundings,
            acting.frame,
            given,
            control=control,
            loop=step.name if step.verb in ("for", *LOOP_VERBS) else "",
            facts=acting.facts,
        )
        self._frames[path] = inner
        self.scope(step.body, inner, f"{path}/")
        ended = join_flows(known.outcome for known in inner.steps.values())
        return value_of(step.give, Place(inner, inner.facts)), ended.computed()


def _given_to(given: Value) -> Value:
    """What a called workflow is given: a review of the caller endorses nothing in it."""
    fields = {name: _given_to(value) for name, value in given.fields.items()}
    items = None if given.items is None else _given_to(given.items)
    return Value(replace(given.flow, atoms=_released(given.flow.atoms)), fields, items)


def _released(atoms: Iterable[Atom]) -> frozenset[Atom]:
    return frozenset(replace(atom, review="", unreviewed="") for atom in atoms)


def _waited_for(step: Step, frame: Frame) -> Iterator[Flow]:
    """How the steps ended without which this one would not run: those that it requires, and whose data it reads."""
    for name in dict.fromkeys((*step.requires, *_read_by(step))):
        known = frame.step(name)
        if known is not None:
            yield known.outcome.computed()


def _expressions(step: Step) -> Iterator[Expression]:
    yield from (expression for key, expression in step.arguments.items() if key != "show")
    yield from (one for one in (step.when, step.needed, *step.asserts) if one is not None)


def _read_by(step: Step) -> Iterator[str]:
    for expression in _expressions(step):
        yield from (read.root for read in expression.reads if not read.status_only)


def _inherited(step: Step, frame: Frame) -> Iterator[Fact]:
    """What holds as the steps that this one needs are done (rules 3 and 5)."""
    named = [name for expression in _expressions(step) for name in definite(expression)]
    for name in dict.fromkeys((*step.requires, *named)):
        known = frame.step(name)
        if known is None:
            continue
        ends = frozenset(("approved", "not_needed") if known.step.verb == "review" else ("done",))
        yield Fact((name, ("result",)), "listed", listed_text(ends), ends)
        # A review that was not needed permits as well: what holds of it holds only where its data is read.
        if known.step.verb != "review" or name in named:
            yield Fact((name, ("done",)), "listed", "= true", frozenset((True,)))
            yield from known.holds


def definite(expression: Expression) -> Iterator[str]:
    """The roots without whose data an expression has no value, whichever way evaluation goes."""
    match expression:
        case CelExpression():
            yield from expression.definite
        case MappingTemplate():
            for part in expression.parts.values():
                yield from definite(part)
        case ListTemplate():
            for part in expression.items:
                yield from definite(part)
        case TextTemplate():
            for part in expression.reading:
                yield from definite(part)
        case _:
            return
