"""What a person approved, and what goes out: an approval is of what the review showed, and of nothing else.

A step that requires a review sends nothing that outside had a part in unless the review proposed it, or showed it as it
is. Computing on it afterwards makes something else of it, which nobody saw; words that the document has around it are
its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from signoff.core.labels import Trust
from signoff.workflows.expressions import CelExpression
from signoff.workflows.flow.analysis import FlowResult, StepFlow
from signoff.workflows.flow.contracts import Surroundings
from signoff.workflows.flow.expressions import Selection, selected, value_of
from signoff.workflows.flow.findings import Finding, worst_path
from signoff.workflows.flow.model import Flow, Hop
from signoff.workflows.flow.places import Place
from signoff.workflows.flow.reviewing import Presented
from signoff.workflows.model import Expression
from signoff.workflows.templates import Constant, ListTemplate, MappingTemplate, TextTemplate

_SENT = {"tool": "with", "emit": "payload"}
"""Verbs by which something leaves, and the key that has it."""


def check_unseen(result: FlowResult, surroundings: Surroundings) -> Iterator[Finding]:
    """Each value that leaves with an approval, and that the approving review did not show."""
    for flow in result.steps.values():
        key = _SENT.get(flow.step.verb)
        tool = surroundings.tools.get(flow.step.target)
        if key is None or (flow.step.verb == "tool" and (tool is None or not tool.effect)):
            continue
        required = _required(result, flow)
        given = flow.step.arguments.get(key)
        if required and given is not None:
            # Trusted and confined arguments have rules of their own: `sinks.py`.
            held = () if tool is None else (path[0] for path, sink in tool.sinks.items() if sink != "any")
            yield from _Sent(flow, required, frozenset(held)).findings(given)


def _required(result: FlowResult, flow: StepFlow) -> Mapping[str, Presented]:
    """The reviews that a step requires, by name: what they show stands for what a person approved."""
    found: dict[str, Presented] = {}
    for name in flow.step.requires:
        known = flow.frame.step(name)
        for path, shown in result.reviews.items():
            if known is not None and result.steps[path].step is known.step:
                found[name] = shown
    return found


class _Sent:
    def __init__(self, flow: StepFlow, required: Mapping[str, Presented], held: frozenset[str]) -> None:
        self._flow = flow
        self._required = required
        self._held = held
        self._place = Place(flow.frame, flow.facts)
        self._shown = frozenset(one for review in required.values() for one in review.shown)

    def findings(self, given: Expression) -> Iterator[Finding]:
        """One for each argument of which something was not shown."""
        parts = given.parts or {"": given}
        for name, part in parts.items():
            if name in self._held:
                continue
            for unseen, flow in self._unseen(part):
                yield self._finding(name, unseen, flow)
                break

    def _unseen(self, part: Expression) -> Iterator[tuple[str, Flow]]:
        match part:
            case Constant():
                return
            case MappingTemplate():
                for inner in part.parts.values():
                    yield from self._unseen(inner)
            case ListTemplate():
                for inner in part.items:
                    yield from self._unseen(inner)
            case TextTemplate():
                for inner in part.reading:
                    yield from self._unseen(inner)
            case CelExpression():
                flow = _free(value_of(part, self._place).whole())
                selection = selected(part)
                if flow.atoms and not (selection is not None and self._is_shown(selection)):
                    yield part.source, flow
            case _:
                return

    def _is_shown(self, selection: Selection) -> bool:
        if selection[0] in self._required:
            return True  # as a person decided it
        root, path = self._place.canonical(selection)
        return any((root, path[:length]) in self._shown for length in range(len(path) + 1))

    def _finding(self, name: str, source: str, flow: Flow) -> Finding:
        step = self._flow.step
        reviews = " and ".join(f"'{review}'" for review in self._required)
        detail = (
            f"'{source}' goes out with '{name or step.target}' of '{step.target}' on the approval of {reviews}, which"
            " does not show it: whoever approves has not seen what outside had a part in."
        )
        hint = "Show it, or propose it and send what was decided; compose it before, in a 'set', where it is computed."
        path = (
            *worst_path(flow),
            Hop(f"{self._flow.path}.{name}".rstrip("."), f"{step.verb} {step.target}", step.line),
        )
        return Finding("flow-unseen", self._flow.path, step.line, detail, name or step.target, path, hint)


def _free(flow: Flow) -> Flow:
    """What is left of a flow that outside has a choice in: nothing that a check confines, nor an owner's record."""
    kept = frozenset(atom for atom in flow.atoms if atom.trust is Trust.UNTRUSTED and not atom.owned)
    return Flow(kept, flow.data_class, flow.residency, flow.varies, flow.class_path)
