"""Schedules and the options of starts through the API, with a small project that has both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from support.api_cases import COUNT, FILES, Api, deployed, serving, until, working

from signoff.catalog import ReleaseCatalog
from signoff.catalog.authority import PolicyBook
from signoff.catalog.scheduling import APPLIED, Scheduler
from signoff.core.clock import SystemClock
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.foundation.settings import ApiSettings
from signoff.runtime.starting.operating import list_schedules

PROJECT = {
    **FILES,
    "signoff.yaml": FILES["signoff.yaml"]
    + """
calendars: {holidays: ["2026-12-25"]}
queues:
  counting: {concurrency: 1, per_key: {concurrency: 1}, max_queued: 2}
  slow: {rate: 1/1h, workflows: [desk/count]}
""",
    "schedules/nightly.yaml": """
schedule: nightly
about: Counts at night.
workflow: desk/count
input: {text: "${schedule.time}", cents: 1}
cron: "30 2 * * *"
time_zone: Europe/Berlin
skip_on: [holidays]
as: [clerk]
queue: counting
overlap: queue
""",
    "schedules/denied.yaml": """
schedule: denied
workflow: desk/count
input: {text: one, cents: 1}
every: 1h
""",
    "policies/desk.cedar": FILES["policies/desk.cedar"]
    + """
@id("staff-sees-schedules")
permit (principal in Role::"clerk", action == Action::"schedule.read", resource == Schedule::"desk/nightly");
@id("leads-see") permit (principal in Role::"lead", action == Action::"schedule.read", resource);
@id("leads-do") permit (principal in Role::"lead", action == Action::"schedule.operate", resource);
@id("nobody-else-backfills")
forbid (principal, action == Action::"schedule.operate", resource == Schedule::"desk/denied")
when { context.operation == "backfill" };
""",
}
DAMAGE = """
UPDATE release_content SET content = 'damaged' WHERE digest IN (
    SELECT content_digest FROM release_file f JOIN release r ON r.digest = f.release
    WHERE r.project LIKE 'd0%' AND f.path = 'signoff.yaml'
)
"""
NIGHTLY = "/v1/schedules/desk/nightly"


@pytest.fixture
async def planned(database: Database) -> AsyncIterator[Api]:
    """The API with schedules in force."""
    await deployed(database, PROJECT)
    await scheduler(database).apply()
    async with serving(database) as running:
        yield running


def scheduler(database: Database) -> Scheduler:
    releases = ReleaseCatalog(database)
    clock = SystemClock()
    return Scheduler(database, releases, PolicyBook(database, releases, clock=clock, environment="dev"), clock)


async def test_lists_show_what_policy_lets_one_see(planned: Api):
    async with planned.client("clerk") as client:
        page = (await client.get("/v1/schedules")).json()
        assert [item["name"] for item in page["items"]] == ["nightly"]
        assert (await client.get("/v1/schedules/desk/denied")).status_code == 403
        assert (await client.get("/v1/schedules/desk/none")).status_code == 404
        found = await client.get(NIGHTLY)
        assert found.json()["cron"] == "30 2 * * *"
        again = await client.get(NIGHTLY, headers={"If-None-Match": found.headers["ETag"]})
        assert again.status_code == 304
    async with planned.client("lead") as client:
        first = (await client.get("/v1/schedules", params={"limit": 1})).json()
        second = (await client.get("/v1/schedules", params={"limit": 1, "cursor": first["next"]})).json()
        assert [first["items"][0]["name"], second["items"][0]["name"]] == ["denied", "nightly"]


async def test_it_tells_when_it_is_due_next(planned: Api):
    async with planned.client("clerk") as client:
        times = (await client.get(f"{NIGHTLY}/next", params={"count": 400})).json()["times"]
    assert len(times) == 400
    assert not any(time.startswith("2026-12-25") for time in times)
    assert {time[11:16] for time in times} == {"00:30", "01:30", "01:00"}  # summer, winter, and the night of the gap


async def test_it_is_paused_and_resumed_by_those_who_may(planned: Api):
    async with planned.client("clerk") as client:
        assert (await client.post(f"{NIGHTLY}/pause", json={})).status_code == 403
    async with planned.client("lead") as client:
        paused = (await client.post(f"{NIGHTLY}/pause", json={"reason": "closed"})).json()
        assert (paused["paused"], paused["paused_by"], paused["next_at"]) == (True, "user/tester", None)
        assert (await client.post(f"{NIGHTLY}/pause", json={})).status_code == 409
        resumed = (await client.post(f"{NIGHTLY}/resume")).json()
        assert (resumed["paused"], resumed["next_at"] is None) == (False, False)
        assert (await client.post(f"{NIGHTLY}/resume")).status_code == 409


async def test_the_same_key_triggers_it_once(planned: Api):
    async with planned.client("lead") as client:
        keyed = {"Idempotency-Key": "t-4711"}
        first, again = [await client.post(f"{NIGHTLY}/trigger", headers=keyed) for _ in range(2)]
        other = await client.post(f"{NIGHTLY}/trigger")
    assert [answer.status_code for answer in (first, again, other)] == [201, 200, 201]
    assert first.json()["run_id"] == again.json()["run_id"] != other.json()["run_id"]
    assert (first.json()["created"], again.json()["created"]) == (True, False)


async def test_releases_that_cannot_be_read_hold_up_no_others(database: Database, database_url: str):
    """More of them than one look applies: the one that is sound comes into force after a few looks all the same."""
    for number in range(APPLIED + 2):
        name = f"d{number:03}"
        await deployed(database, {**FILES, "signoff.yaml": FILES["signoff.yaml"].replace("desk", name)})
    await deployed(database, PROJECT)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(DAMAGE)
    looking = scheduler(database)
    for _ in range(2):
        await looking.apply()
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        found = await list_schedules(connection, DEFAULT_ORG_ID, "dev")
    assert [state.schedule.name for state in found] == ["denied", "nightly"]


async def test_it_is_triggered_and_its_run_is_the_schedules_own(planned: Api):
    async with planned.client("lead", "reader") as client, working(planned.database):
        triggered = await client.post(f"{NIGHTLY}/trigger")
        assert triggered.status_code == 201, triggered.text
        path = f"/v1/runs/{triggered.json()['run_id']}"
        run = await until(client, path, lambda found: found["status"] == "done")
        assert run["started_by"] == "system/schedule.nightly"
        firings = (await client.get(NIGHTLY)).json()["firings"]
        assert [(firing["cause"], firing["status"]) for firing in firings] == [("trigger", "started")]
        refused = await client.post("/v1/schedules/desk/denied/trigger")
        assert refused.status_code == 403  # its actor has no role that policy lets start


async def test_a_backfill_runs_each_time_once(planned: Api):
    now = datetime.now(UTC)
    span = {"from": (now - timedelta(days=3)).isoformat(), "to": now.isoformat()}
    async with planned.client("lead", "reader") as client:
        dry = (await client.post(f"{NIGHTLY}/backfill", json={**span, "dry_run": True})).json()["times"]
        assert len(dry) == 3
        assert (await client.get(NIGHTLY)).json()["firings"] == []
        assert (await client.post(f"{NIGHTLY}/backfill", json=span)).json() == {"times": dry, "before": []}
        again = await client.post(f"{NIGHTLY}/backfill", json=span)
        assert (again.status_code, again.json()["before"]) == (200, dry[:1])
        runs = (await client.get("/v1/runs")).json()["items"]
        assert len(runs) == 1  # the others wait for it, as its overlap says
        later = {"from": now.isoformat(), "to": (now + timedelta(days=1)).isoformat()}
        assert (await client.post(f"{NIGHTLY}/backfill", json=later)).status_code == 422
        long = {"from": "1990-01-01T00:00:00Z", "to": now.isoformat()}
        assert (await client.post(f"{NIGHTLY}/backfill", json=long)).status_code == 429
        denied = await client.post("/v1/schedules/desk/denied/backfill", json=span)
        assert denied.status_code == 403


async def test_starts_take_their_options(planned: Api):
    async with planned.client("clerk") as client:
        delayed = (await client.post("/v1/runs", json={**COUNT, "delay": "2h", "team": "emea"})).json()
        assert datetime.fromisoformat(delayed["starts_at"]) > datetime.now(UTC) + timedelta(minutes=119)
        once = {**COUNT, "deduplicate": {"key": "k", "window": "1h"}}
        first, second = [await client.post("/v1/runs", json=once) for _ in range(2)]
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json()["run_id"] == second.json()["run_id"]
        quiet = {**COUNT, "debounce": {"key": "k", "quiet": "1h", "max_wait": "2h"}}
        first, second = [await client.post("/v1/runs", json=quiet) for _ in range(2)]
        assert (first.status_code, second.status_code) == (201, 200)
        for wrong, pointer in (
            ({"queue": "counted"}, "/queue"),
            ({"delay": "1h", "start_at": "2027-01-01T00:00:00Z"}, "/start_at"),
            ({"delay": "soon"}, "/delay"),
            ({"deduplicate": {"key": "k", "window": "400d"}}, "/deduplicate/window"),
        ):
            answer = await client.post("/v1/runs", json={**COUNT, **wrong})
            assert answer.status_code == 422, answer.text
            assert answer.json()["errors"][0]["pointer"] == pointer
        reserved = await client.post("/v1/runs", json=COUNT, headers={"Idempotency-Key": "schedule:mine"})
        assert reserved.status_code == 422


async def test_too_many_waiting_runs_are_refused_with_the_time_to_try_again(database: Database):
    await deployed(database, PROJECT)
    async with serving(database, settings=ApiSettings(max_queued_runs=5)) as api, api.client("clerk") as client:
        queued = [await client.post("/v1/runs", json={**COUNT, "queue": "counting"}) for _ in range(3)]
        assert [answer.status_code for answer in queued] == [201, 201, 429]
        assert queued[2].headers["Retry-After"] == "5"
        assert "counting" in queued[2].json()["detail"]
        others = [await client.post("/v1/runs", json=COUNT) for _ in range(4)]
        assert [answer.status_code for answer in others] == [201, 201, 201, 429]
