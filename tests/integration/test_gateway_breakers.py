"""A model that keeps failing is left alone by every gateway of one database, and tried by one probe."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from support.chat_cases import ASKED, HELLO, ScriptedChat, models
from support.gateway_cases import permit_all

from signoff.capabilities.gateway import Gateway, ProviderError
from signoff.capabilities.gateway.asking import ChatError
from signoff.capabilities.gateway.chat import TextDelta
from signoff.capabilities.gateway.resilience.settings import ResilienceSettings
from signoff.catalog.models import ModelsConfig
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.runtime.breakers import Breakers, BreakerSettings, list_breakers

SETTINGS = BreakerSettings(failures=3, slow_calls=2, slow_s=5, window_s=300, open_s=10, longest_open_s=40, refresh_s=1)
DOWN = ProviderError("unavailable", "Down.")
OURS = replace(ASKED, caller=replace(ASKED.caller, org_id=DEFAULT_ORG_ID))


@dataclass
class Moved:
    """A clock that tests move, and that sleeps in no time."""

    at: datetime = field(default_factory=lambda: datetime(2026, 5, 1, tzinfo=UTC))

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def worker(database: Database, clock: Moved, **chats: ScriptedChat) -> tuple[Gateway, ModelsConfig]:
    """One process's gateway, whose models are asked once each."""
    breakers = Breakers(database, clock=clock, settings=SETTINGS, chance=lambda: 0.0)
    return models(
        gateway={"clock": clock, "breakers": breakers, "settings": ResilienceSettings(retries=0)},
        **chats,
    )


async def told(database: Database) -> dict[str, tuple[str, str]]:
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        return {one.target: (one.state, one.reason) for one in await list_breakers(connection, DEFAULT_ORG_ID)}


async def test_what_one_gateway_gives_up_the_other_passes_over_until_a_probe_succeeds(database: Database):
    clock = Moved()
    first, second = ScriptedChat([DOWN]), ScriptedChat(["Back."])
    one, config = worker(database, clock, main=first, spare=ScriptedChat(["Spare."]))
    two, _ = worker(database, clock, main=second, spare=ScriptedChat(["Spare."]))
    for _ in range(3):
        result = await one.chat(HELLO, OURS, config, decide=permit_all)
        assert result.record.model == "spare"
    assert (await told(database))["model/main"] == ("open", "unavailable")

    clock.at += timedelta(seconds=2)
    result = await two.chat(HELLO, OURS, config, decide=permit_all)
    assert result.record.model == "spare"
    assert not second.chats
    passed = next(item for item in result.record.considered if item.model == "main")
    assert "left alone for 8 s" in passed.excluded

    clock.at += timedelta(seconds=9)
    result = await two.chat(HELLO, OURS, config, decide=permit_all)
    assert result.reply.text == "Back."
    assert (await told(database))["model/main"][0] == "closed"
    clock.at += timedelta(seconds=2)
    await one.chat(HELLO, OURS, config, decide=permit_all)
    assert len(first.chats) == 4, "the other gateway asks again too"


async def test_one_probe_at_a_time_and_a_failed_one_opens_for_longer(database: Database):
    clock, release = Moved(), asyncio.Event()
    first, second = ScriptedChat([DOWN, DOWN, DOWN, [release, DOWN]]), ScriptedChat()
    one, config = worker(database, clock, main=first)
    two, _ = worker(database, clock, main=second)
    for _ in range(3):
        with pytest.raises(ChatError):
            await one.chat(HELLO, OURS, config, decide=permit_all)
    clock.at += timedelta(seconds=11)
    first.asked.clear()
    probe = asyncio.ensure_future(one.chat(HELLO, OURS, config, decide=permit_all))
    await first.asked.wait()
    assert (await told(database))["model/main"][0] == "half_open"
    with pytest.raises(ChatError) as caught:
        await two.chat(HELLO, OURS, config, decide=permit_all)
    assert (caught.value.kind, caught.value.retryable) == ("breaker_open", True)
    assert caught.value.retry_after_s is not None
    assert not second.chats
    release.set()
    with pytest.raises(ChatError):
        await probe
    assert (await told(database))["model/main"][0] == "open"
    clock.at += timedelta(seconds=11)
    with pytest.raises(ChatError) as caught:
        await two.chat(HELLO, OURS, config, decide=permit_all)
    assert caught.value.kind == "breaker_open", "twice as long as the first time"


async def test_streams_that_break_off_and_slow_first_tokens_count(database: Database):
    clock = Moved()
    broken = ScriptedChat([[TextDelta("Half"), DOWN]])
    gateway, config = worker(database, clock, main=broken)
    for _ in range(3):
        stream = await gateway.stream(HELLO, OURS, config, decide=permit_all)
        assert [event async for event in stream]
    assert (await told(database))["model/main"] == ("open", "broken_off")


async def test_what_says_nothing_of_the_model_opens_nothing(database: Database):
    clock = Moved()
    for kind in ("rejected", "setup", "content_filter", "context_overflow", "quota"):
        gateway, config = worker(database, clock, main=ScriptedChat([ProviderError(kind, "No.")]))
        for _ in range(4):
            with pytest.raises(ChatError):
                await gateway.chat(HELLO, OURS, config, decide=permit_all)
    assert await told(database) == {}
