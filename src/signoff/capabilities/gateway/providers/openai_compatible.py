"""`openai`, `openai_compatible`, and the vendors that speak OpenAI's formats with an accent of their own."""

from __future__ import annotations

from collections.abc import Mapping

from signoff.capabilities.gateway.configuration import required
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers.vectors import VectorVendor, mistral_vectors, openai_vectors
from signoff.capabilities.gateway.providers.vendors import Endpoint, base_url, one_of
from signoff.capabilities.gateway.providers.wire.openai_chat import Dialect, OpenAIChat
from signoff.capabilities.gateway.providers.wire.openai_responses import OpenAIResponses
from signoff.capabilities.gateway.providers.wire.tuning import (
    AZURE,
    AZURE_RESPONSES,
    CEREBRAS,
    COMPATIBLE,
    DEEPSEEK,
    GROQ,
    HUGGINGFACE,
    MISTRAL,
    OPENROUTER,
    RESPONSES,
)
from signoff.catalog.models import ModelSpec
from signoff.core.values import value

_AZURE = "https://YOUR-RESOURCE.openai.azure.com"


@value
class _Accent:
    """What a kind has of its own.

    Attributes:
        base_url: where it is; none where the project must say.
        dialect: of its chat completions.
        key: whether it demands an `api_key`.
        embeds: whether it has `/embeddings`.
        apis: what the setting `api` may be, the default first.
    """

    base_url: str | None
    dialect: Dialect
    key: bool = True
    embeds: bool = False
    apis: tuple[str, ...] = ("chat",)


_BOTH = ("chat", "responses")
_ACCENTS: Mapping[str, _Accent] = {
    "openai": _Accent(
        "https://api.openai.com/v1", Dialect(max_tokens="max_completion_tokens"), embeds=True, apis=_BOTH
    ),
    # Local servers need no key, and know the older name of the limit only.
    "openai_compatible": _Accent(
        "https://api.openai.com/v1", Dialect(places=COMPATIBLE), key=False, embeds=True, apis=_BOTH
    ),
    "azure_openai": _Accent(None, Dialect(max_tokens="max_completion_tokens", places=AZURE), embeds=True, apis=_BOTH),
    # Mistral refuses `stream_options`, reports usage unasked, calls "some tool" `any`, and takes files by their URLs.
    "mistral": _Accent(
        "https://api.mistral.ai/v1",
        Dialect(usage_on_request=False, required="any", documents="document_url", places=MISTRAL, likelihood=False),
        embeds=True,
    ),
    # Groq's structured output is of few models and not of streams or tools; the schema in words works with all.
    "groq": _Accent(
        "https://api.groq.com/openai/v1",
        Dialect(
            max_tokens="max_completion_tokens", structured="words", documents="none", places=GROQ, likelihood=False
        ),
    ),
    "openrouter": _Accent("https://openrouter.ai/api/v1", Dialect(places=OPENROUTER), apis=_BOTH),
    # DeepSeek knows `json_object` only.
    "deepseek": _Accent(
        "https://api.deepseek.com", Dialect(structured="words", documents="none", places=DEEPSEEK), apis=_BOTH
    ),
    "cerebras": _Accent(
        "https://api.cerebras.ai/v1", Dialect(max_tokens="max_completion_tokens", documents="none", places=CEREBRAS)
    ),
    "huggingface": _Accent(
        "https://router.huggingface.co/v1", Dialect(structured="words", documents="none", places=HUGGINGFACE)
    ),
}


class OpenAICompatible(VectorVendor):
    """A model at an endpoint that speaks OpenAI's formats."""

    def __init__(self, spec: ModelSpec) -> None:
        accent = _ACCENTS[spec.provider]
        key = required(spec, "api_key") if accent.key else spec.settings.get("api_key")
        api = one_of(spec, "api", accent.apis)
        if spec.provider == "azure_openai":
            url, embeddings, headers = _azure(spec, api, str(key))
        else:
            root = base_url(spec, accent.base_url or "")
            url = root + ("/responses" if api == "responses" else "/chat/completions")
            embeddings, headers = f"{root}/embeddings", {"authorization": f"Bearer {key}"} if key else {}
        responses = AZURE_RESPONSES if spec.provider == "azure_openai" else RESPONSES
        wire = OpenAIResponses(responses) if api == "responses" else OpenAIChat(accent.dialect)
        form = mistral_vectors if spec.provider == "mistral" else openai_vectors
        super().__init__(spec, wire, Endpoint(url, url, headers), form(embeddings) if accent.embeds else None)


def _azure(spec: ModelSpec, api: str, key: str) -> tuple[str, str, dict[str, str]]:
    """Azure's URLs: of a deployment where `api_version` is given, of the newer `v1` surface where not."""
    if not spec.settings.get("base_url"):
        raise ProviderError("setup", f"{spec.name} needs `base_url` in models.yaml, such as {_AZURE}.")
    root = f"{base_url(spec, '')}/openai"
    version = spec.settings.get("api_version")
    if api == "responses" or not version:
        ending = "responses" if api == "responses" else "chat/completions"
        return f"{root}/v1/{ending}", f"{root}/v1/embeddings", {"api-key": key}
    deployment = f"{root}/deployments/{required(spec, 'model')}"
    return (
        f"{deployment}/chat/completions?api-version={version}",
        f"{deployment}/embeddings?api-version={version}",
        {"api-key": key},
    )


def create(spec: ModelSpec) -> OpenAICompatible:
    """The provider of one configured model.

    Raises:
        ProviderError: a setting is missing or wrong.
    """
    return OpenAICompatible(spec)
