"""What calls cost, by the vendors' public price lists (genai-prices, offline) or by the project's own prices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from importlib.metadata import version
from typing import Any, cast

import orjson

from signoff.capabilities.gateway.chat import ChatUsage
from signoff.capabilities.gateway.provider import ProviderError
from signoff.catalog.models import ModelSpec
from signoff.core.identities import OncePerObject
from signoff.core.ids import digest
from signoff.core.money import Cost
from signoff.core.values import value

KNOWN_RATES = 512
"""How many models' prices are kept: looking one up takes a quarter of a millisecond."""

LOCAL = "local"
"""Whose price table models inside the deployment are paid by: none, they cost nothing."""
_MILLION = 1_000_000
LISTED = {
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


@value
class Priced:
    """What a call costs.

    Attributes:
        cost: in all.
        version: by which table: `genai-prices 0.2.3`, `models.yaml 2026-11`, `local`. Kept with each call's record.
    """

    cost: Cost
    version: str


@value
class Rates:
    """Prices in US dollars per million tokens, `request` per call. Parts without their own take the whole's."""

    input: Decimal
    output: Decimal
    cached_input: Decimal
    cache_write: Decimal
    reasoning: Decimal
    image_input: Decimal
    image_output: Decimal
    request: Decimal = Decimal(0)
    _scaled: tuple[int, int, int, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Most calls are priced by these three, three times each: as whole numbers that takes a tenth of the time.
        shown = (self.input, self.output, self.request * _MILLION)
        scale = math.lcm(*(rate.as_integer_ratio()[1] for rate in shown))
        read, write, request = (int(rate * scale) for rate in shown)
        object.__setattr__(self, "_scaled", (read, write, request, scale))

    def cost(self, usage: ChatUsage) -> Cost:
        """What a call comes to: each part of the tokens at its own price, the rest at the whole's."""
        read = max(
            0, usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens - usage.image_input_tokens
        )
        written = max(0, usage.output_tokens - usage.reasoning_tokens - usage.image_output_tokens)
        if read == usage.input_tokens and written == usage.output_tokens:
            return self.whole(read, written)
        total = self.input * read + self.output * written
        for rate, tokens in (
            (self.cached_input, usage.cached_input_tokens),
            (self.cache_write, usage.cache_write_tokens),
            (self.image_input, usage.image_input_tokens),
            (self.reasoning, usage.reasoning_tokens),
            (self.image_output, usage.image_output_tokens),
        ):
            if tokens:
                total += rate * tokens
        return Cost.from_usd(total / _MILLION + self.request)

    def whole(self, read: int, written: int) -> Cost:
        """Of a call none of whose tokens has a price of its own, rounded half up to a millionth of a US dollar."""
        # US dollars per million tokens are millionths per token.
        reads, writes, request, scale = self._scaled
        return Cost((2 * (reads * read + writes * written + request) + scale) // (2 * scale))


def priced(spec: ModelSpec, usage: ChatUsage, *, local: bool) -> Priced | None:
    """What a call costs, and by which prices; none where nobody knows.

    Local models are free. A model's own `price` wins over the lists: `free`, or `{input_usd: 0.15, output_usd: 0.60}`
    per million tokens. An OpenAI-compatible endpoint is looked up by its URL, because the same model name costs
    something else elsewhere.

    Raises:
        ProviderError: the `price` setting is malformed.
    """
    if local:
        return Priced(Cost(), LOCAL)
    table = _table(spec)
    return None if table is None else Priced(_cost(table.rates, usage), table.version)


def price(spec: ModelSpec, *, local: bool, input_tokens: int, output_tokens: int) -> Cost | None:
    """What a call of so many tokens costs; none where nobody knows.

    Raises:
        ProviderError: the `price` setting is malformed.
    """
    if local:
        return Cost()
    table = _table(spec)
    if table is None:
        return None
    if isinstance(table.rates, Rates):
        return table.rates.whole(input_tokens, output_tokens)
    return _cost(table.rates, ChatUsage(input_tokens, output_tokens))


def price_version(spec: ModelSpec, *, local: bool) -> str:
    """By which table a model's calls are paid; empty where nobody knows its price."""
    if local:
        return LOCAL
    try:
        table = _table(spec)
    except ProviderError:
        return ""
    return "" if table is None else table.version


def estimated_price(spec: ModelSpec, input_tokens: int, output_tokens: int) -> Cost | None:
    """What a call of a vendor's model would cost; none where nobody knows, or its `price` is malformed."""
    try:
        return price(spec, local=False, input_tokens=input_tokens, output_tokens=output_tokens)
    except ProviderError:
        return None


@value
class _Table:
    """By what a model's calls are paid; where `rates` are none, they are free."""

    rates: Rates | _Lookup | None
    version: str


def _cost(rates: Rates | _Lookup | None, usage: ChatUsage) -> Cost:
    if rates is None:
        return Cost()
    return rates.cost(usage) if isinstance(rates, Rates) else _calculated(rates, usage)


def _read_table(spec: ModelSpec) -> _Table | None:
    own = spec.settings.get("price")
    if own == "free":
        return _Table(None, "free")
    if own is not None:
        return _Table(*_own_rates(spec.name, orjson.dumps(own, option=orjson.OPT_SORT_KEYS)))
    base_url = spec.settings.get("base_url")
    listed = _listed(spec.provider, str(spec.settings.get("model", "")), None if base_url is None else str(base_url))
    return None if listed is None else _Table(listed, f"genai-prices {_list_version()}")


_table = OncePerObject(_read_table, most=KNOWN_RATES)


@lru_cache(maxsize=KNOWN_RATES)
def _own_rates(name: str, written: bytes) -> tuple[Rates, str]:
    try:
        table = cast("dict[str, Any]", orjson.loads(written))
        read, write = (Decimal(str(table[key])) for key in ("input_usd", "output_usd"))

        def of(key: str, whole: Decimal) -> Decimal:
            return Decimal(str(table[key])) if key in table else whole

        rates = Rates(
            input=read,
            output=write,
            cached_input=of("cached_input_usd", read),
            cache_write=of("cache_write_usd", read),
            reasoning=of("reasoning_usd", write),
            image_input=of("image_input_usd", read),
            image_output=of("image_output_usd", write),
            request=of("request_usd", Decimal(0)),
        )
        return rates, f"models.yaml {table.get('version') or digest(written)[:8]}"
    except (TypeError, KeyError, InvalidOperation, ValueError, OverflowError):  # the last two of what is no number
        raise ProviderError(
            "setup", f"The price of {name} must be `free` or `{{input_usd: …, output_usd: …}}` per million tokens."
        ) from None


@value
class _Lookup:
    """A price that depends on more than tokens, such as the time of day or the length of the input: asked each time."""

    model: str
    where: Mapping[str, str]


@lru_cache(maxsize=KNOWN_RATES)
def _listed(provider: str, model: str, base_url: str | None) -> Rates | _Lookup | None:
    """What the lists say of a model; none where they do not know it."""
    from genai_prices import Usage, calc_price  # noqa: PLC0415  (0.7 s for its first answer: only where money is spent)
    from genai_prices.types import ModelPrice  # noqa: PLC0415  (likewise)

    if provider in LISTED:
        where = {"provider_id": LISTED[provider]}
    elif base_url:
        where = {"provider_api_url": base_url}
    elif provider == "openai_compatible":
        where = {"provider_id": "openai"}
    else:
        return None
    try:
        found = calc_price(Usage(input_tokens=0, output_tokens=0), model, **cast("Any", where))
    except LookupError:
        return None
    lookup = _Lookup(model, where)
    prices = found.model.prices
    if not isinstance(prices, ModelPrice) or any(
        not isinstance(value, Decimal) for value in vars(prices).values() if value is not None
    ):
        return lookup

    def million(**tokens: int) -> Decimal:
        return calc_price(Usage(**tokens), model, **cast("Any", where)).total_price

    fixed = million(input_tokens=0, output_tokens=0)
    read = million(input_tokens=_MILLION, output_tokens=0)
    write = million(input_tokens=0, output_tokens=_MILLION)
    return Rates(
        input=read - fixed,
        output=write - fixed,
        cached_input=million(input_tokens=_MILLION, output_tokens=0, cache_read_tokens=_MILLION) - fixed,
        cache_write=million(input_tokens=_MILLION, output_tokens=0, cache_write_tokens=_MILLION) - fixed,
        reasoning=million(input_tokens=0, output_tokens=_MILLION, output_reasoning_tokens=_MILLION) - fixed,
        image_input=million(input_tokens=_MILLION, output_tokens=0, input_image_tokens=_MILLION) - fixed,
        image_output=million(input_tokens=0, output_tokens=_MILLION, output_image_tokens=_MILLION) - fixed,
        request=fixed,
    )


def _calculated(lookup: _Lookup, usage: ChatUsage) -> Cost:
    from genai_prices import Usage, calc_price  # noqa: PLC0415  (as above)

    parts = {
        "cache_read_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "output_reasoning_tokens": usage.reasoning_tokens,
        "input_image_tokens": usage.image_input_tokens,
        "output_image_tokens": usage.image_output_tokens,
    }
    given = {name: tokens for name, tokens in parts.items() if tokens}
    whole = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    where = cast("Any", lookup.where)
    try:
        found = calc_price(Usage(**whole, **given), lookup.model, **where)
    except ValueError:  # parts that add up to more than the whole: the whole is what the vendor bills
        found = calc_price(Usage(**whole), lookup.model, **where)
    return Cost.from_usd(found.total_price)


@lru_cache(maxsize=1)
def _list_version() -> str:
    return version("genai-prices")
