"""`google`: Gemini models behind the generateContent API."""

from __future__ import annotations

from pydantic_ai.models.google import GoogleModel
from pydantic_ai.providers.google import GoogleProvider

from signoff.capabilities.gateway.configuration import required
from signoff.capabilities.gateway.providers.vendors import Vendor, base_url, http_client
from signoff.catalog.models import ModelSpec

DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"


def create(spec: ModelSpec) -> Vendor:
    """The provider of one configured model.

    Raises:
        ProviderError: `model` or `api_key` is missing.
    """
    model, key = required(spec, "model"), required(spec, "api_key")
    url = base_url(spec, DEFAULT_BASE_URL)
    connections = http_client(url)
    provider = GoogleProvider(api_key=key, base_url=url, http_client=connections)
    return Vendor("google", GoogleModel(model, provider=provider), connections, spec)
