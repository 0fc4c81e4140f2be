"""Built-in providers, one module each, imported when a model of their kind is first used."""

from __future__ import annotations

from importlib import import_module

from signoff.capabilities.gateway.provider import Provider, ProviderFactory
from signoff.catalog.models import ModelSpec

_MODULES = {
    "minilm": "minilm",
    "fields": "fields",
    "qwen": "qwen",
    "rapidocr": "ocr",
    "whisper": "transcription",
    "statsforecast": "forecasting",
    "isolation_forest": "anomalies",
    "highs": "optimisation",
    "openai": "openai_compatible",
    "openai_compatible": "openai_compatible",
    "azure_openai": "openai_compatible",
    "mistral": "openai_compatible",
    "groq": "openai_compatible",
    "openrouter": "openai_compatible",
    "deepseek": "openai_compatible",
    "cerebras": "openai_compatible",
    "huggingface": "openai_compatible",
    "anthropic": "anthropic",
    "google": "google",
    "google_vertex": "google",
    "bedrock": "bedrock",
    "cohere": "cohere",
    "ollama": "ollama",
}

__all__ = ["default_factories"]


def default_factories() -> dict[str, ProviderFactory]:
    """A factory per built-in provider kind; add your own to the dictionary."""
    return {kind: _lazy(module) for kind, module in _MODULES.items()}


def _lazy(module: str) -> ProviderFactory:
    def create(spec: ModelSpec) -> Provider:
        return import_module(f"{__name__}.{module}").create(spec)

    return create
