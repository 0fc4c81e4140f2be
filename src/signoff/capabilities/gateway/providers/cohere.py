"""`cohere`: models behind Cohere's API, version 2: chats, vectors, rankings."""

from __future__ import annotations

from signoff.capabilities.gateway.configuration import required
from signoff.capabilities.gateway.providers.vectors import VectorVendor, cohere_vectors
from signoff.capabilities.gateway.providers.vendors import Endpoint, Vendor, base_url
from signoff.capabilities.gateway.providers.wire.cohere import CohereChat
from signoff.catalog.models import ModelSpec

DEFAULT_BASE_URL = "https://api.cohere.com"


def create(spec: ModelSpec) -> Vendor:
    """The provider of one configured model.

    Raises:
        ProviderError: `model` or `api_key` is missing.
    """
    root = f"{base_url(spec, DEFAULT_BASE_URL)}/v2"
    endpoint = Endpoint(f"{root}/chat", f"{root}/chat", {"authorization": f"Bearer {required(spec, 'api_key')}"})
    return VectorVendor(spec, CohereChat(), endpoint, cohere_vectors(f"{root}/embed"), rank_url=f"{root}/rerank")
