"""Operations over HTTP: who may, what is refused, batches, time travel, timelines, explanations, moves and forks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
from support.api_cases import ASK, COUNT, FILES, deployed, serving, until, working

from signoff.foundation.database import Database
from signoff.foundation.settings import ApiSettings


async def started(client: httpx.AsyncClient, body: Any = ASK) -> str:
    answer = await client.post("/v1/runs", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["run_id"]


def status(wanted: str) -> Callable[[dict[str, Any]], bool]:
    def reached(run: dict[str, Any]) -> bool:
        return run["status"] == wanted

    return reached


async def test_operations_need_their_own_permission_and_are_done_once_by_key(database: Database) -> None:
    await deployed(database)
    async with serving(database) as api, working(database), api.client("clerk") as clerk, api.client("lead") as lead:
        run_id = await started(clerk)
        path = f"/v1/runs/{run_id}"
        await until(clerk, path, status("waiting"))
        for name, body in (
            ("cancel", {}),
            ("terminate", {}),
            ("pause", {}),
            ("resume", {}),
            ("retry", {}),
            ("skip", {"step": "decision", "reason": "no"}),
            ("priority", {"priority": 1}),
            ("migrate", {"release": "current"}),
            ("fork", {}),
        ):
            assert (await clerk.post(f"{path}/{name}", json=body)).status_code == 403, name
        key = {"Idempotency-Key": "p1"}
        first = await lead.post(f"{path}/pause", json={"reason": "look"}, headers=key)
        again = await lead.post(f"{path}/pause", json={"reason": "look"}, headers=key)
        assert (first.status_code, first.json()["message_id"]) == (202, again.json()["message_id"])
        await until(clerk, path, status("paused"))
        told = (await lead.get(f"{path}/explain")).json()
        assert "paused it" in told["summary"]
        assert told["reasons"][0]["commands"] == [f"signoff runs resume {run_id}"]
        missing = await lead.post(f"{path}/skip", json={"step": "descision", "reason": "x"})
        assert (missing.status_code, "decision" in missing.json()["detail"]) == (404, True)
        assert (await lead.post(f"{path}/retry", json={})).status_code == 409
        await lead.post(f"{path}/resume", json={})
        await lead.post(f"{path}/skip", json={"step": "decision", "reason": "asked by telephone"})
        ended = await until(clerk, f"{path}?steps=true", lambda run: run["ended_at"] is not None)
        assert [step["status"] for step in ended["steps"]] == ["bypassed", "blocked"]
        assert ended["status"] == "failed"  # no outcome is for that
        refused = await lead.post(f"{path}/cancel", json={})
        assert refused.status_code == 409


async def test_a_batch_says_how_many_and_which_before_it_does_anything(database: Database) -> None:
    await deployed(database)
    async with serving(database) as api, working(database), api.client("clerk") as clerk, api.client("lead") as lead:
        runs = [await started(clerk) for _ in range(3)]
        done = await started(clerk, COUNT)
        await until(clerk, f"/v1/runs/{done}", status("done"))
        for run_id in runs:
            await until(clerk, f"/v1/runs/{run_id}", status("waiting"))
        body: dict[str, Any] = {"operation": "cancel", "filter": "workflow = 'desk/ask'", "dry_run": True, "limit": 2}
        page = (await lead.post("/v1/runs/bulk", json=body)).json()
        assert (page["matched"], [item["result"] for item in page["items"]]) == (3, ["would", "would"])
        rest = (await lead.post("/v1/runs/bulk", json=body | {"cursor": page["next"]})).json()
        assert (rest["matched"], len(rest["items"]), rest["next"]) == (None, 1, None)
        assert {item["run_id"] for item in [*page["items"], *rest["items"]]} == set(runs)
        everything = {"operation": "cancel", "filter": "", "reason": "closing time"}
        result = (await lead.post("/v1/runs/bulk", json=everything)).json()
        found = {item["run_id"]: item["result"] for item in result["items"]}
        assert found == {**dict.fromkeys(runs, "asked"), done: "refused"}
        for run_id in runs:
            await until(clerk, f"/v1/runs/{run_id}", status("cancelled"))
        forbidden = (await clerk.post("/v1/runs/bulk", json=everything)).json()
        assert {item["result"] for item in forbidden["items"]} == {"forbidden"}
        wrong = await lead.post("/v1/runs/bulk", json={"operation": "cancel", "filter": "nonsense !"})
        assert wrong.status_code == 422


async def test_a_run_is_shown_as_of_any_event_with_its_timeline(database: Database) -> None:
    await deployed(database)
    async with serving(database) as api, working(database), api.client("clerk") as clerk, api.client("lead") as lead:
        run_id = await started(clerk)
        path = f"/v1/runs/{run_id}"
        run = await until(clerk, path, status("waiting"))
        review = run["waiting_for"][0]["about"].rpartition(" ")[2]
        digest = (await lead.get(f"/v1/reviews/{review}")).json()["digest"]
        await lead.post(f"/v1/reviews/{review}/decision", json={"decision": "approve", "digest": digest})
        await until(clerk, path, status("done"))
        first = (await clerk.get(path, params={"at": 1})).json()
        assert (first["status"], first["steps"], first["at"]) == ("queued", [], 1)
        events = (await clerk.get(f"{path}/journal")).json()["items"]
        waiting = next(event["seq"] for event in events if event["kind"] == "step.waiting")
        then = (await clerk.get(path, params={"at": waiting})).json()
        assert (then["status"], then["waiting_for"][0]["kind"], then["ended_at"]) == ("waiting", "review", None)
        last = (await clerk.get(path, params={"at": events[-1]["seq"]})).json()
        assert (last["status"], last["steps"][0]["output"]["cents"]) == ("done", 1250)
        assert (await clerk.get(path, params={"at": 10_000})).status_code == 404
        line = (await clerk.get(f"{path}/timeline")).json()
        assert [(span["step"], span["kind"]) for span in line["spans"]][:2] == [
            ("decision", "try"),
            ("decision", "wait"),
        ]
        causes = {event["kind"]: event["cause"] for event in line["events"] if event["step"] != "decision"}
        assert causes["step.started"] == "the end of decision"
        assert (await clerk.get(f"{path}/explain")).json()["summary"].startswith("It ended")


async def test_a_waiting_run_moves_to_a_release_whose_past_is_the_same(database: Database) -> None:
    await deployed(database)
    async with serving(database) as api, working(database), api.client("clerk") as clerk, api.client("lead") as lead:
        run_id = await started(clerk)
        path = f"/v1/runs/{run_id}"
        run = await until(clerk, path, status("waiting"))
        workflow = FILES["workflows/ask.yaml"]
        other = await deployed(database, {**FILES, "workflows/ask.yaml": workflow.replace("Pay this?", "Pay that?")})
        page = (await lead.post(f"{path}/migrate", json={"release": other[:12], "dry_run": True})).json()
        assert (page["release"], page["possible"], page["differences"][0]["step"]) == (other, False, "decision")
        same = await lead.post(f"{path}/migrate", json={"release": run["release"], "dry_run": True})
        assert (same.status_code, same.json()["detail"]) == (409, f"run {run_id} has this release already")
        refused = await lead.post(f"{path}/migrate", json={"release": other})
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "differs")
        later = await deployed(
            database, {**FILES, "workflows/ask.yaml": workflow.replace("desk.answered.v1", "desk.told.v1")}
        )
        page = (await lead.post("/v1/runs/migrate", json={"release": "current", "dry_run": True})).json()
        assert [item["result"] for item in page["items"]] == ["would"]
        moved = (await lead.post(f"{path}/migrate", json={"release": "current", "reason": "new event"})).json()
        assert (moved["possible"], [item["step"] for item in moved["differences"]]) == (True, ["told"])
        await until(clerk, path, lambda run: run["release"] == later)
        run = await until(clerk, path, status("waiting"))
        review = run["waiting_for"][0]["about"].rpartition(" ")[2]
        digest = (await lead.get(f"/v1/reviews/{review}")).json()["digest"]
        await lead.post(f"/v1/reviews/{review}/decision", json={"decision": "approve", "digest": digest})
        await until(clerk, path, status("done"))
        (event,) = (await clerk.get("/v1/events")).json()["items"]
        assert event["type"] == "desk.told.v1"


async def test_a_fork_has_the_past_asks_again_and_acts_dry(database: Database) -> None:
    await deployed(database)
    async with serving(database) as api, working(database), api.client("lead", "clerk") as lead:
        run_id = await started(lead)
        path = f"/v1/runs/{run_id}"
        run = await until(lead, path, status("waiting"))
        await _approve(lead, run)
        await until(lead, path, status("done"))
        body = {"input": {"text": "less", "cents": 5}, "reason": "what if"}
        forked = await lead.post(f"{path}/fork", json=body, headers={"Idempotency-Key": "f1"})
        assert forked.status_code == 201, forked.text
        again = await lead.post(f"{path}/fork", json=body, headers={"Idempotency-Key": "f1"})
        assert (again.status_code, again.json()["run_id"]) == (200, forked.json()["run_id"])
        other = f"/v1/runs/{forked.json()['run_id']}"
        run = await until(lead, other, status("waiting"))  # the approval of the past is void
        shown = (await lead.get(other, params={"steps": True})).json()["origin"]
        assert (shown["kind"], shown["run_id"], shown["dry"], shown["reason"]) == ("fork", run_id, True, "what if")
        assert shown["about"] in str((await lead.get(f"{other}/explain")).json())
        review = run["waiting_for"][0]["about"].rpartition(" ")[2]
        assert (await lead.get(f"/v1/reviews/{review}")).json()["title"].startswith("Dry run: ")
        await _approve(lead, run)
        await until(lead, other, status("done"))
        assert len((await lead.get("/v1/events")).json()["items"]) == 1
        journal = (await lead.get(f"{other}/journal")).json()["items"]
        told = next(event["data"] for event in reversed(journal) if event["data"].get("step") == "told")
        assert (told["status"], told["dry"]) == ("done", True)
        assert journal[0]["data"]["forked_from"]["run_id"] == run_id
        differing = (await lead.get(f"{path}/difference", params={"other": forked.json()["run_id"]})).json()
        assert [step["step"] for step in differing["steps"]] == ["decision"]
        assert {item["name"]: item["second"] for item in differing["input"]}["cents"] == 5
        live = await lead.post(f"{path}/fork", json={"live_effects": True})
        assert live.status_code == 403


async def _approve(lead: httpx.AsyncClient, run: dict[str, Any]) -> None:
    review = run["waiting_for"][0]["about"].rpartition(" ")[2]
    digest = (await lead.get(f"/v1/reviews/{review}")).json()["digest"]
    answer = await lead.post(f"/v1/reviews/{review}/decision", json={"decision": "approve", "digest": digest})
    assert answer.status_code == 200, answer.text


async def test_a_start_waits_for_the_end_or_gives_the_live_run(database: Database) -> None:
    await deployed(database)
    async with serving(database) as api, working(database), api.client("clerk", "lead") as client:
        ended = await client.post("/v1/runs", params={"wait": "20s"}, json=COUNT)
        assert (ended.status_code, ended.json()["run"]["outcome"]) == (201, "counted")
        live = await client.post("/v1/runs", params={"wait": "200ms"}, json=ASK)
        assert (live.status_code, live.json()["run"]["ended_at"]) == (202, None)
        assert (await client.post("/v1/runs", params={"wait": "5m"}, json=COUNT)).status_code == 422
        assert (await client.post("/v1/runs", params={"wait": "soon"}, json=COUNT)).status_code == 422


async def test_only_so_many_requests_wait_at_once(database: Database) -> None:
    await deployed(database)
    settings = ApiSettings(max_waiters=1)
    async with serving(database, settings=settings) as api, api.client("clerk", "lead") as client:
        first = asyncio.create_task(client.post("/v1/runs", params={"wait": "2s"}, json=COUNT))  # no worker is up
        refused = 0
        while not first.done():
            answer = await client.post("/v1/runs", params={"wait": "1ms"}, json=COUNT)
            assert answer.status_code == 202, answer.text  # it is started, whether or not there is room to wait
            refused += answer.json()["run"] is None
        answer = await first
        assert answer.status_code == 202
        refused += answer.json()["run"] is None  # where another had the only place just then
        assert refused > 0
        (run, *_) = (await client.get("/v1/runs", params={"status": "queued"})).json()["items"]
        told = (await client.get(f"/v1/runs/{run['run_id']}/explain")).json()
        assert told["summary"] == "It waits for a worker, and no worker is alive."
