"""Queues through the API and the command: what is in use and waits, who may see it, and a pause."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.api_cases import COUNT, FILES, Api, deployed, serving, until, working
from support.cli_cases import signoff

from signoff.catalog import ReleaseCatalog
from signoff.catalog.authority import PolicyBook
from signoff.catalog.scheduling import Scheduler
from signoff.core.clock import SystemClock
from signoff.foundation.database import Database
from signoff.runtime.starting import admit_due

PROJECT = {
    **FILES,
    "signoff.yaml": FILES["signoff.yaml"]
    + """
queues:
  counting: {concurrency: 1, per_team: {concurrency: 1}, per_key: {concurrency: 1}}
  secret: {concurrency: 1}
  slow: {rate: {limit: 1/1h, burst: 1}}
""",
    "policies/desk.cedar": FILES["policies/desk.cedar"]
    + """
@id("staff-sees-queues")
permit (principal in Role::"clerk", action == Action::"queue.read", resource)
unless { resource == Queue::"desk/secret" };
@id("leads-operate")
permit (principal in Role::"lead", action in [Action::"queue.read", Action::"queue.operate"], resource);
@id("nobody-pauses-slow")
forbid (principal, action == Action::"queue.operate", resource == Queue::"desk/slow")
when { context.operation == "pause" };
""",
}
COUNTING = "/v1/queues/desk/counting"


@pytest.fixture
async def queued(database: Database) -> AsyncIterator[Api]:
    """The API with queues in force."""
    await deployed(database, PROJECT)
    releases, clock = ReleaseCatalog(database), SystemClock()
    policies = PolicyBook(database, releases, clock=clock, environment="dev")
    await Scheduler(database, releases, policies, clock).apply()
    async with serving(database) as running:
        yield running


async def start(client: Any, **options: Any) -> str:
    answer = await client.post("/v1/runs", json={**COUNT, **options})
    assert answer.status_code == 201, answer.text
    return answer.json()["run_id"]


async def test_a_queue_tells_what_is_in_use_and_what_waits_since_when(queued: Api):
    async with queued.client("clerk") as client:
        for team in ("emea", "emea", "apac"):
            await start(client, queue="counting", team=team, queue_key=f"key-{team}")
        waiting = (await client.get(COUNTING)).json()
        assert (waiting["in_use"], waiting["waiting"], waiting["whole"]["concurrency"]) == (0, 3, 1)
        await admit_due(queued.database, SystemClock().now())
        found = (await client.get(COUNTING)).json()
        assert (found["in_use"], found["waiting"], found["paused"]) == (1, 2, False)
        assert found["waiting_since"] is not None
        teams = {share["label"]: (share["in_use"], share["waiting"]) for share in found["teams"]}
        assert sum(in_use for in_use, _ in teams.values()) == 1
        assert {share["label"] for share in found["keys"]} == {"key-emea", "key-apac"}
        again = await client.get(COUNTING, headers={"If-None-Match": (await client.get(COUNTING)).headers["ETag"]})
        assert again.status_code == 304


async def test_the_tokens_of_a_rate_are_told(queued: Api):
    async with queued.client("clerk", "reader") as client:
        full = (await client.get("/v1/queues/desk/slow")).json()
        assert (full["tokens"], full["next_token_at"], full["in_use"]) == (1.0, None, None)
        first, second = [await start(client, queue="slow") for _ in range(2)]
        await admit_due(queued.database, SystemClock().now())
        found = (await client.get("/v1/queues/desk/slow")).json()
        assert found["tokens"] < 0.1
        assert found["next_token_at"] is not None
        texts = [
            reason["text"]
            for run_id in (first, second)
            for reason in (await client.get(f"/v1/runs/{run_id}/explain")).json()["reasons"]
        ]
        assert any("its rate (1 in 1 h) lets the next run begin in 59 min" in text for text in texts), texts


async def test_lists_show_what_policy_lets_one_see(queued: Api):
    async with queued.client("clerk") as client:
        page = (await client.get("/v1/queues")).json()
        assert [item["name"] for item in page["items"]] == ["counting", "slow"]
        assert (await client.get("/v1/queues/desk/secret")).status_code == 403
        assert (await client.get("/v1/queues/desk/none")).status_code == 404
        assert (await client.post(f"{COUNTING}/pause", json={})).status_code == 403
    async with queued.client("lead") as client:
        first = (await client.get("/v1/queues", params={"limit": 2})).json()
        second = (await client.get("/v1/queues", params={"limit": 2, "cursor": first["next"]})).json()
        names = [item["name"] for item in (*first["items"], *second["items"])]
        assert (names, second["next"]) == (["counting", "secret", "slow"], None)
        assert (await client.post("/v1/queues/desk/slow/pause", json={})).status_code == 403


async def test_a_paused_queue_lets_nothing_begin_until_it_is_resumed(queued: Api):
    async with queued.client("lead", "clerk") as client:
        paused = await client.post(f"{COUNTING}/pause", json={"reason": "the bank is down"})
        assert (paused.json()["paused"], paused.json()["paused_by"]) == (True, "user/tester")
        assert (await client.post(f"{COUNTING}/pause", json={})).status_code == 409
        runs = [await start(client, queue="counting", **more) for more in ({}, {"queue_key": "k"})]
        assert await admit_due(queued.database, SystemClock().now()) == 0
        reason, idle = (await client.get(f"/v1/runs/{runs[0]}/explain")).json()["reasons"]
        assert idle["text"] == "No worker is alive: nothing runs now."
        assert "paused by user/tester: the bank is down" in reason["text"]
        assert reason["commands"][0] == "signoff queues resume desk/counting"
        await deployed(queued.database, {**PROJECT, "schemas/ask.json": FILES["schemas/ask.json"] + "\n"})
        async with working(queued.database):
            assert (await client.get(COUNTING)).json()["paused"]  # a pause outlives deploys
            assert (await client.post(f"{COUNTING}/resume")).json()["paused"] is False
            for run_id in runs:
                await until(client, f"/v1/runs/{run_id}", lambda found: found["status"] == "done")
        assert (await client.post(f"{COUNTING}/resume")).status_code == 409


async def test_a_debounced_start_is_explained_before_it_is_a_run(queued: Api):
    wanted = {"key": "c-7", "quiet": "30s", "max_wait": "10m"}
    async with queued.client("clerk") as client:
        answers = [await client.post("/v1/runs", json={**COUNT, "debounce": wanted}) for _ in range(2)]
        path = f"/v1/runs/{answers[0].json()['run_id']}/explain"
        told = (await client.get(path)).json()
        assert told["summary"] == "It waits until its key is quiet."
        assert "Key 'c-7' had 2 starts" in told["reasons"][0]["text"]
    async with queued.client("nobody") as client:
        assert (await client.get(path)).status_code == 403


async def test_the_command_shows_pauses_and_resumes(queued: Api, tmp_path: Path):
    async with queued.client("clerk") as client:
        await start(client, queue="counting", team="emea")
    options = ("--url", queued.url, "--key", await queued.key("lead"))

    async def command(*arguments: str) -> str:
        done = await asyncio.to_thread(signoff, "queues", *arguments, *options, cwd=tmp_path)
        assert done.code == 0, done.err
        return done.out

    listed = await command("list")
    assert "desk/counting" in listed
    assert "0 of 1" in listed
    assert "emea" in await command("show", "counting")
    await command("pause", "counting", "-r", "closed")
    found = json.loads(await command("show", "counting", "--json"))
    assert (found["paused"], found["paused_reason"]) == (True, "closed")
    await command("resume", "desk/counting")
