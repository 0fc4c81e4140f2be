"""What the records know of models: health from the first call on, and quality by the prompt that asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

import pytest
from support.chat_cases import ASKED, HELLO, ScriptedChat, models
from support.gateway_cases import permit_all

from signoff.capabilities.gateway.resilience.health import Health
from signoff.capabilities.gateway.routing.past import MAX_PROMPTS, Known, PastCalls
from signoff.catalog.models import Route
from signoff.core.clock import SystemClock
from signoff.core.errors import UnavailableError

BOTH = Route(("a", "b"), task="chat")


class Records:
    """What a test says that they know."""

    def __init__(self, *, away: bool = False, **calls: PastCalls) -> None:
        self.read: list[object] = []
        self.found = calls
        self.good: Mapping[str, float] = {}
        self.away = away

    async def calls(self, org_id: UUID, environment: str) -> Mapping[str, PastCalls]:
        self.read.append(environment)
        if self.away:
            raise UnavailableError("The database is away.")
        return self.found

    async def qualities(self, org_id: UUID, project: str, prompt: str) -> Mapping[str, float]:
        self.read.append(prompt)
        return self.good


async def first(records: Records, route: Route, *, prompt: str = "", risk: str = "", times: int = 1) -> tuple[str, str]:
    """Who answered, and what the first model's rank was made of."""
    gateway, config = models(None, route, {"past": records}, a=ScriptedChat(), b=ScriptedChat())
    asked = replace(ASKED, prompt=prompt, risk=risk)
    for _ in range(times):
        record = (await gateway.chat(HELLO, asked, config, decide=permit_all)).record
    return record.model, str(record.considered[0].why)  # pyright: ignore[reportPossiblyUnboundVariable]


async def test_a_new_process_knows_who_fails_before_its_first_call():
    records = Records(a=PastCalls(200, 150, 0.3), b=PastCalls(10, 1, 2.5))
    model, why = await first(records, BOTH, times=3)
    assert model == "b", "the other fails most of its calls"
    assert "'latency_s': 2.5" in why
    assert records.read == ["dev"], "once"


@pytest.mark.parametrize(("a_s", "b_s", "who"), [(0.1, 2.0, "a"), (2.0, 0.1, "b")])
async def test_latency_is_known_too(a_s: float, b_s: float, who: str):
    records = Records(a=PastCalls(9, 0, a_s), b=PastCalls(9, 0, b_s))
    assert (await first(records, replace(BOTH, prefer="latency")))[0] == who


async def test_a_route_of_one_model_reads_nothing_and_records_that_are_away_stop_nothing():
    records = Records(away=True)
    assert (await first(records, Route(("a",), task="chat")))[0] == "a"
    assert records.read == []
    assert (await first(records, BOTH))[0] == "a"


async def test_what_evaluations_found_of_the_prompt_ranks():
    records = Records()
    records.good = {"a": 0.7, "b": 0.9}
    assert (await first(records, replace(BOTH, prefer="quality"), prompt="sort", times=2))[0] == "b"
    assert records.read.count("sort") == 1, "it is fresh for a while"
    assert (await first(records, BOTH, prompt="sort", risk="high"))[0] == "b"
    assert (await first(records, BOTH, prompt="sort"))[0] == "a"


async def test_a_prompt_is_not_missed_that_was_forgotten_while_it_was_read():
    class Busy(Records):
        async def qualities(self, org_id: UUID, project: str, prompt: str) -> Mapping[str, float]:
            for number in range(MAX_PROMPTS if prompt == "first" else 0):
                await known.of(replace(ASKED, prompt=f"other {number}"))
            return {"a": 0.9}

    clock = SystemClock()
    known = Known(Busy(), Health(clock), clock)
    assert await known.of(replace(ASKED, prompt="first")) == {"a": 0.9}
