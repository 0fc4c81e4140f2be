"""What the gateway keeps so as not to work it out for each call is always what it would work out anew."""

from __future__ import annotations

import random
from statistics import median
from uuid import UUID

import pytest

from signoff.capabilities.gateway.chat import ChatUsage
from signoff.capabilities.gateway.connected import Providers
from signoff.capabilities.gateway.pricing import price, price_version, priced
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers import default_factories
from signoff.capabilities.gateway.resilience.health import MAX_CALLS, WINDOW_S, Health
from signoff.catalog.models import ModelSpec
from signoff.core.clock import SystemClock
from signoff.core.identities import OncePerObject

KEY = (UUID(int=1), "m")


class _Clock(SystemClock):
    now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s


def test_health_is_that_of_the_last_calls_in_the_window() -> None:
    clock, chance = _Clock(), random.Random(7)
    health = Health(clock)
    seen: list[tuple[float, bool, float]] = []
    for _ in range(600):
        clock.now_s += chance.choice((0.0, 1.0, 40.0))
        failed, latency_s = chance.random() < 0.4, chance.choice((0.1, 0.2, chance.random()))
        health.saw(KEY, failed=failed, latency_s=latency_s)
        seen.append((clock.monotonic_s(), failed, latency_s))
        clock.now_s += chance.choice((0.0, 10.0))
        calls = [one for one in seen[-MAX_CALLS:] if one[0] > clock.monotonic_s() - WINDOW_S]
        good = [latency for _, broke, latency in calls if not broke]
        found = health.of(KEY)
        assert found.calls == len(calls)
        assert found.error_rate == (1 - len(good) / len(calls) if calls else 0.0)
        assert found.latency_s == (pytest.approx(median(good)) if good else None)


def test_an_answer_is_kept_by_object_and_never_given_to_another() -> None:
    asked: list[list[int]] = []

    def total(numbers: list[int]) -> int:
        asked.append(numbers)
        return sum(numbers)

    once = OncePerObject(total, most=2)
    lists = [[number] for number in range(5)]
    assert [once(numbers) for numbers in (*lists, *lists)] == [*range(5), *range(5)]
    assert once(lists[4]) == 4
    assert once(lists[4]) == 4
    assert asked.count(lists[4]) == 2


async def test_a_variable_that_changes_makes_another_provider() -> None:
    environment = {"KEY": "one"}
    spec = ModelSpec("m", "openai", {"model": "gpt-5-mini", "api_key": "${env.KEY}"})
    providers = Providers(default_factories(), environment)
    try:
        first = await providers.of(spec)
        assert await providers.of(spec) is first
        environment["KEY"] = "two"
        second = await providers.of(spec)
        assert second is not first
        environment["KEY"] = "one"
        assert await providers.of(spec) is first
        del environment["KEY"]
        with pytest.raises(ProviderError, match="KEY"):
            await providers.of(spec)
    finally:
        await providers.aclose()


def test_a_price_of_tokens_alone_is_that_of_the_whole_report() -> None:
    table = {"input_usd": 0.3, "output_usd": 1.7, "cached_input_usd": 0.1, "request_usd": 0.002, "version": "7"}
    spec = ModelSpec("m", "openai_compatible", {"model": "m", "price": table})
    plain = price(spec, local=False, input_tokens=1_001, output_tokens=77)
    reported = priced(spec, ChatUsage(1_001, 77, reported=True), local=False)
    cached = priced(spec, ChatUsage(1_001, 77, cached_input_tokens=1, reported=True), local=False)
    assert reported is not None
    assert cached is not None
    assert plain == reported.cost
    assert reported.cost.micro_usd == 2_431  # 300.3 + 130.9 + 2000 millionths
    assert cached.cost.micro_usd in (2_430, 2_431)
    assert price_version(spec, local=False) == reported.version == "models.yaml 7"
