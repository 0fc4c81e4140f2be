"""Prompts against the rest of their project: models that can answer them, roles that own them."""

from __future__ import annotations

from collections.abc import Iterator

from signoff.catalog.model import Project
from signoff.catalog.models import LOCAL_PROVIDERS, ModelSpec
from signoff.catalog.prompts import Prompt
from signoff.core.errors import Problem, did_you_mean


def check_prompts(project: Project) -> Iterator[Problem]:
    """Everything that prompts need of other files and that is not there."""
    for prompt in project.prompts:
        yield from _owners(project, prompt)
        for model in _models(project, prompt):
            yield from _needs(prompt, model)


def _owners(project: Project, prompt: Prompt) -> Iterator[Problem]:
    for owner in prompt.owners:
        kind, _, name = owner.partition("/")
        if kind == "role" and name not in project.roles:
            suggestion = did_you_mean(name, tuple(project.roles)) or f"Add '{name}' under 'roles' in signoff.yaml."
            detail = f"Prompt '{prompt.name}' is owned by the role '{name}', which signoff.yaml does not list."
            yield Problem(detail, prompt.file, suggestion=suggestion, code="unknown-reference")


def _models(project: Project, prompt: Prompt) -> list[ModelSpec]:
    """Every model that may answer the prompt, in any profile."""
    found: dict[str, ModelSpec] = {}
    for profile in (None, *project.models.profiles):
        for model in project.models.route(prompt.task, prompt.name, profile=profile):
            found[model.name] = model
    return list(found.values())


def _needs(prompt: Prompt, model: ModelSpec) -> Iterator[Problem]:
    needs = prompt.needs
    reasons: list[str] = []
    if needs.local and model.provider not in LOCAL_PROVIDERS:
        reasons.append("runs outside this deployment, and the prompt needs a local one")
    if needs.region is not None and model.settings.get("region") != needs.region:
        said = model.settings.get("region") or "no region"
        reasons.append(f"says {said}, and the prompt needs {needs.region}")
    context = model.settings.get("context_tokens")
    if needs.context_tokens is not None and (not isinstance(context, int) or context < needs.context_tokens):
        said = f"takes {context} tokens" if isinstance(context, int) else "says no 'context_tokens'"
        reasons.append(f"{said}, and the prompt needs {needs.context_tokens}")
    for reason in reasons:
        detail = f"Model '{model.name}', which answers prompt '{prompt.name}', {reason}."
        suggestion = f"Give the prompt a route of its own in models.yaml: - {{prompt: {prompt.name}, use: […]}}."
        yield Problem(detail, prompt.file, suggestion=suggestion, code="unable-model")
