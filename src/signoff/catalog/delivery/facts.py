"""What policies are told of a release: how grave it is, and who stands behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from signoff.catalog.delivery.differences import USES_CHANGED
from signoff.catalog.delivery.model import Change
from signoff.catalog.model import Project
from signoff.catalog.prompts import Prompt
from signoff.catalog.registry.versions import NewVersion
from signoff.core.actors import Actor
from signoff.core.errors import NotFoundError
from signoff.core.labels import DataClass, join_all
from signoff.workflows.model import Workflow, every_step


@dataclass(frozen=True, slots=True)
class WorkflowChange:
    """A workflow that a release changes, as policy is asked about it.

    Attributes:
        owners: of the version before, so that nobody becomes the owner by the change that needs one.
        risk: the higher one of before and after.
    """

    name: str
    version: str
    risk: str
    owners: tuple[str, ...]
    facts: Mapping[str, Any]


_RISKS = ("low", "medium", "high")


def release_facts(changes: Iterable[Change], old: Project, new: Project) -> dict[str, Any]:
    """The kinds that change, and the gravest of what is touched: workflows that change, or whose prompts or tools do.

    Where policies, models, tools, schemas or code change, every workflow counts as touched: each may act otherwise.
    """
    found = list(changes)
    kinds = sorted({change.kind for change in found})
    prompts = {change.name for change in found if change.kind == "prompt"}
    named = {change.name for change in found if change.kind == "workflow"}
    everywhere = bool(set(kinds) - {"workflow", "prompt", "knowledge", "schedule", "environment"})
    touched = [
        workflow
        for project in (old, new)
        for workflow in project.workflows.values()
        if everywhere or workflow.name in named or not prompts.isdisjoint(_prompts_of(project, workflow))
    ]
    level = max((_RISKS.index(workflow.risk) for workflow in touched), default=0)
    classes = [prompt.data_class for project in (old, new) for prompt in project.prompts if prompt.name in prompts]
    data_class = max(classes, default=DataClass.PUBLIC)
    return {
        "kinds": kinds,
        "breaking": any(change.bump == "major" or change.action == "removed" for change in found),
        "risk": _RISKS[level],
        "risk_level": level,
        "data_class": int(data_class),
        "data_class_name": data_class.name.lower(),
    }


def behind_facts(actor: Actor, published_by: Actor | None) -> dict[str, Any]:
    """Who stands behind a release, and whether the asker is somebody else: four eyes."""
    return {
        "published_by": "" if published_by is None else str(published_by),
        "second_person": published_by is not None and str(published_by) != str(actor),
    }


def changed_workflows(changes: Iterable[Change], old: Project, new: Project) -> list[WorkflowChange]:
    """The workflows whose own documents change, with what policies are told of each."""
    return [
        _workflow_change(change, old.workflows.get(change.name), new.workflows.get(change.name))
        for change in changes
        if change.kind == "workflow" and change.details != USES_CHANGED
    ]


def _workflow_change(change: Change, old: Workflow | None, new: Workflow | None) -> WorkflowChange:
    both = [workflow for workflow in (old, new) if workflow is not None]
    data_class = max(join_all(workflow.input_labels.values()).data_class for workflow in both)
    facts = {
        "change": change.action,
        "bump": change.bump,
        "data_class": int(data_class),
        "data_class_name": data_class.name.lower(),
    }
    return WorkflowChange(
        change.name,
        both[-1].version,
        risk=_RISKS[max(_RISKS.index(workflow.risk) for workflow in both)],
        owners=(both[0].owner,) if both[0].owner else (),
        facts=facts,
    )


def change_facts(project: Project, version: NewVersion) -> dict[str, Any]:
    """What a new version of a prompt brings, and the gravest workflow that uses the prompt."""
    level = max(
        (
            _RISKS.index(workflow.risk)
            for workflow in project.workflows.values()
            if version.prompt.name in _prompts_of(project, workflow)
        ),
        default=0,
    )
    return {"bump": version.bump, "risk": _RISKS[level], "risk_level": level}


def _prompts_of(project: Project, workflow: Workflow) -> set[str]:
    """The prompts that a workflow names. One in Python may use any."""
    if workflow.python is not None:
        return set(project.prompts.names)
    found: set[str] = set()
    for step in every_step(workflow.steps):
        if step.verb == "ai":
            found.add(step.target.partition("@")[0])
    return found


def owners_before(old: Project, prompt: Prompt) -> tuple[str, ...]:
    """Who owned the prompt so far: nobody makes himself its owner by the change that needs one."""
    try:
        return old.prompts.find(prompt.name).owners
    except NotFoundError:
        return prompt.owners
