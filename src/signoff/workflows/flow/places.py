"""Where an expression stands: what it can see, what is known to hold there, and what decided that it is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from signoff.core.labels import Trust
from signoff.workflows.expressions import CelExpression
from signoff.workflows.flow.contracts import Surroundings
from signoff.workflows.flow.expressions import Selection, flow_of_tree, selected, value_of
from signoff.workflows.flow.facts import Fact, Facts, confined, learn
from signoff.workflows.flow.model import KNOWN, NOTHING, Flow, Value
from signoff.workflows.model import Expression, Step
from signoff.workflows.reads import STATUS_FIELDS
from signoff.workflows.templates import MappingTemplate

MAX_COPIES = 50
"""Copies of a value (`set` after `set`) that are followed to where it came from."""


@dataclass(slots=True)
class Known:
    """What is known of a step that was analysed: its data, how it may end, and what holds where it is done."""

    step: Step
    value: Value
    outcome: Flow
    holds: Facts


@dataclass(slots=True)
class Frame:
    """One scope: the document's own steps, a group's body, or the steps of an `on_error`.

    Attributes:
        variables: `input`, `result`, or what a group gives to its body.
        steps: those analysed so far.
        control: what decided that this scope exists.
        loop: the loop whose body it is; empty of others.
        facts: what holds wherever this scope exists.
    """

    surroundings: Surroundings
    parent: Frame | None = None
    variables: dict[str, Value] = field(default_factory=dict[str, Value])
    steps: dict[str, Known] = field(default_factory=dict[str, Known])
    control: Flow = NOTHING
    loop: str = ""
    facts: Facts = field(default_factory=Facts)

    def step(self, name: str) -> Known | None:
        """The step of that name, of this scope or one around it."""
        found = self.steps.get(name)
        return found if found is not None or self.parent is None else self.parent.step(name)

    def variable(self, name: str) -> Value | None:
        """The variable of that name."""
        found = self.variables.get(name)
        return found if found is not None or self.parent is None else self.parent.variable(name)

    def loops_to(self, name: str) -> bool:
        """Whether a loop lies between this scope and the one that holds a step."""
        if name in self.steps:
            return False
        return bool(self.loop) or (self.parent is not None and self.parent.loops_to(name))

    def control_outside(self, loop: str) -> Flow:
        """What decided that a loop around this scope was begun."""
        if self.loop == loop:
            return self.control
        return NOTHING if self.parent is None else self.parent.control_outside(loop)

    def owners(self) -> dict[str, str]:
        """The steps that look up records with an owner, with the field of their output that names it."""
        found = {} if self.parent is None else self.parent.owners()
        for name, known in self.steps.items():
            tool = self.surroundings.tools.get(known.step.target) if known.step.verb == "tool" else None
            if tool is not None and tool.owner in (tool.output_schema.get("properties") or {}):
                found[name] = tool.owner
        return found


class Place:
    """A place in a frame, where some facts hold: implements `Reading` and `Knowing`."""

    def __init__(self, frame: Frame, facts: Facts) -> None:
        self.frame = frame
        self.facts = facts
        self._tied: frozenset[str] | None = None

    def knowing(self, *conditions: Expression | None, truth: bool = True) -> Place:
        """The same place where these conditions hold as well, each learnt where those before it do."""
        place = self
        for condition in conditions:
            if isinstance(condition, CelExpression):
                place = Place(self.frame, place.facts.also(learn(condition.tree, place, truth=truth)))
        return place

    def with_facts(self, facts: Facts) -> Place:
        """The same place where these facts hold as well."""
        return Place(self.frame, self.facts.also(facts))

    # --- Reading -----------------------------------------------------------------------------------------------------

    def knows(self, root: str) -> bool:
        """Whether a name is a step or a variable here."""
        return self.frame.step(root) is not None or self.frame.variable(root) is not None

    def read(self, root: str, path: tuple[str, ...], *, guarded: bool) -> Value:
        """What is known of a field here."""
        known = self.frame.step(root)
        if known is None:
            value = (self.frame.variable(root) or KNOWN).select(path)
        elif path and path[0] in STATUS_FIELDS:
            return Value(known.outcome.computed())
        else:
            value = known.value.select(path)
            if guarded:
                value = value.joined(known.outcome.computed())
            elif not path:
                value = value.joined(known.outcome.secrecy())
        return self._known_here(value, (root, path))

    def _known_here(self, value: Value, selection: Selection) -> Value:
        if self._tied is None:
            self._tied = self.facts.tied(self.frame.owners())
        if self._tied:
            value = _tie(value, self._tied)
        facts = self.facts.of(self.canonical(selection))
        return Value(confined(value.flow, facts), value.fields, value.items) if facts else value

    # --- Knowing -----------------------------------------------------------------------------------------------------

    def flow_of(self, tree: Any) -> Flow:
        """Everything that had a part in the value of a tree."""
        return flow_of_tree(tree, self)

    def canonical(self, selection: Selection) -> Selection:
        """The value that a selection is a copy of, through `set` steps."""
        for _ in range(MAX_COPIES):
            part, rest = self._set_part(selection)
            copied = selected(part)
            if copied is None:
                break
            selection = copied[0], (*copied[1], *rest)
        return selection

    def meaning(self, selection: Selection, *, truth: bool) -> Sequence[Fact]:
        """What a boolean says that was made by a `set` or a `check`."""
        root, path = self.canonical(selection)
        part, rest = self._set_part((root, path))
        if isinstance(part, CelExpression) and not rest and selected(part) is None:
            return learn(part.tree, self, truth=truth)
        known = self.frame.step(root)
        if known is None or known.step.verb != "check":
            return ()
        if path == ("review",) and not truth:
            return self.rule_facts(known.step, ("review",))
        return self.rule_facts(known.step, ("block", "review")) if path == ("passed",) and truth else ()

    def rule_facts(self, step: Step, severities: tuple[str, ...]) -> list[Fact]:
        """What holds of the arguments of a `check` whose conditions of these severities hold."""
        rule, given = self.frame.surroundings.rules.get(step.target), step.arguments.get("with")
        if rule is None or not isinstance(given, MappingTemplate):
            return []
        inside = _RulePlace(self, given.parts)
        return [
            fact
            for expression, severity in rule.conditions
            if severity in severities and isinstance(expression, CelExpression)
            for fact in learn(expression.tree, inside, truth=True)
            if not fact.of[0].startswith("@")
        ]

    def _set_part(self, selection: Selection) -> tuple[Expression | None, tuple[str, ...]]:
        """What a field of a `set` is written as, and the fields behind it."""
        root, path = selection
        known = self.frame.step(root)
        if known is None or known.step.verb != "set" or known.step.error_mode in ("value", "steps") or not path:
            return None, ()
        given: Expression | None = known.step.arguments.get("set")
        while isinstance(given, MappingTemplate) and path:
            given, path = given.parts.get(path[0]), path[1:]
        return (None, ()) if isinstance(given, MappingTemplate) else (given, path)


class _RulePlace:
    """The conditions of a rule, which name the arguments of a `check`."""

    def __init__(self, place: Place, given: Mapping[str, Expression]) -> None:
        self._place = place
        self._given = given

    def knows(self, root: str) -> bool:
        return root in self._given

    def read(self, root: str, path: tuple[str, ...], *, guarded: bool) -> Value:
        del guarded
        return value_of(self._given[root], self._place).select(path)

    def flow_of(self, tree: Any) -> Flow:
        return flow_of_tree(tree, self)

    def canonical(self, selection: Selection) -> Selection:
        copied = selected(self._given.get(selection[0]))
        if copied is None:
            return f"@{selection[0]}", selection[1]
        return self._place.canonical((copied[0], (*copied[1], *selection[1])))

    def meaning(self, selection: Selection, *, truth: bool) -> Sequence[Fact]:
        del selection, truth
        return ()


def _tie(value: Value, tied: frozenset[str]) -> Value:
    """A value of records that are tied to a trusted owner: whoever chose the record had only that owner's to choose."""
    if not any(atom.record in tied for atom in value.whole().atoms):
        return value
    atoms = frozenset(
        replace(atom, trust=Trust.CONFINED, domain="a record of a trusted owner", owned=True, record="")
        if atom.record in tied and atom.trust is Trust.UNTRUSTED
        else atom
        for atom in value.flow.atoms
    )
    fields = {name: _tie(inner, tied) for name, inner in value.fields.items()}
    items = None if value.items is None else _tie(value.items, tied)
    return Value(replace(value.flow, atoms=atoms), fields, items)
