"""Starts over HTTP that are waited for, and batches over runs that not everybody may read."""

from __future__ import annotations

import asyncio

from support.api_cases import COUNT, FILES, Api, deployed, serving, working

from signoff.foundation.database import Database

BLIND = dict(FILES) | {
    "policies/desk.cedar": FILES["policies/desk.cedar"].replace(
        'principal in Role::"clerk" || principal in Role::"lead"', 'principal in Role::"clerk"'
    )
}


async def test_a_debounced_start_can_be_waited_for_before_its_run_exists(api: Api):
    body = {**COUNT, "debounce": {"key": "k", "quiet": "1h", "max_wait": "2h"}}
    async with api.client("clerk") as clerk:
        answer = await clerk.post("/v1/runs?wait=50ms", json=body)
        unread = await clerk.get(f"/v1/runs/{answer.json()['run_id']}")
    assert answer.status_code == 202, answer.text
    assert answer.json()["starts_at"]
    # The id was given; "there is no such run" told its caller that it was wrong.
    assert (unread.status_code, "has not begun" in unread.json()["detail"]) == (404, True)


async def test_who_may_not_read_is_told_of_no_run_by_a_batch_and_of_a_start_its_id(database: Database):
    await deployed(database, BLIND)
    async with serving(database) as api, api.client("clerk") as clerk, api.client("lead") as lead:
        run_id = (await clerk.post("/v1/runs", json=COUNT)).json()["run_id"]
        batch = {"operation": "cancel", "filter": "workflow = 'desk/count'", "dry_run": True}
        found = (await lead.post("/v1/runs/bulk", json=batch)).json()
        assert (found["items"], found["matched"]) == ([], 0)
        told = (await clerk.post("/v1/runs/bulk", json=batch)).json()
        assert [item["run_id"] for item in told["items"]] == [run_id]
        assert told["items"][0]["result"] == "forbidden"
        assert told["matched"] == 1
    async with serving(database) as api, api.client("clerk", "lead") as both:
        assert (await both.get(f"/v1/runs/{run_id}")).status_code == 200


async def test_a_batch_counts_what_one_may_read_beyond_the_batch_too(database: Database):
    await deployed(database, BLIND)
    async with serving(database) as api, api.client("clerk") as clerk, api.client("lead") as lead:
        for number in range(3):
            answer = await clerk.post("/v1/runs", json={**COUNT, "attributes": {"number": number}})
            assert answer.status_code == 201, answer.text
        batch = {"operation": "cancel", "filter": "workflow = 'desk/count'", "dry_run": True, "limit": 1}
        assert (await lead.post("/v1/runs/bulk", json=batch)).json()["matched"] == 0
        assert (await clerk.post("/v1/runs/bulk", json=batch)).json()["matched"] == 3


async def test_a_run_is_read_once_it_has_ended(api: Api):
    async with api.client("clerk") as clerk:
        run_id = (await clerk.post("/v1/runs", json=COUNT)).json()["run_id"]
        assert (await clerk.get(f"/v1/runs/{run_id}?wait=20ms")).json()["status"] == "queued"
        waiting = asyncio.create_task(clerk.get(f"/v1/runs/{run_id}?wait=60s", timeout=60))
        async with working(api.database):
            assert (await waiting).json()["status"] == "done"


async def test_a_start_whose_run_may_not_be_read_is_answered_all_the_same(database: Database):
    blind = BLIND | {"policies/desk.cedar": BLIND["policies/desk.cedar"].replace('principal in Role::"clerk" || ', "")}
    async with serving(database) as api:
        await deployed(database, blind)
        async with api.client("clerk") as clerk:
            answer = await clerk.post("/v1/runs?wait=50ms", json=COUNT)
    assert answer.status_code == 202, answer.text
    assert answer.json()["run_id"]
    assert answer.json().get("run") is None
