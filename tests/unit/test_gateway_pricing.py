"""Prices: each part of the tokens at its own, by lists or by the project, and always told by which version."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.capabilities.gateway.chat import ChatUsage
from signoff.capabilities.gateway.pricing import priced
from signoff.catalog.models import ModelSpec
from signoff.core.money import Cost

OWN = {"input_usd": 10, "output_usd": 20}
PARTS = {
    "cached_input_usd": 1,
    "cache_write_usd": 12,
    "reasoning_usd": 30,
    "image_input_usd": 5,
    "image_output_usd": 100,
    "request_usd": 0.001,
}


def cost(settings: dict[str, Any], usage: ChatUsage, provider: str = "openai") -> Cost:
    found = priced(ModelSpec("m", provider, settings), usage, local=False)
    assert found is not None
    return found.cost


def test_every_kind_of_token_has_its_own_price():
    usage = ChatUsage(
        input_tokens=1_000_000,
        output_tokens=1_000_000,
        cached_input_tokens=200_000,
        cache_write_tokens=100_000,
        reasoning_tokens=500_000,
        image_input_tokens=100_000,
        image_output_tokens=100_000,
    )
    assert cost({"price": OWN}, usage) == Cost.from_usd(30)
    by_part = Decimal(6) + Decimal("0.2") + Decimal("1.2") + Decimal("0.5") + 8 + 15 + 10 + Decimal("0.001")
    assert cost({"price": {**OWN, **PARTS}}, usage) == Cost.from_usd(by_part)


def test_parts_that_exceed_the_whole_cost_no_less_than_nothing():
    assert cost({"price": OWN}, ChatUsage(10, 0, cached_input_tokens=20)) == Cost(200)


@settings(deadline=None)  # the lists are read with the first call, which takes a second
@given(
    st.sampled_from([("openai", "gpt-4o-mini"), ("openai", "gpt-5"), ("anthropic", "claude-sonnet-4-6")]),
    *[st.integers(0, 10**6)] * 4,
)
def test_lists_are_followed_to_the_millionth(
    named: tuple[str, str], read: int, written: int, cached: int, thought: int
):
    provider, model = named
    cached, thought = min(cached, read), min(thought, written)
    usage = Usage(input_tokens=read, output_tokens=written, cache_read_tokens=cached)
    listed = calc_price(usage, model, provider_id=provider).total_price  # type: ignore[arg-type]  # (any text)
    assert cost(
        {"model": model}, ChatUsage(read, written, cached, reasoning_tokens=thought), provider
    ) == Cost.from_usd(listed)


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "claude-sonnet-4-5"])
def test_prices_that_depend_on_the_length_of_the_input_are_looked_up(model: str):
    provider = "google" if model.startswith("gemini") else "anthropic"
    for read in (1_000, 300_000):
        listed = calc_price(Usage(input_tokens=read, output_tokens=100), model, provider_id=provider).total_price  # type: ignore[arg-type]  # (any text)
        assert cost({"model": model}, ChatUsage(read, 100), provider) == Cost.from_usd(listed)


def test_the_version_of_the_price_is_told():
    def told(settings: dict[str, Any], *, local: bool = False) -> str:
        found = priced(ModelSpec("m", "openai", settings), ChatUsage(1, 1), local=local)
        assert found is not None
        return found.version

    assert told({}, local=True) == "local"
    assert told({"price": "free"}) == "free"
    assert told({"model": "gpt-4o-mini"}).startswith("genai-prices ")
    assert told({"price": {**OWN, "version": "2026-11"}}) == "models.yaml 2026-11"
    assert told({"price": OWN}) != told({"price": {**OWN, "input_usd": 11}})
    assert priced(ModelSpec("m", "openai", {"model": "unheard-of"}), ChatUsage(1, 1), local=False) is None
