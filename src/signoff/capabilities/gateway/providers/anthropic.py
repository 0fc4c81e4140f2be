"""`anthropic`: models behind Anthropic's messages API."""

from __future__ import annotations

from anthropic import AsyncAnthropic
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider

from signoff.capabilities.gateway.configuration import required
from signoff.capabilities.gateway.providers.vendors import Vendor, base_url, http_client
from signoff.catalog.models import ModelSpec

DEFAULT_BASE_URL = "https://api.anthropic.com"


def create(spec: ModelSpec) -> Vendor:
    """The provider of one configured model.

    Raises:
        ProviderError: `model` or `api_key` is missing.
    """
    model, key = required(spec, "model"), required(spec, "api_key")
    url = base_url(spec, DEFAULT_BASE_URL)
    connections = http_client(url)
    client = AsyncAnthropic(api_key=key, base_url=url, max_retries=0, http_client=connections)
    provider = AnthropicProvider(anthropic_client=client)
    return Vendor("anthropic", AnthropicModel(model, provider=provider), connections, spec)
