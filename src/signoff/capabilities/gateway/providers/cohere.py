"""`cohere`: models behind Cohere's chat API, version 2."""

from __future__ import annotations

from signoff.capabilities.gateway.configuration import required
from signoff.capabilities.gateway.providers.vendors import Endpoint, Vendor, base_url
from signoff.capabilities.gateway.providers.wire.cohere import CohereChat
from signoff.catalog.models import ModelSpec

DEFAULT_BASE_URL = "https://api.cohere.com"


def create(spec: ModelSpec) -> Vendor:
    """The provider of one configured model.

    Raises:
        ProviderError: `model` or `api_key` is missing.
    """
    url = f"{base_url(spec, DEFAULT_BASE_URL)}/v2/chat"
    return Vendor(spec, CohereChat(), Endpoint(url, url, {"authorization": f"Bearer {required(spec, 'api_key')}"}))
