"""What tokens cost, by the vendors' price lists (genai-prices, offline) or by the project's own prices."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, cast

from signoff.capabilities.gateway.provider import ProviderError
from signoff.catalog.models import ModelSpec
from signoff.core.money import Cost

_MILLION = Decimal(1_000_000)
_LISTED = {
    "openai": "openai",
    "azure_openai": "azure",
    "mistral": "mistral",
    "groq": "groq",
    "openrouter": "openrouter",
    "deepseek": "deepseek",
    "cerebras": "cerebras",
    "anthropic": "anthropic",
    "google": "google",
    "google_vertex": "google",
    "bedrock": "aws",
    "cohere": "cohere",
}
"""The price list of each kind that has one; `huggingface` and `ollama` cost what their `price` says."""


def price(spec: ModelSpec, *, local: bool, input_tokens: int, output_tokens: int) -> Cost | None:
    """What a call costs; none where nobody knows.

    Local models are free. A model's own `price` setting wins over the lists: `free`, or
    `{input_usd: 0.15, output_usd: 0.60}` per million tokens. An OpenAI-compatible endpoint is looked up by its URL,
    because the same model name costs something else elsewhere.

    Raises:
        ProviderError: the `price` setting is malformed.
    """
    if local:
        return Cost()
    own = spec.settings.get("price")
    if own is not None:
        return _own_price(spec, own, input_tokens, output_tokens)
    return _list_price(spec, input_tokens, output_tokens)


def estimated_price(spec: ModelSpec, input_tokens: int, output_tokens: int) -> Cost | None:
    """What a call of a vendor's model would cost; none where nobody knows, or its `price` is malformed."""
    try:
        return price(spec, local=False, input_tokens=input_tokens, output_tokens=output_tokens)
    except ProviderError:
        return None


def _own_price(spec: ModelSpec, own: Any, input_tokens: int, output_tokens: int) -> Cost:
    if own == "free":
        return Cost()
    try:
        table = cast("dict[str, Any]", own)
        per_input, per_output = (Decimal(str(table[key])) for key in ("input_usd", "output_usd"))
    except (TypeError, KeyError, InvalidOperation):
        raise ProviderError(
            "setup", f"The price of {spec.name} must be `free` or `{{input_usd: …, output_usd: …}}` per million tokens."
        ) from None
    return Cost.from_usd((per_input * input_tokens + per_output * output_tokens) / _MILLION)


def _list_price(spec: ModelSpec, input_tokens: int, output_tokens: int) -> Cost | None:
    from genai_prices import Usage, calc_price  # noqa: PLC0415  (0.7 s for its first answer: only where money is spent)

    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    model = str(spec.settings.get("model", ""))
    base_url = spec.settings.get("base_url")
    try:
        if spec.provider in _LISTED:
            found = calc_price(usage, model, provider_id=_LISTED[spec.provider])
        elif base_url:
            found = calc_price(usage, model, provider_api_url=str(base_url))
        elif spec.provider == "openai_compatible":
            found = calc_price(usage, model, provider_id="openai")
        else:
            return None
    except LookupError:
        return None
    return Cost.from_usd(found.total_price)
