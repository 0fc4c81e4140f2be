"""All checks of a workflow's data flow, in its own right and as it is called by others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from signoff.core.labels import Labels
from signoff.workflows.flow.analysis import FlowResult, analyse
from signoff.workflows.flow.contracts import Surroundings
from signoff.workflows.flow.findings import Finding
from signoff.workflows.flow.model import Hop
from signoff.workflows.flow.sinks import check_reach, check_sinks
from signoff.workflows.flow.unseen import check_unseen
from signoff.workflows.model import Workflow, every_step

MAX_EVENT_ROUNDS = 8
"""How often all workflows are looked at until what their events carry has settled; there are four classes."""


def check_flow(workflow: Workflow, surroundings: Surroundings) -> tuple[FlowResult, list[Finding]]:
    """The flow of a workflow, and everything that is wrong with it."""
    result = analyse(workflow, surroundings)
    sinks = (*check_sinks(result, surroundings), *check_unseen(result, surroundings))
    findings = [*sinks, *check_reach(result), *_called(result, surroundings)]
    return result, list(dict.fromkeys(findings))


def _called(result: FlowResult, surroundings: Surroundings) -> Iterator[Finding]:
    """What is wrong with a workflow only because of what this one gives to it."""
    for path, inner in result.calls.items():
        step = result.steps[path].step
        alone = {(one.code, one.step, one.detail) for one in check_flow(inner.workflow, surroundings)[1]}
        sinks = (*check_sinks(inner, surroundings), *check_unseen(inner, surroundings))
        found = [*sinks, *_called(inner, surroundings)]
        for one in found:
            if (one.code, one.step, one.detail) in alone:
                continue
            hops = tuple(
                replace(hop, file=hop.file or inner.workflow.file) if hop.at.startswith(one.step) else hop
                for hop in one.path
            )
            hops = (*hops[:-1], Hop(path, f"call {step.target}", step.line), *hops[-1:])
            detail = f"Called with this, '{one.step}' of '{inner.workflow.name}' is not sound. {one.detail}"
            yield Finding(one.code, path, step.line, detail, step.target, hops, one.suggestion)


def settle_events(surroundings: Surroundings) -> None:
    """Find what class and residency the events have that the workflows emit: a `wait` gives them back with these."""
    documents = [workflow for workflow in surroundings.workflows.values() if workflow.python is None]
    awaited = {one.target for workflow in documents for one in every_step(workflow.steps) if one.verb == "wait"}
    emitting = [workflow for workflow in documents if awaited & _emitted(workflow)]
    for _ in range(MAX_EVENT_ROUNDS):
        before = dict(surroundings.events)
        for workflow in emitting:
            for flow in analyse(workflow, surroundings).steps.values():
                if flow.step.verb == "emit":
                    given = flow.arguments.whole().join(flow.control).labels()
                    known = surroundings.event(flow.step.target)
                    told = Labels(data_class=given.data_class, residency=given.residency)
                    surroundings.events[flow.step.target] = known.join(told)
        if surroundings.events == before:
            return


def _emitted(workflow: Workflow) -> set[str]:
    return {step.target for step in every_step(workflow.steps) if step.verb == "emit"}
