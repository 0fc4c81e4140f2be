"""Money: what a call may cost is there before it is made, and what it cost is counted after it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.gateway_cases import GOOD, permit_all, task

from signoff.capabilities.gateway import Attempt, Budget, Gateway, GatewayError, ProviderError
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


async def never(_: Any) -> str:
    await asyncio.Event().wait()
    return ""


async def test_a_call_that_timed_out_counts_as_what_was_set_aside_since_vendors_bill_it():
    budget = Budget(Cost.from_usd(1))
    gateway, config = gateway_of(ScriptedProvider([never], local=False), {"price": DEAR})
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(task(timeout_s=0.02), config, decide=permit_all, budget=budget)
    (attempt,) = caught.value.attempts
    assert (attempt.outcome, attempt.usage.model_calls) == ("timeout", 1)
    assert attempt.usage.input_tokens > 0
    assert attempt.usage.cost == Cost(1_000 * (attempt.usage.input_tokens + task().max_output_tokens))
    assert budget.left == Cost(1_000_000 - attempt.usage.cost.micro_usd)


async def test_a_cancelled_call_to_a_vendor_counts_too_and_one_to_a_local_model_does_not():
    for local in (False, True):
        started, seen, budget = asyncio.Event(), list[Attempt](), Budget(Cost.from_usd(1))

        async def begun(request: Any, started: asyncio.Event = started) -> str:
            started.set()
            return await never(request)

        gateway, config = gateway_of(ScriptedProvider([begun], local=local), {"price": DEAR})
        running = asyncio.create_task(
            gateway.complete(task(), config, decide=permit_all, budget=budget, observe=seen.append)
        )
        await started.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        (attempt,) = seen
        assert (attempt.outcome, attempt.usage.model_calls) == ("cancelled", 1)
        assert (attempt.usage.cost == Cost()) is local
        assert budget.left.micro_usd == 1_000_000 - attempt.usage.cost.micro_usd


async def test_a_call_that_was_refused_by_the_vendor_costs_nothing():
    budget = Budget(Cost.from_usd(1))
    gateway, config = gateway_of(
        ScriptedProvider([ProviderError("rate_limited", "slow")], local=False), {"price": DEAR}
    )
    with pytest.raises(GatewayError):
        await gateway.complete(task(), config, decide=permit_all, budget=budget)
    assert budget.left == Cost.from_usd(1)


async def test_embeddings_are_paid_from_the_budget_even_where_no_vector_came():
    class Slow(ScriptedProvider):
        async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
            await never(texts)
            return []

    seen, budget = list[Attempt](), Budget(Cost.from_usd(1))
    gateway, config = gateway_of(Slow(local=False), {"price": DEAR})
    with pytest.raises(GatewayError) as caught:
        await gateway.embed(["a query"], config, decide=permit_all, budget=budget, timeout_s=0.02, observe=seen.append)
    assert [attempt.outcome for attempt in seen] == ["timeout"]
    assert caught.value.usage.cost > Cost()
    assert budget.left.micro_usd == 1_000_000 - caught.value.usage.cost.micro_usd

    gateway, config = gateway_of(ScriptedProvider(local=False), {"price": DEAR})
    with pytest.raises(GatewayError) as caught:
        await gateway.embed(["word " * 1_000], config, decide=permit_all, budget=budget)
    assert caught.value.kind == "budget"


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
