"""`openai_compatible`: OpenAI, and whatever speaks its chat-completions format (vLLM, Ollama, llama.cpp, …)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import openai
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from signoff.capabilities.gateway.configuration import required
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers.vendors import Vendor, base_url, http_client
from signoff.catalog.models import ModelSpec

DEFAULT_BASE_URL = "https://api.openai.com/v1"
_NO_KEY = "none"


class OpenAICompatible(Vendor):
    """A model at an OpenAI-compatible endpoint. Local servers need no `api_key`."""

    tasks = frozenset({"classify", "extract", "generate", "embed"})

    def __init__(self, spec: ModelSpec) -> None:
        url = base_url(spec, DEFAULT_BASE_URL)
        # The SDK reads both from the environment; whose account pays is for models.yaml to say.
        connections = http_client(url, never_sent=("OpenAI-Organization", "OpenAI-Project"))
        self._client = openai.AsyncOpenAI(
            api_key=str(spec.settings.get("api_key") or _NO_KEY),
            base_url=url,
            max_retries=0,
            http_client=connections,
        )
        self._model_name = required(spec, "model")
        model = OpenAIChatModel(self._model_name, provider=OpenAIProvider(openai_client=self._client))
        super().__init__("openai_compatible", model, connections, spec)

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Vectors by the endpoint's `/embeddings`.

        Raises:
            ProviderError: no answer.
        """
        try:
            reply = await self._client.embeddings.create(
                model=self._model_name, input=list(texts), encoding_format="float"
            )
        except openai.APIStatusError as error:
            kind = "unavailable" if error.status_code >= 500 or error.status_code == 429 else "setup"  # noqa: PLR2004  (HTTP)
            raise ProviderError(kind, f"The vendor does not embed ({error.status_code}).") from None
        except openai.OpenAIError:
            raise ProviderError("unavailable", "The vendor cannot be reached.") from None
        ordered = sorted(reply.data, key=lambda item: item.index)
        return [_unit(item.embedding) for item in ordered]


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]


def create(spec: ModelSpec) -> OpenAICompatible:
    """The provider of one configured model."""
    return OpenAICompatible(spec)
