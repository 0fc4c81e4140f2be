"""`google` and `google_vertex`: models behind the generateContent API, by key or by Google Cloud's identities."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from importlib import import_module
from typing import Any

import httpx

from signoff.capabilities.gateway.configuration import required
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers.vectors import VectorVendor, google_vectors, vertex_vectors
from signoff.capabilities.gateway.providers.vendors import Endpoint, Vendor, base_url
from signoff.capabilities.gateway.providers.wire.google import GoogleGenerate
from signoff.catalog.models import ModelSpec

DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def create(spec: ModelSpec) -> Vendor:
    """The provider of one configured model.

    Raises:
        ProviderError: a setting is missing, or the package for service accounts is.
    """
    model = required(spec, "model")
    if spec.provider == "google_vertex":
        project, location = required(spec, "project"), str(spec.settings.get("location") or "global")
        host = "aiplatform.googleapis.com" if location == "global" else f"{location}-aiplatform.googleapis.com"
        root = f"{base_url(spec, f'https://{host}')}/v1beta1/projects/{project}/locations/{location}/publishers/google/"
        headers, auth = _identity(spec)
    else:
        root = f"{base_url(spec, DEFAULT_BASE_URL)}/v1beta/"
        headers, auth = {"x-goog-api-key": required(spec, "api_key")}, None
    name = model if "/" in model else f"models/{model}"
    path = root + name
    endpoint = Endpoint(f"{path}:generateContent", f"{path}:streamGenerateContent?alt=sse", headers, auth)
    if spec.provider == "google":
        vectors = google_vectors(f"{path}:batchEmbedContents", name)
    else:
        vectors = vertex_vectors(f"{path}:predict", model)
    return VectorVendor(spec, GoogleGenerate(), endpoint, vectors)


def _identity(spec: ModelSpec) -> tuple[dict[str, str], httpx.Auth | None]:
    token = spec.settings.get("access_token")
    if token:
        return {"authorization": f"Bearer {token}"}, None
    return {}, _ServiceAccount(required(spec, "credentials_file"))


class _ServiceAccount(httpx.Auth):
    """Tokens of a service account or of workload identity, by google-auth, renewed when they run out."""

    def __init__(self, file: str) -> None:
        try:
            library = import_module("google.auth")
            self._transport = import_module("google.auth.transport.requests")
        except ImportError:
            raise ProviderError(
                "setup",
                "`credentials_file` needs google-auth: pip install 'google-auth[requests]'; or set `access_token`.",
            ) from None
        try:
            self._credentials: Any = library.load_credentials_from_file(file, scopes=[_SCOPE])[0]
        except Exception as error:  # noqa: BLE001  (google-auth raises its own and json's errors; the file is a secret)
            raise ProviderError("setup", f"`credentials_file` cannot be used ({type(error).__name__}).") from None

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Put a valid token on the request."""
        if not self._credentials.valid:
            try:
                await asyncio.to_thread(self._credentials.refresh, self._transport.Request())
            except Exception as error:  # noqa: BLE001  (its transport's errors are of no common kind)
                raise ProviderError("setup", f"Google gives no token ({type(error).__name__}).") from None
        request.headers["authorization"] = f"Bearer {self._credentials.token}"
        yield request
