"""`models.yaml` into models and routes."""

from __future__ import annotations

from collections.abc import Mapping

from signoff.catalog.models import PROVIDER_TASKS, TASKS, ModelsConfig, ModelSpec, Route
from signoff.catalog.parsing.fields import Fields
from signoff.catalog.references import find_references
from signoff.core.errors import did_you_mean

_LOCAL_KEYS = ("provider", "region", "context_tokens")
_MAX_CONTEXT_TOKENS = 10_000_000
_VENDOR_KEYS = (*_LOCAL_KEYS, "model", "api_key", "base_url", "price", "structured")
KEYS = {
    "minilm": _LOCAL_KEYS,
    "fields": _LOCAL_KEYS,
    "qwen": _LOCAL_KEYS,
    "scripted": _LOCAL_KEYS,
    "openai_compatible": _VENDOR_KEYS,
    "anthropic": _VENDOR_KEYS,
    "google": _VENDOR_KEYS,
}


def parse_models(fields: Fields) -> ModelsConfig:
    """The models and routes that a file describes; what is wrong with it is reported."""
    fields.only("models", "routes", "profiles")
    models = {name: _model(name, model) for name, model in fields.mapping("models").members()}
    profiles: dict[str, tuple[Route, ...]] = {}
    for name, profile in fields.mapping("profiles").members():
        profile.only("routes")
        profiles[name] = _routes(profile, models)
    return ModelsConfig(models, _routes(fields, models), profiles)


def _model(name: str, fields: Fields) -> ModelSpec:
    provider = fields.one_of("provider", tuple(KEYS))
    fields.only(*KEYS[provider])
    if provider in ("openai_compatible", "anthropic", "google"):
        fields.text("model")
        if provider != "openai_compatible":
            fields.required("api_key")
    for key in ("model", "base_url", "api_key", "region"):
        if key in fields:
            _check_references(fields, key, fields.text(key))
    if "context_tokens" in fields:
        fields.integer("context_tokens", 1, lowest=1, highest=_MAX_CONTEXT_TOKENS)
    if "api_key" in fields and not find_references(fields.text("api_key", "")):
        suggestion = 'Write "${env.OPENAI_API_KEY}" and set the variable where the worker runs.'
        fields.problem("api_key", "A credential may not stand in the project.", suggestion=suggestion, code="secret")
    if "price" in fields and fields.data["price"] != "free":
        _check_price(fields.mapping("price"))
    settings = {key: value for key, value in fields.data.items() if key != "provider"}
    return ModelSpec(name, provider, settings)


def _check_references(fields: Fields, name: str, text: str) -> None:
    for root, reference in find_references(text):
        if root != "env":
            suggestion = f"Write ${{env.{reference}}} and set the variable where the worker runs."
            fields.problem(name, f"'{root}.{reference}' cannot be used here.", suggestion=suggestion)


def _check_price(price: Fields) -> None:
    price.only("input_usd", "output_usd")
    for key in ("input_usd", "output_usd"):
        value = price.data.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            suggestion = "Write 'price: free' or 'price: {input_usd: 0.15, output_usd: 0.60}', per million tokens."
            price.problem(key, f"'{key}' must be an amount in US dollars.", suggestion=suggestion, code="wrong-type")


def _routes(fields: Fields, models: Mapping[str, ModelSpec]) -> tuple[Route, ...]:
    routes: list[Route] = []
    for route in fields.items("routes"):
        route.only("task", "prompt", "use")
        task = route.one_of("task", TASKS, "") if "task" in route else ""
        prompt = route.text("prompt", "")
        if not task and not prompt:
            suggestion = "Add 'task: classify' or 'prompt: <name>'."
            route.problem(None, "A route says what it is for.", suggestion=suggestion, code="missing-key")
        use = route.texts("use") if route.required("use") else ()
        if route.data.get("use") == []:
            suggestion = "List models in their order of fallback."
            route.problem("use", "'use' is empty.", suggestion=suggestion, code="missing-key")
        for place, name in enumerate(use):
            _check_use(route, place, name, task, models)
        routes.append(Route(tuple(name for name in use if name in models), task or None, prompt or None))
    return tuple(routes)


def _check_use(route: Fields, place: int, name: str, task: str, models: Mapping[str, ModelSpec]) -> None:
    at = (*route.path, "use", place)
    if name not in models:
        suggestion = did_you_mean(name, tuple(models)) or f"There are: {', '.join(models) or 'none'}."
        route.report.add(at, f"There is no model '{name}'.", suggestion=suggestion, code="unknown-model")
        return
    able = PROVIDER_TASKS[models[name].provider]
    if task and task not in able:
        suggestion = f"Its provider does: {', '.join(able)}."
        route.report.add(at, f"'{name}' cannot do '{task}'.", suggestion=suggestion, code="unable-model")
