from __future__ import annotations

import json
from datetime import UTC

from signoff.core.actors import Actor
from signoff.core.clock import SystemClock
from signoff.core.ids import uuid7


def test_json_keeps_an_actor() -> None:
    actor = Actor(uuid7(), "key", "ci", frozenset({"support-lead", "auditor"}))
    assert Actor.from_dict(actor.org_id, json.loads(json.dumps(actor.as_dict()))) == actor
    assert str(actor) == "key/ci"


async def test_the_system_clock_is_in_utc_and_runs_forwards() -> None:
    clock = SystemClock()
    before = clock.monotonic_s()
    await clock.sleep(0)
    assert clock.monotonic_s() >= before
    assert clock.now().tzinfo is UTC
