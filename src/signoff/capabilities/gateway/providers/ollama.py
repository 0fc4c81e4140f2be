"""`ollama`: models behind Ollama's own API."""

from __future__ import annotations

from signoff.capabilities.gateway.providers.vectors import VectorVendor, ollama_vectors
from signoff.capabilities.gateway.providers.vendors import Endpoint, Vendor, base_url
from signoff.capabilities.gateway.providers.wire.ollama import OllamaChat
from signoff.catalog.models import ModelSpec

DEFAULT_BASE_URL = "http://127.0.0.1:11434"


def create(spec: ModelSpec) -> Vendor:
    """The provider of one configured model; `api_key` is for Ollama's cloud.

    Raises:
        ProviderError: `model` is missing.
    """
    root = f"{base_url(spec, DEFAULT_BASE_URL)}/api"
    key = spec.settings.get("api_key")
    endpoint = Endpoint(f"{root}/chat", f"{root}/chat", {"authorization": f"Bearer {key}"} if key else {})
    return VectorVendor(spec, OllamaChat(), endpoint, ollama_vectors(f"{root}/embed"))
