"""Routes of `models.yaml`: which models answer what, and by what they are chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

from signoff.catalog.models import (
    CAPABILITIES,
    MODALITIES,
    PREFERENCES,
    PROVIDER_TASKS,
    TASKS,
    Canary,
    ModelSpec,
    Prefer,
    Requires,
    Route,
)
from signoff.catalog.parsing.fields import Fields
from signoff.core.errors import did_you_mean

MAX_CONTEXT_TOKENS = 10_000_000
MAX_WEIGHT = 1_000_000.0
MAX_LATENCY_S = 600.0
_KEYS = (
    "name",
    "task",
    "prompt",
    "use",
    "requires",
    "region",
    "prefer",
    "weights",
    "canary",
    "latency_s",
    "pin",
    "cache",
)


def parse_routes(fields: Fields, models: Mapping[str, ModelSpec]) -> tuple[Route, ...]:
    """The routes of a file or profile; what is wrong with them is reported."""
    routes: list[Route] = []
    names: set[str] = set()
    for fields_of_one in fields.items("routes"):
        route = _route(fields_of_one, models)
        if route.name and (route.name in names or route.name in models):
            there = "model" if route.name in models else "route"
            suggestion = "A request names a model or a route by it: choose another name."
            fields_of_one.problem("name", f"There is a {there} '{route.name}' already.", suggestion=suggestion)
        names.add(route.name)
        routes.append(route)
    return tuple(routes)


def _route(route: Fields, models: Mapping[str, ModelSpec]) -> Route:
    route.only(*_KEYS)
    task = route.one_of("task", TASKS, "") if "task" in route else ""
    prompt, name = route.text("prompt", ""), route.text("name", "")
    if not (task or prompt or name):
        suggestion = "Add 'task: classify', 'prompt: <name>' or 'name: <what requests call it by>'."
        route.problem(None, "A route says what it is for.", suggestion=suggestion, code="missing-key")
    use = route.texts("use") if route.required("use") else ()
    if route.data.get("use") == []:
        suggestion = "List models in their order of fallback."
        route.problem("use", "'use' is empty.", suggestion=suggestion, code="missing-key")
    for place, model in enumerate(use):
        _check_model(route, ("use", place), model, task, models)
    used = tuple(model for model in dict.fromkeys(use) if model in models)
    pin = route.text("pin", "")
    if pin and pin not in used:
        suggestion = did_you_mean(pin, used) or f"It has: {', '.join(used) or 'none'}."
        route.problem("pin", f"'{pin}' is not among 'use'.", suggestion=suggestion, code="unknown-model")
        pin = ""
    return Route(
        used,
        task or None,
        prompt or None,
        name=name,
        requires=parse_requires(route.mapping("requires")),
        region=route.text("region", ""),
        prefer=cast("Prefer", route.one_of("prefer", PREFERENCES, PREFERENCES[0])),
        weights=_weights(route.mapping("weights"), used),
        canary=_canary(route, task, models, used) if "canary" in route else None,
        latency_s=number(route, "latency_s", highest=MAX_LATENCY_S) if "latency_s" in route else None,
        pin=pin,
        cache=route.boolean("cache", default=False),
    )


def parse_requires(fields: Fields) -> Requires:
    """What models must be able to do: `{modalities: [image], capabilities: [tools], context_tokens: 32000}`."""
    fields.only("modalities", "capabilities", "context_tokens")
    context = 0
    if "context_tokens" in fields:
        context = fields.integer("context_tokens", 1, lowest=1, highest=MAX_CONTEXT_TOKENS)
    return Requires(words(fields, "modalities", MODALITIES), words(fields, "capabilities", CAPABILITIES), context)


def words(fields: Fields, name: str, known: Sequence[str]) -> frozenset[str]:
    """A list of some of the known words."""
    found = fields.texts(name)
    for place, word in enumerate(found):
        if word not in known:
            suggestion = did_you_mean(word, known) or f"There are: {', '.join(known)}."
            path = (*fields.path, name, place)
            fields.report.add(path, f"'{word}' is none of '{name}'.", suggestion=suggestion, code="unknown-value")
    return frozenset(found) & frozenset(known)


def number(fields: Fields, name: str, *, highest: float) -> float:
    """A number above zero, at most so high."""
    value = fields.data.get(name)
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or not 0 < cast("float", value) <= highest:
        fields.problem(name, f"'{name}' must be a number above 0, at most {highest:g}.", code="wrong-type")
        return highest
    return float(cast("float", value))


def _weights(fields: Fields, used: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for model in fields.data:
        if model in used:
            found[model] = number(fields, model, highest=MAX_WEIGHT)
        else:
            suggestion = did_you_mean(model, used) or f"It has: {', '.join(used) or 'none'}."
            fields.problem(model, f"'{model}' is not among 'use'.", suggestion=suggestion, code="unknown-model")
    return found


def _canary(route: Fields, task: str, models: Mapping[str, ModelSpec], used: Sequence[str]) -> Canary | None:
    fields = route.mapping("canary")
    fields.only("model", "share")
    model, share = fields.text("model"), number(fields, "share", highest=1.0)
    _check_model(route, ("canary", "model"), model, task, models)
    if model in used:
        suggestion = "Take it out of 'use' while it is on trial, or give 'weights' instead."
        fields.problem("model", f"'{model}' is among 'use' already.", suggestion=suggestion)
    return Canary(model, share) if model in models and model not in used else None


def _check_model(
    route: Fields, at: tuple[str | int, ...], name: str, task: str, models: Mapping[str, ModelSpec]
) -> None:
    path = (*route.path, *at)
    if name not in models:
        suggestion = did_you_mean(name, tuple(models)) or f"There are: {', '.join(models) or 'none'}."
        route.report.add(path, f"There is no model '{name}'.", suggestion=suggestion, code="unknown-model")
        return
    able = PROVIDER_TASKS[models[name].provider]
    if task and task not in able:
        suggestion = f"Its provider does: {', '.join(able)}."
        route.report.add(path, f"'{name}' cannot do '{task}'.", suggestion=suggestion, code="unable-model")
