"""Models and routes: `models.yaml` of a project. Which model answers which task, and in what order others step in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from signoff.core.errors import InvalidError, did_you_mean

TASKS = ("classify", "extract", "generate", "embed")
_GENERATES = ("classify", "extract", "generate")
PROVIDER_TASKS: Mapping[str, tuple[str, ...]] = {
    "minilm": ("classify", "embed"),
    "fields": ("extract",),
    "qwen": ("classify", "extract", "generate"),
    "openai": TASKS,
    "openai_compatible": TASKS,
    "azure_openai": TASKS,
    "mistral": TASKS,
    "groq": _GENERATES,
    "openrouter": _GENERATES,
    "deepseek": _GENERATES,
    "cerebras": _GENERATES,
    "huggingface": _GENERATES,
    "anthropic": _GENERATES,
    "google": _GENERATES,
    "google_vertex": _GENERATES,
    "bedrock": _GENERATES,
    "cohere": _GENERATES,
    "ollama": _GENERATES,
    "scripted": TASKS,
}
"""Provider kinds that a model may name, and what each can do. `scripted` is the test kit's, answering from a script."""

LOCAL_PROVIDERS = frozenset({"minilm", "fields", "qwen", "scripted"})
"""Kinds whose models run inside the deployment: nothing leaves it, and calls cost nothing."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model that a project may use.

    Attributes:
        name: e.g. `local/minilm`.
        provider: one of `PROVIDER_TASKS`.
        settings: the provider's constants; strings may hold `${env.NAME}`, so that no release stores a secret.
    """

    name: str
    provider: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Route:
    """Which models answer: the first, and after a failure of one the next.

    Attributes:
        use: names of models, in fallback order.
        task: the kind of task it is for; none means any.
        prompt: the name of the only prompt it is for; none means any.
    """

    use: tuple[str, ...]
    task: str | None = None
    prompt: str | None = None

    def matches(self, task: str, prompt: str | None) -> bool:
        """Whether it is for that task and prompt."""
        return (self.task is None or self.task == task) and (self.prompt is None or self.prompt == prompt)


@dataclass(frozen=True, slots=True)
class ModelsConfig:
    """A project's models and routes.

    Attributes:
        models: by name.
        routes: the first that matches wins.
        profiles: named lists of routes that are asked before `routes`; a deployment picks one
            (`SIGNOFF_MODELS_PROFILE`), so that the same release runs on local or vendors' models.
    """

    models: Mapping[str, ModelSpec] = field(default_factory=dict[str, ModelSpec])
    routes: tuple[Route, ...] = ()
    profiles: Mapping[str, tuple[Route, ...]] = field(default_factory=dict[str, tuple[Route, ...]])

    def route(self, task: str, prompt: str | None = None, *, profile: str | None = None) -> tuple[ModelSpec, ...]:
        """The models for a task in fallback order; empty where no route matches.

        Raises:
            InvalidError: the profile does not exist.
        """
        for route in (*self._profile_routes(profile), *self.routes):
            if route.matches(task, prompt):
                return tuple(self.models[name] for name in route.use)
        return ()

    def routed(self, task: str, prompt: str | None = None) -> bool:
        """Whether some route is for that task and prompt, whatever models it names."""
        return any(route.matches(task, prompt) for route in self.routes)

    def _profile_routes(self, profile: str | None) -> tuple[Route, ...]:
        if profile is None:
            return ()
        if profile not in self.profiles:
            suggestion = did_you_mean(profile, tuple(self.profiles)) or (
                f"models.yaml has: {', '.join(self.profiles) or 'no profiles'}."
            )
            raise InvalidError(f"There is no models profile '{profile}'. {suggestion}")
        return self.profiles[profile]
