"""Agents whose models cannot use tools: every run of them would fail at its first turn."""

from __future__ import annotations

from collections.abc import Iterator

from signoff.capabilities.gateway.model_facts import facts_of
from signoff.catalog.model import Project
from signoff.catalog.models import ModelSpec
from signoff.catalog.python_workflows import agents_named
from signoff.core.errors import DefinitionError, NotFoundError, Problem
from signoff.workflows.model import every_step

_HINT = (
    "Route its prompt to a model that can, in models.yaml; of one that Signoff does not know, say 'capabilities:"
    " [tools]' there."
)


def unable_problems(project: Project) -> Iterator[Problem]:
    """The agents of whose route no model can use tools, as far as anybody knows; first without a profile."""
    for file, line, name, prompt in _agents(project):
        for profile in (None, *project.models.profiles):
            models = _asked(project, prompt, profile)
            if models and all(_unable(model) for model in models):
                names = " and ".join(f"'{model.name}'" for model in models)
                where = "" if profile is None else f", in the profile '{profile}'"
                detail = (
                    f"{name} needs a model that uses tools, and its prompt is routed to {names}, which cannot{where}."
                )
                yield Problem(detail, file, line or None, suggestion=_HINT, code="unable-model")
                break


def require_tool_users(project: Project) -> None:
    """Refuse a project with an agent that no model could be.

    Raises:
        DefinitionError: with every such agent.
    """
    problems = list(unable_problems(project))
    if problems:
        raise DefinitionError("An agent has no model that uses tools.", problems=problems)


def _agents(project: Project) -> Iterator[tuple[str, int, str, str]]:
    """Each agent's file, line, how it is called, and its prompt."""
    for workflow in project.workflows.values():
        for step in every_step(workflow.steps):
            if step.verb == "agent":
                yield step.file or workflow.file, step.line, f"The agent '{step.name}'", step.target
    for file, line, prompt in agents_named(project):
        yield file, line, f"An agent with '{prompt}'", prompt


def _asked(project: Project, reference: str, profile: str | None) -> tuple[ModelSpec, ...]:
    """The models that a prompt is routed to; none where something is missing, which is told elsewhere."""
    try:
        prompt = project.prompts.find(reference)
    except NotFoundError:
        return ()
    return project.models.route(prompt.task, prompt.name, profile=profile)


def _unable(model: ModelSpec) -> bool:
    known = facts_of(model).capabilities
    return known is not None and "tools" not in known
