"""Over real HTTP: whatever a vendor does wrong, the next model answers, or the caller is told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from support.chat_cases import ASKED, HELLO
from support.gateway_cases import permit_all

from signoff.capabilities.gateway import Gateway
from signoff.capabilities.gateway.asking import ChatError
from signoff.capabilities.gateway.chat import StreamEnd, TextDelta
from signoff.capabilities.gateway.resilience.settings import ResilienceSettings
from signoff.catalog.models import ModelsConfig, ModelSpec, Route
from signoff.core.clock import SystemClock
from signoff.testing.faulty_vendor import FAULTS, WORDS, FaultyVendor
from signoff.testing.stub_vendor import Fails, Says, StubVendor

ANSWER = "".join(WORDS)
SHORT = {"first_token_s": 0.3, "between_tokens_s": 0.3, "total_s": 0.3}
GOES_ON = replace(ASKED, continues=True)
WHOLE_BY_ITSELF = {"long-length"}  # all of the answer comes before what is wrong shows, also whole where it streams


class Waits(SystemClock):
    """Sleeps take no time, and are kept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def project(vendor: FaultyVendor, *faults: str, patient: bool = False) -> tuple[Gateway, ModelsConfig]:
    """A gateway that waits shortly for models that fail, and as long as it takes for the one that does not."""

    def settings(fault: str) -> dict[str, Any]:
        own = {"base_url": vendor.base_url(fault), "model": fault, "price": "free"}
        return own if patient or fault == "good" else {**own, "timeouts": SHORT}

    specs = {fault: ModelSpec(fault, "openai_compatible", settings(fault)) for fault in faults}
    gateway = Gateway(environment={}, settings=ResilienceSettings(retries=0), chance=lambda: 0.0)
    return gateway, ModelsConfig(specs, (Route(tuple(specs), task="chat"),))


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_falls_back_whole_and_streamed(fault: str):
    async with FaultyVendor() as vendor:
        gateway, config = project(vendor, fault, "good")
        result = await gateway.chat(HELLO, ASKED, config, decide=permit_all)
        assert result.reply.text == ANSWER
        stream = await gateway.stream(HELLO, GOES_ON, config, decide=permit_all)
        events = [event async for event in stream]
        await gateway.aclose()
    end = events[-1]
    assert isinstance(end, StreamEnd)
    assert (end.failure, end.reply.finish_reason) == (None, "stop")
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert said == end.reply.text
    if fault != "drip":  # which really says one word again and again
        assert said == ANSWER


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_fault_ends_cleanly_where_nobody_goes_on(fault: str):
    async with FaultyVendor() as vendor:
        gateway, config = project(vendor, fault)
        try:
            stream = await gateway.stream(HELLO, ASKED, config, decide=permit_all)
            end = [event async for event in stream][-1]
        except ChatError as error:
            told = error.kind
        else:
            assert isinstance(end, StreamEnd)
            told = "model_unavailable"
            whole = fault in WHOLE_BY_ITSELF and end.reply.text == ANSWER
            assert whole or (end.failure is not None and end.reply.finish_reason == "incomplete")
        await gateway.aclose()
    assert told == "model_unavailable"


async def test_leaving_a_stream_closes_the_vendors_connection():
    async with FaultyVendor() as vendor:
        gateway, config = project(vendor, "drip", patient=True)
        stream = await gateway.stream(HELLO, ASKED, config, decide=permit_all)
        await stream.aclose()
        async with asyncio.timeout(10):
            await vendor.asked[0].left.wait()
        await gateway.aclose()
    assert stream.record is not None
    assert stream.record.outcome == "cancelled"


async def test_retry_after_is_kept_to_over_http():
    script = [Fails(429, retry_after_s=4), Says("Hello.")]
    clock = Waits()
    with StubVendor(script) as server:
        settings: Mapping[str, Any] = {"base_url": f"{server.base_url}/v1", "model": "m", "price": "free"}
        config = ModelsConfig({"m": ModelSpec("m", "openai_compatible", settings)}, (Route(("m",), task="chat"),))
        gateway = Gateway(environment={}, clock=clock, chance=lambda: 0.0)
        result = await gateway.chat(HELLO, ASKED, config, decide=permit_all)
        await gateway.aclose()
    assert result.reply.text == "Hello."
    assert clock.slept == [4.0]
