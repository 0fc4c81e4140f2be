"""How late a worker's event loop is: measured, told, and answered by smaller claims."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from signoff.runtime import RuntimeSettings
from signoff.runtime.loop_lag import LAGGING_SHARE, PERIOD_S, RECENT, LoopLag

SETTINGS = RuntimeSettings()


def test_a_late_loop_claims_less_until_it_is_not_late_any_more() -> None:
    lag = LoopLag(0.5)
    assert lag.allowed(SETTINGS) == SETTINGS.claim_batch
    lag.record(0.6, 0.0)
    assert lag.allowed(SETTINGS) == max(1, SETTINGS.claim_batch // LAGGING_SHARE)
    lag.record(0.4, 0.1)
    assert lag.allowed(SETTINGS) == SETTINGS.claim_batch
    assert lag.allowed(RuntimeSettings(claim_batch=1)) == 1


def test_the_longest_of_the_last_seconds_is_told_and_then_forgotten() -> None:
    lag = LoopLag(0.5)
    lag.record(0.7, 0.0)
    for number in range(RECENT - 1):
        lag.record(-0.01, float(number))
    assert lag.longest_s == 0.7
    lag.record(0.0, 60.0)
    assert lag.longest_s == 0.0


def test_it_warns_at_most_twice_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    lag = LoopLag(0.5)
    with caplog.at_level(logging.WARNING, "signoff.runtime.loop_lag"):
        for second in range(0, 60, 5):
            lag.record(1.0, float(second))
    assert len(caplog.records) == 2


async def test_it_sees_a_loop_that_something_holds() -> None:
    lag = LoopLag(0.05)
    watching = asyncio.create_task(lag.watch())
    await asyncio.sleep(0)  # it has begun to sleep
    time.sleep(PERIOD_S + 0.2)  # noqa: ASYNC251  (it is what the test is about)
    while lag.longest_s < 0.15:  # noqa: ASYNC110  (nothing tells of a sample)
        await asyncio.sleep(PERIOD_S / 10)
    watching.cancel()
