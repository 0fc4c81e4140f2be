"""Settings of a model, with `${env.NAME}` filled in from the worker's environment: releases never hold a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from signoff.capabilities.gateway.provider import ProviderError
from signoff.catalog.models import ModelSpec

_REFERENCE = re.compile(r"\$\{env\.([A-Za-z_][A-Za-z0-9_]*)\}")


def resolve(spec: ModelSpec, environment: Mapping[str, str]) -> ModelSpec:
    """The model with every `${env.NAME}` replaced.

    Raises:
        ProviderError: a named variable is not set or empty; the message names it, never its value.
    """
    return ModelSpec(spec.name, spec.provider, _filled(spec.settings, spec.name, environment))


def variables(spec: ModelSpec) -> tuple[str, ...]:
    """The names of the variables that its settings refer to."""
    return tuple(sorted(_named(spec.settings)))


def _named(value: Any) -> set[str]:
    if isinstance(value, str):
        return set(_REFERENCE.findall(value))
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        return {name for member in members.values() for name in _named(member)}
    return set()


def required(spec: ModelSpec, key: str) -> str:
    """A setting that must be there.

    Raises:
        ProviderError: it is not, or is no text.
    """
    value = spec.settings.get(key)
    if not isinstance(value, str) or not value:
        raise ProviderError("setup", f"{spec.name} needs `{key}` in models.yaml.")
    return value


def _variable(model: str, name: str, environment: Mapping[str, str]) -> str:
    value = environment.get(name, "")
    if not value:
        raise ProviderError("setup", f"{model} needs the environment variable {name}, which is not set.")
    return value


def _filled(value: Any, model: str, environment: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: _variable(model, match[1], environment), value) if "$" in value else value
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        return {key: _filled(member, model, environment) for key, member in members.items()}
    return value
