"""Filters that want a person's approval before something leaves, and steps that nobody approves."""

from __future__ import annotations

from collections.abc import Iterator

from signoff.catalog.answer_contracts import FilterUse
from signoff.catalog.model import Project
from signoff.core.errors import Problem
from signoff.workflows.model import Step, Workflow, every_step


def check_outgoing(project: Project) -> Iterator[Problem]:
    """Each step that could never send what such a filter finds: it neither requires a review nor catches with one."""
    for workflow in project.workflows.values():
        if workflow.python is None:
            yield from _unreviewed(project, workflow)


def _unreviewed(project: Project, workflow: Workflow) -> Iterator[Problem]:
    steps = list(every_step(workflow.steps))
    reviews = {step.name for step in steps if step.verb == "review"}
    for step in steps:
        asking = [use.name for use in _uses(project, step) if use.verdict == "review"]
        caught = any(inner.verb == "review" for inner in every_step(step.fallback))
        if asking and not caught and reviews.isdisjoint(step.requires):
            what = f"the tool '{step.target}'" if step.verb == "tool" else f"the event '{step.target}'"
            detail = (
                f"The filter '{asking[0]}' of {what} wants a person's approval, and '{step.name}' requires no review."
            )
            suggestion = (
                f"Add a review that shows what is sent, and 'requires' it in '{step.name}'; or let the filter block."
            )
            yield Problem(detail, step.file or workflow.file, step.line, suggestion=suggestion, code="unheard-filter")


def _uses(project: Project, step: Step) -> tuple[FilterUse, ...]:
    if step.verb == "tool" and step.target in project.tools:
        return project.outgoing.of_tool(project.tools[step.target])
    return project.outgoing.of_event(step.target) if step.verb == "emit" else ()
