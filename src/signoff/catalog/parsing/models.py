"""`models.yaml` into models and routes."""

from __future__ import annotations

import re

from signoff.catalog.models import CAPABILITIES, LOCAL_LIMITS, MODALITIES, TASKS, ModelsConfig, ModelSpec, Route
from signoff.catalog.parsing.fields import Fields
from signoff.catalog.parsing.model_limits import parse_limits
from signoff.catalog.parsing.model_prices import check_price, priced_models
from signoff.catalog.parsing.routes import MAX_CONTEXT_TOKENS, number, parse_routes, words
from signoff.catalog.parsing.served import parse_served
from signoff.catalog.references import find_references
from signoff.core.labels import DataClass

_LOCAL_KEYS = (
    "provider",
    "region",
    "context_tokens",
    "data_class",
    "modalities",
    "capabilities",
    "quality",
    "timeouts",
)
_TIMEOUTS = ("connect_s", "first_token_s", "between_tokens_s", "total_s")
_MAX_TIMEOUT_S = 3_600.0
_VENDOR_KEYS = (
    *_LOCAL_KEYS,
    "model",
    "api_key",
    "base_url",
    "price",
    "structured",
    "temperature",
    "headers",
    "max_reply_bytes",
    "trace",
)
MAX_DIMENSIONS = 16_384
"""Numbers of a vector; the longest of today's models have 4,096."""
_VECTOR_KEYS = (*_VENDOR_KEYS, "dimensions")
_AWS_KEYS = ("access_key_id", "secret_access_key", "session_token")
_NEED_KEY = ("openai", "azure_openai", "mistral", "groq", "openrouter", "deepseek", "cerebras", "huggingface")
_SECRETS = ("api_key", "access_token", "secret_access_key", "session_token")
_SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie", re.IGNORECASE)
_WITHIN_ADDRESS = re.compile(r"://[^/?#@]*:([^/?#@]*)@")
"""A user's password in a URL (RFC 3986, section 3.2.1)."""
_APIS = ("openai", "openai_compatible", "openrouter", "deepseek")
KEYS = {
    "minilm": _LOCAL_KEYS,
    "fields": _LOCAL_KEYS,
    "qwen": _LOCAL_KEYS,
    **{kind: (*_LOCAL_KEYS, *LOCAL_LIMITS[kind]) for kind in LOCAL_LIMITS},
    "scripted": _LOCAL_KEYS,
    **{kind: (*_VENDOR_KEYS, "api") if kind in _APIS else _VENDOR_KEYS for kind in _NEED_KEY},
    **dict.fromkeys(("openai", "openai_compatible"), (*_VECTOR_KEYS, "api")),
    "azure_openai": (*_VECTOR_KEYS, "api", "api_version"),
    **dict.fromkeys(("mistral", "google", "cohere", "ollama"), _VECTOR_KEYS),
    "anthropic": _VENDOR_KEYS,
    "google_vertex": (*_VECTOR_KEYS, "project", "location", "access_token", "credentials_file"),
    "bedrock": (*_VECTOR_KEYS, "api", *_AWS_KEYS),
}
_REQUIRED = {
    **dict.fromkeys((*_NEED_KEY, "anthropic", "google", "cohere"), ("api_key",)),
    "azure_openai": ("api_key", "base_url"),
    "google_vertex": ("project",),
    "bedrock": ("region",),
}


def parse_models(fields: Fields) -> ModelsConfig:
    """The models and routes that a file describes; what is wrong with it is reported."""
    fields.only("models", "routes", "profiles", "limits", "prices", "served")
    models = {name: _model(name, model) for name, model in fields.mapping("models").members()}
    models = priced_models(fields, models)
    profiles: dict[str, tuple[Route, ...]] = {}
    for name, profile in fields.mapping("profiles").members():
        profile.only("routes")
        profiles[name] = parse_routes(profile, models)
    return ModelsConfig(models, parse_routes(fields, models), profiles, parse_limits(fields), parse_served(fields))


def _model(name: str, fields: Fields) -> ModelSpec:
    provider = fields.one_of("provider", tuple(KEYS))
    fields.only(*KEYS[provider])
    for key, (_, highest) in LOCAL_LIMITS.get(provider, {}).items():
        fields.integer(key, 1, lowest=1, highest=highest)
    if KEYS[provider] is not _LOCAL_KEYS and provider not in LOCAL_LIMITS:
        fields.text("model")
        for key in _REQUIRED.get(provider, ()):
            fields.required(key)
    for key in KEYS[provider]:
        if isinstance(fields.data.get(key), str):
            _check_references(fields, key, fields.text(key))
    if "dimensions" in fields:
        fields.integer("dimensions", 1, lowest=1, highest=MAX_DIMENSIONS)
    _check_facts(fields)
    for key in _SECRETS:
        if key in fields and not find_references(fields.text(key, "")):
            suggestion = f'Write "${{env.{_variable(provider, key)}}}" and set the variable where the worker runs.'
            fields.problem(key, "A credential may not stand in the project.", suggestion=suggestion, code="secret")
    address = fields.text("base_url", "") if "base_url" in fields else ""
    if (secret := _WITHIN_ADDRESS.search(address)) and not find_references(secret[1]):
        suggestion = 'Write the address as "${env.NAME}" and set the variable where the worker runs.'
        fields.problem("base_url", "A password may not stand in the project.", suggestion=suggestion, code="secret")
    fields.boolean("trace", default=False)
    if "headers" in fields:
        _check_headers(fields.mapping("headers"))
    if "price" in fields and fields.data["price"] != "free":
        check_price(fields.mapping("price"))
    settings = {key: value for key, value in fields.data.items() if key != "provider"}
    return ModelSpec(name, provider, settings)


def _check_facts(fields: Fields) -> None:
    """What a model says of itself for routes."""
    if "context_tokens" in fields:
        fields.integer("context_tokens", 1, lowest=1, highest=MAX_CONTEXT_TOKENS)
    if "data_class" in fields:
        fields.one_of("data_class", [each.name.lower() for each in DataClass])
    words(fields, "modalities", MODALITIES)
    words(fields, "capabilities", CAPABILITIES)
    quality = fields.mapping("quality")
    quality.only(*TASKS)
    for task in quality.data:
        number(quality, task, highest=1.0)
    timeouts = fields.mapping("timeouts")
    timeouts.only(*_TIMEOUTS)
    for phase in timeouts.data:
        number(timeouts, phase, highest=_MAX_TIMEOUT_S)


def _variable(provider: str, key: str) -> str:
    return "OPENAI_API_KEY" if provider == "openai_compatible" else f"{provider}_{key}".upper()


def _check_headers(headers: Fields) -> None:
    for name in headers.data:
        text = headers.text(name)
        _check_references(headers, name, text)
        if _SECRET_HEADER.search(name) and not find_references(text):
            suggestion = 'Write "${env.NAME}" and set the variable where the worker runs.'
            headers.problem(name, "A credential may not stand in the project.", suggestion=suggestion, code="secret")


def _check_references(fields: Fields, name: str, text: str) -> None:
    for root, reference in find_references(text):
        if root != "env":
            suggestion = f"Write ${{env.{reference}}} and set the variable where the worker runs."
            fields.problem(name, f"'{root}.{reference}' cannot be used here.", suggestion=suggestion)
