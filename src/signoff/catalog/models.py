"""Models and routes: `models.yaml` of a project. Which model answers which task, and in what order others step in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import lru_cache
from typing import Any, Literal, get_args

from signoff.catalog.model_limits import ModelLimit
from signoff.catalog.screening import UNFILTERED, Screening
from signoff.catalog.served import ServedDefaults
from signoff.core.errors import InvalidError, did_you_mean
from signoff.core.labels import DataClass
from signoff.core.values import value

KNOWN_NAMES = 1_024
"""Of how many models the route is kept that a request means which names one: it is asked for twice in each."""
_LANGUAGE = ("classify", "extract", "generate", "embed", "chat")
_OTHERS = ("rerank", "ocr", "transcribe", "forecast", "detect", "optimise")
TASKS = (*_LANGUAGE, *_OTHERS)
_GENERATES = ("classify", "extract", "generate", "chat")
PROVIDER_TASKS: Mapping[str, tuple[str, ...]] = {
    "minilm": ("classify", "embed", "rerank"),
    "fields": ("extract",),
    "qwen": _GENERATES,
    "rapidocr": ("ocr",),
    "whisper": ("transcribe",),
    "statsforecast": ("forecast",),
    "isolation_forest": ("detect",),
    "highs": ("optimise",),
    "openai": _LANGUAGE,
    "openai_compatible": _LANGUAGE,
    "azure_openai": _LANGUAGE,
    "mistral": _LANGUAGE,
    "groq": _GENERATES,
    "openrouter": _GENERATES,
    "deepseek": _GENERATES,
    "cerebras": _GENERATES,
    "huggingface": _GENERATES,
    "anthropic": _GENERATES,
    "google": _LANGUAGE,
    "google_vertex": _LANGUAGE,
    "bedrock": _LANGUAGE,
    "cohere": (*_LANGUAGE, "rerank"),
    "ollama": _LANGUAGE,
    "scripted": TASKS,
}
"""Provider kinds that a model may name, and what each can do. `scripted` is the test kit's, answering from a script."""

LOCAL_PROVIDERS = frozenset(
    {"minilm", "fields", "qwen", "rapidocr", "whisper", "statsforecast", "isolation_forest", "highs", "scripted"}
)
"""Kinds whose models run inside the deployment: nothing leaves it, and calls cost nothing."""

_CHAT = ("openai", "openai_compatible", "azure_openai", "openrouter", "deepseek", "cerebras", "huggingface")
_LIKELY: Mapping[str, frozenset[str]] = {
    "chat": frozenset((*_CHAT, "google", "google_vertex", "cohere", "ollama", "qwen", "scripted")),
    "responses": frozenset(("openai", "openai_compatible", "azure_openai")),
}
"""Kinds that can say how likely a model found its words, by the `api` they are asked through."""

LOCAL_LIMITS: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "rapidocr": {"max_pages": (20, 500), "max_pixels": (40_000_000, 400_000_000)},
    "whisper": {"max_audio_s": (600, 14_400)},
    "statsforecast": {"max_points": (2_000, 10_000)},
    "isolation_forest": {"max_cells": (100_000, 1_000_000)},
    "highs": {"max_variables": (10_000, 1_000_000), "max_solve_s": (30, 3_600)},
}
"""Settings of local kinds: how much one call may be given, each with its default and the most that it may be set to."""


@value
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

    @property
    def region(self) -> str:
        """Where it runs, as the project says; empty where it does not."""
        return str(self.settings.get("region") or "")

    @property
    def data_class(self) -> DataClass:
        """The highest class of data that it may be shown, whatever policies permit."""
        said = str(self.settings.get("data_class") or DataClass.REGULATED.name)
        return DataClass[said.upper()]

    @property
    def says_likelihood(self) -> bool:
        """Whether it can say how likely it found its words."""
        return self.provider in _LIKELY.get(str(self.settings.get("api", "chat")), frozenset[str]())


Prefer = Literal["order", "price", "latency", "quality"]
"""By what a route's models are ranked: as they are listed, cheapest, soonest or best first."""
PREFERENCES: tuple[Prefer, ...] = get_args(Prefer)
MODALITIES = ("text", "image", "document", "audio")
"""What a model may be able to read."""
CAPABILITIES = ("tools", "structured")
"""What else a model may be able to do: ask for tools, hold an answer to a schema."""


@value
class Requires:
    """What a model must be able to do for a route or a request.

    Attributes:
        modalities: what it must read, of `MODALITIES`.
        capabilities: what it must do, of `CAPABILITIES`.
        context_tokens: how much it must read, its answer included.
    """

    modalities: frozenset[str] = frozenset()
    capabilities: frozenset[str] = frozenset()
    context_tokens: int = 0


@value
class Canary:
    """A model on trial.

    Attributes:
        model: its name.
        share: of the calls, from 0 to 1.
    """

    model: str
    share: float


@value
class Route:
    """Which models answer: the first, and after a failure of one the next.

    Attributes:
        use: names of models, in the order that decides where nothing else does.
        task: the kind of task it is for; none means any.
        prompt: the name of the only prompt it is for; none means any.
        name: what a request may name it by; empty for none.
        requires: what its models must be able to do, beside what a request needs.
        region: where its models must run; empty for anywhere.
        prefer: by what its models are ranked.
        weights: how often a model is the first, by its name; models without one are only fallbacks. Empty: no draw.
        canary: a model on trial; it is not among `use`.
        latency_s: how soon the first token should come, in seconds: who is slower ranks behind who is not.
        pin: the only model that may answer for now; empty for none.
        cache: whether chats that name it may be given an answer that was given before, unless they say otherwise.
    """

    use: tuple[str, ...]
    task: str | None = None
    prompt: str | None = None
    name: str = ""
    requires: Requires = field(default_factory=Requires)
    region: str = ""
    prefer: Prefer = "order"
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    canary: Canary | None = None
    latency_s: float | None = None
    pin: str = ""
    cache: bool = False

    @property
    def models(self) -> tuple[str, ...]:
        """All that may ever answer, the canary last."""
        return self.use if self.canary is None else (*self.use, self.canary.model)

    def matches(self, task: str, prompt: str | None) -> bool:
        """Whether it is for that task and prompt. A route with nothing but a name is for requests that name it."""
        only_named = bool(self.name) and self.task is None and self.prompt is None
        fits = (self.task is None or self.task == task) and (self.prompt is None or self.prompt == prompt)
        return fits and not only_named


@lru_cache(maxsize=KNOWN_NAMES)
def _route_of(model: str) -> Route:
    """The route that has only one model."""
    return Route((model,), name=model)


@value
class ModelsConfig:
    """A project's models and routes.

    Attributes:
        models: by name.
        routes: the first that matches wins.
        profiles: named lists of routes that are asked before `routes`; a deployment picks one
            (`SIGNOFF_MODELS_PROFILE`), so that the same release runs on local or vendors' models.
        limits: of requests, tokens and money.
        served: what calls of programs count as.
        screening: what calls are looked at for, as `signoff.yaml` says.
    """

    models: Mapping[str, ModelSpec] = field(default_factory=dict[str, ModelSpec])
    routes: tuple[Route, ...] = ()
    profiles: Mapping[str, tuple[Route, ...]] = field(default_factory=dict[str, tuple[Route, ...]])
    limits: tuple[ModelLimit, ...] = ()
    served: ServedDefaults = field(default_factory=ServedDefaults)
    screening: Screening = UNFILTERED

    def route(self, task: str, prompt: str | None = None, *, profile: str | None = None) -> tuple[ModelSpec, ...]:
        """The models for a task in fallback order; empty where no route matches.

        Raises:
            InvalidError: the profile does not exist.
        """
        route = self.route_for(task, prompt, profile=profile)
        return () if route is None else tuple(self.models[name] for name in route.models)

    def route_for(self, task: str, prompt: str | None = None, *, profile: str | None = None) -> Route | None:
        """The route of a task: the first that matches.

        Raises:
            InvalidError: the profile does not exist.
        """
        routes = (*self._profile_routes(profile), *self.routes)
        return next((route for route in routes if route.matches(task, prompt)), None)

    def route_named(self, name: str, *, profile: str | None = None) -> Route | None:
        """The route of that name; of a model's name the route that has only it.

        Raises:
            InvalidError: the profile does not exist.
        """
        routes = (*self._profile_routes(profile), *self.routes)
        named = next((route for route in routes if name and route.name == name), None)
        return _route_of(name) if named is None and name in self.models else named

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
