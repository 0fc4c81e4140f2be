"""kill -9 of the worker at every event boundary and at random: nothing is lost, nothing is paid or told twice.

The sink does not deduplicate: what it counts is what happened. The tool's contract says `recovery: lookup`, so the
engine itself has to find out what became of a call whose answer never came.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from support.engine import ACTOR
from support.killed import Sink, worker_process

from signoff.catalog.model import Project
from signoff.catalog.projects import load_project_files
from signoff.catalog.releases import point_environment, register
from signoff.core.clock import SystemClock
from signoff.foundation.database import Database
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime import StartRequest, client, start_run
from signoff.runtime.client.emitted import list_events

ROUNDS = range(int(os.environ.get("CHAOS_ROUNDS", "1")))
"""How often to do it all: CHAOS_ROUNDS=100 pytest -n 4 tests/chaos/test_chaos_killed_worker.py"""


def project(url: str, memo: str = "") -> Project:
    """Decide, pay, tell; a payment's request is as long as its memo."""
    contract = """
about: Pays.
timeout: 1500ms
output: {type: object, properties: {id: {type: string}, paid: {type: boolean}}, required: [id, paid]}
"""
    files = {
        "signoff.yaml": f'project: chaos\nsettings: {{sink: "{url}"}}\nroles: {{lead: Leads.}}\n',
        "policies/all.cedar": '@id("all")\npermit (principal, action, resource);\n',
        "tools/pay.yaml": f"""tool: pay
effect: write
http: {{method: POST, url: "${{settings.sink}}/pay"}}
input:
  type: object
  properties:
    n: {{type: integer, x-signoff: {{sink: any}}}}
    memo: {{type: string, x-signoff: {{sink: any}}}}
  required: [n, memo]
  additionalProperties: false
idempotency: {{header: Idempotency-Key, recovery: lookup, lookup: {{tool: find, argument: key}}}}
{contract}""",
        "tools/find.yaml": f"""tool: find
effect: none
http: {{method: GET, url: "${{settings.sink}}/find"}}
input: {{type: object, properties: {{key: {{type: string}}}}, required: [key], additionalProperties: false}}
errors: {{404: {{kind: not_found}}}}
{contract}""",
        "workflows/pay.yaml": """workflow: chaos/pay
version: 1.0.0
about: Decide, pay once, tell.
owner: team/test
risk: low
input: {type: object, properties: {n: {type: integer}}, required: [n], additionalProperties: false}
steps:
  twice: {set: {n: "${input.n * 2}"}}
  decision: {review: Pay?, by: role/lead, needed: twice.n < 0, propose: {n: "${twice.n}"}}
  pay:
    requires: decision
    tool: pay
    with: {n: "${decision.n}", memo: "MEMO"}
    once: "pay/${input.n}"
    retry: {times: 5}
  tell: {requires: pay, emit: chaos.paid.v1, payload: {id: "${pay.id}"}}
outcome: {paid: tell.done}
""".replace("MEMO", memo),
    }
    return load_project_files({path: text.encode() for path, text in files.items()})


async def started(database: Database, numbers: range, url: str, memo: str = "") -> list[UUID]:
    made = project(url, memo)
    async with database.transaction(ACTOR.org_id) as connection:
        digest = await register(connection, ACTOR.org_id, made, ACTOR)
        await point_environment(connection, ACTOR.org_id, made.name, "dev", digest, actor=ACTOR)
        workflow, now = made.workflows["chaos/pay"], SystemClock().now()
        return [
            (await start_run(connection, StartRequest(workflow, digest, {"n": n}, ACTOR), now=now)).run_id
            for n in numbers
        ]


async def outcomes(database: Database, runs: list[UUID], timeout_s: float) -> list[str | None]:
    """How the runs ended; none for those that have not."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        async with database.transaction(ACTOR.org_id) as connection:
            found = [await client.read_run(connection, ACTOR.org_id, run_id) for run_id in runs]
        if all(run.ended_at for run in found) or asyncio.get_running_loop().time() > deadline:
            return [(run.outcome or str(run.error)) if run.ended_at else None for run in found]
        await asyncio.sleep(0.05)


async def told(database: Database, run_id: UUID) -> list[tuple[str, str]]:
    """The events that a run emitted, each with the payment that it tells of."""
    async with database.transaction(ACTOR.org_id) as connection:
        return [(event.type, event.data["id"]) for event in await list_events(connection, ACTOR.org_id, run_id=run_id)]


async def stories(database: Database, runs: list[UUID], found: list[str | None]) -> str:
    """The journals of the first runs that did not end as they should."""
    odd = [run_id for run_id, outcome in zip(runs, found, strict=True) if outcome != "paid"][:3]
    async with database.transaction(ACTOR.org_id) as connection:
        journals = [await client.read_journal(connection, ACTOR.org_id, run_id) for run_id in odd]
    return "\n\n".join(
        "\n".join(f"{event.recorded_at:%X.%f} {event.seq} {event.kind} {dict(event.data)}" for event in events)
        for events in journals
    )


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as opened:
        yield opened


@pytest.mark.timeout(300)
@pytest.mark.parametrize("round_number", ROUNDS)
async def test_killed_at_every_event_boundary(round_number: int, lane_urls: list[str], sink: Sink):
    """The worker dies just before its 1st, 2nd, 3rd, … event, until it has none left to die before.

    The kill points are dealt to lanes, each a database of its own, as most of the time goes by in waiting for leases.
    """
    lanes = [_lane(url, sink, range(first, 1000, len(lane_urls))) for first, url in enumerate(lane_urls)]
    deaths = sum(await asyncio.gather(*lanes))
    assert deaths >= 8  # the run has that many events: the loop did kill at each
    assert set(sink.payments.values()) == {1}


async def _lane(url: str, sink: Sink, kill_points: range) -> int:
    """Kill at each of these until a run ends before its worker would die; how often it died."""
    async with await Database.open(DatabaseSettings(url=url)) as database:
        for deaths, survives in enumerate(kill_points):
            [run_id] = await started(database, range(survives, survives + 1), sink.url)
            async with worker_process(url, survives) as doomed:
                died = await _died(doomed, database, run_id)
            if not died:
                return deaths
            async with worker_process(url):
                found = await outcomes(database, [run_id], 60)
            story = f"after dying before event {survives}\n{await stories(database, [run_id], found)}"
            assert found == ["paid"], story
            assert sink.payments[f"pay/{survives}"] == 1, story
            assert [kind for kind, _ in await told(database, run_id)] == ["chaos.paid.v1"], story
    raise AssertionError("the run never ended before its worker died")


async def _died(process: Any, database: Database, run_id: UUID) -> bool:
    """Whether the process died before the run ended."""
    for _ in range(1200):
        if process.exitcode is not None:
            return True
        if await outcomes(database, [run_id], 0) != [None]:
            return False
        await asyncio.sleep(0.05)
    raise AssertionError("it neither died nor ended the run")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("round_number", ROUNDS)
async def test_killed_at_random_while_many_run(round_number: int, database: Database, database_url: str, sink: Sink):
    seed = int(os.environ.get("SIGNOFF_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
    chance = random.Random(seed)
    runs = await started(database, range(40), sink.url)
    for _ in range(4):
        async with worker_process(database_url):
            await asyncio.sleep(chance.uniform(0.05, 0.8))
    async with worker_process(database_url):
        found = await outcomes(database, runs, 60)
    assert found == ["paid"] * 40, f"SIGNOFF_CHAOS_SEED={seed}\n{await stories(database, runs, found)}"
    assert len(sink.payments) == 40
    assert set(sink.payments.values()) == {1}, f"SIGNOFF_CHAOS_SEED={seed}: {sink.payments}"
    events = [await told(database, run_id) for run_id in runs]
    assert [len(of_run) for of_run in events] == [1] * 40, f"SIGNOFF_CHAOS_SEED={seed}: {events}"
    assert len({payment for [(_, payment)] in events}) == 40, f"SIGNOFF_CHAOS_SEED={seed}: {events}"
