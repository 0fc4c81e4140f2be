"""Money: what a call may cost is there before it is made, and what it cost is counted after it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.gateway_cases import GOOD, permit_all, task

from signoff.capabilities.gateway import Budget, Gateway, GatewayError
from signoff.capabilities.gateway.pricing import price
from signoff.catalog.models import ModelsConfig, ModelSpec, Route
from signoff.core.money import Cost
from signoff.testing import ScriptedProvider

DEAR = {"input_usd": 1_000, "output_usd": 1_000}  # a tenth of a cent a token


def gateway_of(provider: ScriptedProvider, settings: dict[str, Any]) -> tuple[Gateway, ModelsConfig]:
    config = ModelsConfig({"m": ModelSpec("m", "k", settings)}, (Route(("m",)),))
    return Gateway({"k": provider.factory}), config


async def test_a_call_that_the_budget_cannot_cover_is_not_made():
    provider = ScriptedProvider([GOOD], local=False)
    gateway, config = gateway_of(provider, {"price": DEAR})
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(task(), config, decide=permit_all, budget=Budget(Cost.from_usd("0.01")))
    assert caught.value.kind == "budget"
    assert not caught.value.retryable
    assert not provider.requests


async def test_a_call_is_settled_at_what_it_cost():
    budget = Budget(Cost.from_usd(1), spent=Cost.from_usd("0.1"))
    provider = ScriptedProvider([GOOD], local=False, input_tokens=10, output_tokens=5)
    gateway, config = gateway_of(provider, {"price": DEAR})
    result = await gateway.complete(task(), config, decide=permit_all, budget=budget)
    assert result.usage.cost == Cost.from_usd("0.015")
    assert budget.left == Cost.from_usd("0.885")


async def test_repairs_stop_where_the_budget_ends():
    provider = ScriptedProvider(["garbage"], repeat=True, local=False, input_tokens=100, output_tokens=50)
    gateway, config = gateway_of(provider, {"price": DEAR})
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(task(), config, decide=permit_all, budget=Budget(Cost.from_usd("0.2")))
    assert caught.value.kind == "budget"
    assert caught.value.usage.cost == Cost.from_usd("0.15")
    assert len(provider.requests) == 1


async def test_an_unknown_price_and_a_budget_do_not_go_together():
    provider = ScriptedProvider([GOOD], local=False, repeat=True)
    gateway, config = gateway_of(provider, {"model": "nobody-knows"})
    with pytest.raises(GatewayError, match="price") as caught:
        await gateway.complete(task(), config, decide=permit_all, budget=Budget(Cost.from_usd(1)))
    assert caught.value.kind == "budget"
    assert not provider.requests
    await gateway.complete(task(), config, decide=permit_all)


@pytest.mark.parametrize(("settings", "local"), [({"price": "free"}, False), ({}, True)])
async def test_free_and_local_models_need_no_budget(settings: dict[str, Any], local: bool):
    provider = ScriptedProvider([GOOD], local=local)
    gateway, config = gateway_of(provider, settings)
    result = await gateway.complete(task(), config, decide=permit_all, budget=Budget(Cost()))
    assert result.usage.cost == Cost()


async def test_a_server_that_reports_no_usage_is_estimated():
    provider = ScriptedProvider([GOOD], local=False, input_tokens=0, output_tokens=0)
    gateway, config = gateway_of(provider, {"price": DEAR})
    result = await gateway.complete(task(), config, decide=permit_all)
    assert result.usage.input_tokens > 0
    assert result.usage.cost > Cost()


async def test_a_malformed_price_is_a_setup_problem():
    provider = ScriptedProvider([GOOD], local=False)
    gateway, config = gateway_of(provider, {"price": "cheap"})
    with pytest.raises(GatewayError, match="price of m"):
        await gateway.complete(task(), config, decide=permit_all)


def test_list_prices_know_vendors_by_kind_and_url():
    def cost(provider: str, **settings: Any) -> Cost | None:
        spec = ModelSpec("m", provider, settings)
        return price(spec, local=False, input_tokens=1_000_000, output_tokens=0)

    assert cost("openai_compatible", model="gpt-4o-mini") == Cost.from_usd(Decimal("0.15"))
    by_url = cost("openai_compatible", model="gpt-4o-mini", base_url="https://api.openai.com/v1")
    assert by_url == Cost.from_usd(Decimal("0.15"))
    assert cost("openai_compatible", model="gpt-4o-mini", base_url="http://127.0.0.1:1/v1") is None
    assert cost("anthropic", model="claude-sonnet-4-6") is not None
    assert cost("google", model="gemini-2.5-flash") is not None
    assert cost("anthropic", model="unheard-of") is None


@given(
    st.integers(0, 10**9),
    st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**8)), max_size=20),
)
def test_a_budget_never_gives_out_more_than_it_has(limit: int, calls: list[tuple[int, int]]):
    budget = Budget(Cost(limit))
    spent = 0
    for most, part in calls:
        actual = Cost(min(most, part))
        if budget.reserve(Cost(most)):
            budget.settle(Cost(most), actual)
            spent += actual.micro_usd
    assert spent <= limit
    assert budget.left == Cost(limit - spent)
