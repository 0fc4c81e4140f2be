"""`anthropic`: models behind Anthropic's messages API."""

from __future__ import annotations

from signoff.capabilities.gateway.configuration import required
from signoff.capabilities.gateway.providers.vendors import Endpoint, Vendor, base_url
from signoff.capabilities.gateway.providers.wire.anthropic import AnthropicMessages
from signoff.catalog.models import ModelSpec

DEFAULT_BASE_URL = "https://api.anthropic.com"
VERSION = "2023-06-01"
"""Of the API; the only one there has been since."""


def create(spec: ModelSpec) -> Vendor:
    """The provider of one configured model.

    Raises:
        ProviderError: `model` or `api_key` is missing.
    """
    url = f"{base_url(spec, DEFAULT_BASE_URL)}/v1/messages"
    headers = {"x-api-key": required(spec, "api_key"), "anthropic-version": VERSION}
    return Vendor(spec, AnthropicMessages(), Endpoint(url, url, headers))
