"""Outcomes through the API: runs counted by how they ended, beside goals; by environment, release and time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
from support.api_cases import COUNT, FILES, Api, deployed, serving, started, until, working
from support.review_cases import another_organisation

from signoff.core.clock import SystemClock
from signoff.foundation.database import Database

READ = '@id("count") permit (principal in Role::"lead", action == Action::"outcome.read", resource);\n'
GOALS = "goals: {automatic: 40%, cost: 0.25 USD, answered: '>= 2', resolve: 4h, wrong_answers: 0}\nrisk: low\ninput"
CALLER = """
workflow: desk/calls
version: 1.0.0
input: schemas/ask.json
steps:
  sub: {call: desk/count, with: {text: "${input.text}", cents: "${input.cents}"}}
outcome:
  called: sub.done
"""
DESK = {
    **FILES,
    "workflows/ask.yaml": FILES["workflows/ask.yaml"].replace("risk: low\ninput", GOALS),
    "workflows/calls.yaml": CALLER,
    "policies/count.cedar": READ,
}


async def decided(client: httpx.AsyncClient, run_id: str, result: str) -> None:
    await until(client, f"/v1/runs/{run_id}", lambda run: run["status"] == "waiting")
    reviews = (await client.get("/v1/reviews")).json()["items"]
    review = next(item for item in reviews if item["run_id"] == run_id)
    body = {"decision": result, "digest": review["digest"], "reason": "because"}
    answer = await client.post(f"/v1/reviews/{review['review_id']}/decision", json=body)
    assert answer.status_code == 200, answer.text


async def ended(client: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    return await until(client, f"/v1/runs/{run_id}", lambda run: run["ended_at"] is not None)


def named(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["outcome"] or item["status"]: item for item in items}


async def test_outcomes_are_counted_beside_goals(database: Database, database_url: str) -> None:
    release = await deployed(database, DESK)
    async with serving(database) as api, working(database), api.client("clerk", "lead", name="lea") as client:
        runs = [await started(client) for _ in range(4)]
        await decided(client, runs[0], "approve")
        await decided(client, runs[1], "approve")
        await decided(client, runs[2], "reject")
        for run_id in runs[:3]:
            await ended(client, run_id)
        called = await started(client, {**COUNT, "workflow": "desk/calls"})
        await ended(client, called)
        response = await client.get("/v1/outcomes")
        assert response.status_code == 200, response.text
        page = response.json()
        assert (page["environment"], page["until"], page["next"]) == ("dev", None, None)
        ask, calls, count = page["items"]
        assert [item["workflow"] for item in page["items"]] == ["desk/ask", "desk/calls", "desk/count"]
        assert (ask["open"], ask["ended"]["runs"], ask["owner"]) == (1, 3, "team/desk")
        assert [(one["outcome"], one["runs"], one["share"]) for one in ask["outcomes"]] == [
            ("answered", 2, 0.666667),
            ("rejected", 1, 0.333333),
        ]
        assert {one["with_person"] for one in ask["outcomes"]} == {1, 2}
        goals = {goal["name"]: (goal["measured"], goal["met"]) for goal in ask["goals"]}
        resolve = goals.pop("resolve")
        assert (resolve[1], resolve[0] > 0) == (True, True)
        assert goals == {
            "automatic": (0.0, False),
            "cost": (0.0, True),
            "answered": (2.0, True),
            "wrong_answers": (None, None),
        }
        # What a run calls was started where the caller was, and is counted as its own workflow's.
        assert (calls["ended"]["runs"], calls["ended"]["automated"], count["ended"]["runs"]) == (1, 1, 1)
        assert [(one["release"], one["open"]) for one in ask["releases"]] == [(release, 1)]
        same = await client.get("/v1/outcomes", headers={"If-None-Match": response.headers["etag"]})
        assert same.status_code == 304
        fork = await client.post(f"/v1/runs/{called}/fork", json={"reason": "what if"})
        assert fork.status_code in (200, 201), fork.text
        await ended(client, fork.json()["run_id"])
        again = (await client.get("/v1/outcomes", params={"workflow": "desk/calls"})).json()["items"]
        assert [item["ended"]["runs"] for item in again] == [1]


async def test_windows_releases_and_pages(database: Database, database_url: str) -> None:
    old = await deployed(database, DESK)
    clock = SystemClock()
    async with serving(database) as api, api.client("clerk", "lead") as client:
        await started(client, COUNT)
        new = await deployed(database, {**DESK, "policies/desk.cedar": DESK["policies/desk.cedar"] + "\n"})
        await started(client, COUNT)
        with psycopg.connect(database_url, autocommit=True) as connection:
            # As if they had failed: no worker runs here.
            connection.execute("UPDATE run_view SET status = 'failed', ended_at = now()")

        async def counts(**asked: Any) -> dict[str, int]:
            response = await client.get("/v1/outcomes", params=asked)
            assert response.status_code == 200, response.text
            return {item["workflow"]: item["ended"]["runs"] for item in response.json()["items"]}

        one = {"workflow": "desk/count", "project": "desk"}
        for release in (old, new[:9]):
            assert await counts(**one, release=release) == {"desk/count": 1}
        assert await counts(**one) == {"desk/count": 2}
        assert await counts(**one, environment="prod") == {}  # nothing is deployed there
        ago = (clock.now() - timedelta(days=3)).isoformat()
        assert await counts(**one, since=(clock.now() - timedelta(days=9)).isoformat(), until=ago) == {"desk/count": 0}
        assert await counts(**one, since=ago) == {"desk/count": 2}
        assert await counts(workflow="desk/gone", project="desk") == {"desk/gone": 0}
        first = (await client.get("/v1/outcomes", params={"limit": 2})).json()
        assert [item["workflow"] for item in first["items"]] == ["desk/ask", "desk/calls"]
        rest = (await client.get("/v1/outcomes", params={"limit": 2, "cursor": first["next"]})).json()
        assert ([item["workflow"] for item in rest["items"]], rest["next"]) == (["desk/count"], None)
        failed = named(rest["items"][0]["outcomes"])["failed"]
        assert (failed["outcome"], failed["runs"], failed["share"]) == (None, 2, 1.0)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, 422),
        ({"since": "2024-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, 422),
        ({"since": "yesterday"}, 422),
        ({"since": "2026-01-02T00:00:00"}, 422),
        ({"release": "abcdef0"}, 404),
        ({"release": "abcdef0", "project": "desk"}, 404),
        ({"release": "X"}, 422),
        ({"environment": "Prod"}, 422),
        ({"limit": 0}, 422),
    ],
)
async def test_what_cannot_be_asked_is_told(api: Api, asked: dict[str, Any], status: int) -> None:
    async with api.client("lead") as client:
        response = await client.get("/v1/outcomes", params=asked)
    assert (response.status_code, "application/problem+json" in response.headers["content-type"]) == (status, True)


async def test_nobody_counts_without_permission_nor_across_organisations(database: Database, database_url: str) -> None:
    await deployed(database, DESK)
    elsewhere = another_organisation(database_url)
    async with (
        serving(database) as api,
        api.client("clerk") as clerk,
        api.client("lead", org_id=elsewhere) as theirs,
    ):
        await started(clerk, COUNT)
        for client in (clerk, theirs):
            assert (await client.get("/v1/outcomes")).json()["items"] == []
