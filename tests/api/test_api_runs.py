"""Starting, listing, reading, cancelling and signalling runs over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

from support.api_cases import ASK, COUNT, FILES, Api, deployed, serving, started, until, working

from signoff.core.ids import uuid7
from signoff.foundation.database import Database


async def test_one_idempotency_key_gives_one_run(api: Api) -> None:
    async with api.client("clerk") as client:
        headers = {"Idempotency-Key": "ticket-4711"}
        first = await client.post("/v1/runs", json=ASK, headers=headers)
        again = await client.post("/v1/runs", json=ASK, headers=headers)
        other = await client.post("/v1/runs", json=COUNT, headers=headers)
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert first.json()["created"] is True
    assert again.json() == {**first.json(), "created": False}
    assert first.headers["location"] == f"/v1/runs/{first.json()['run_id']}"
    assert other.json()["run_id"] == first.json()["run_id"]
    assert other.headers["content-type"] == "application/problem+json"


async def test_a_retry_after_a_deploy_gives_the_same_run(api: Api, database: Database) -> None:
    stricter = FILES["schemas/ask.json"].replace('"required": ["text"', '"required": ["reason", "text"')
    assert stricter != FILES["schemas/ask.json"]
    async with api.client("clerk") as client:
        headers = {"Idempotency-Key": "ticket-4711"}
        first = await client.post("/v1/runs", json=ASK, headers=headers)
        await deployed(database, {**FILES, "schemas/ask.json": stricter})
        again = await client.post("/v1/runs", json=ASK, headers=headers)
        fresh = await client.post("/v1/runs", json=ASK)
    assert (first.status_code, again.status_code, fresh.status_code) == (201, 200, 422)
    assert again.json() == {**first.json(), "created": False}


async def test_an_idempotency_key_of_another_project_is_a_conflict(api: Api, database: Database) -> None:
    await deployed(database, {**FILES, "signoff.yaml": FILES["signoff.yaml"].replace("desk", "desk-two")})
    async with api.client("clerk") as client:
        headers = {"Idempotency-Key": "ticket-4711"}
        first = await client.post("/v1/runs", json={**ASK, "project": "desk"}, headers=headers)
        other = await client.post("/v1/runs", json={**ASK, "project": "desk-two"}, headers=headers)
    assert (first.status_code, other.status_code) == (201, 409)
    assert other.json()["run_id"] == first.json()["run_id"]


async def test_somebody_elses_retry_is_asked_of_policy_first(api: Api) -> None:
    headers = {"Idempotency-Key": "ticket-4711"}
    async with api.client("clerk") as client:
        await client.post("/v1/runs", json=ASK, headers=headers)
    async with api.client("reader", name="peeper") as client:
        peeped = await client.post("/v1/runs", json=ASK, headers=headers)
        guessed = await client.post("/v1/runs", json=COUNT, headers=headers)
    assert (peeped.status_code, guessed.status_code) == (403, 403)


async def test_input_that_breaks_its_schema_is_told_field_by_field(api: Api) -> None:
    async with api.client("clerk") as client:
        body = {"workflow": "desk/ask", "input": {"cents": "12", "extra": 1}}
        response = await client.post("/v1/runs", json=body)
        runs = (await client.get("/v1/runs")).json()["items"]
    assert response.status_code == 422
    pointers = {problem["pointer"] for problem in response.json()["errors"]}
    assert pointers == {"/text", "/cents", "/extra"}
    assert runs == []


async def test_fields_of_the_request_itself_are_checked(api: Api) -> None:
    async with api.client("clerk") as client:
        body: dict[str, Any] = {"workflow": "desk/ask", "input": [], "priority": 99, "wokflow": "x"}
        response = await client.post("/v1/runs", json=body)
        key = await client.post("/v1/runs", json=ASK, headers={"Idempotency-Key": "a b"})
        huge = await client.post("/v1/runs", json=ASK, headers={"Idempotency-Key": "k" * 201})
    assert response.status_code == key.status_code == huge.status_code == 422
    assert {problem["pointer"] for problem in response.json()["errors"]} == {"/input", "/priority", "/wokflow"}
    assert "99" not in response.json()["detail"]


async def test_a_misspelt_workflow_is_not_found_with_a_suggestion(api: Api) -> None:
    async with api.client("clerk") as client:
        response = await client.post("/v1/runs", json={**ASK, "workflow": "desk/aks"})
        elsewhere = await client.post("/v1/runs", json={**ASK, "project": "other"})
    assert response.status_code == elsewhere.status_code == 404
    assert "Did you mean 'desk/ask'?" in response.json()["detail"]


async def test_two_projects_with_the_same_workflow_need_the_project(api: Api, database: Database) -> None:
    await deployed(database, {**FILES, "signoff.yaml": FILES["signoff.yaml"].replace("desk", "desk-two")})
    async with api.client("clerk") as client:
        unclear = await client.post("/v1/runs", json=COUNT)
        named = await client.post("/v1/runs", json={**COUNT, "project": "desk-two"})
        workflows = (await client.get("/v1/workflows")).json()["items"]
    assert unclear.status_code == 422
    assert unclear.json()["errors"][0]["pointer"] == "/project"
    assert named.status_code == 201
    assert {item["project"] for item in workflows} == {"desk", "desk-two"}


async def test_lists_are_pages_that_meet_without_gap_or_overlap(api: Api) -> None:
    async with api.client("clerk") as client:
        ids = [await started(client, COUNT) for _ in range(5)]
        seen: list[str] = []
        cursor = None
        while True:
            query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
            page = (await client.get("/v1/runs", params=query)).json()
            assert len(page["items"]) <= 2
            seen += [item["run_id"] for item in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        queued = (await client.get("/v1/runs", params={"status": "queued"})).json()["items"]
        running = (await client.get("/v1/runs", params={"status": "running"})).json()["items"]
        wrong = await client.get("/v1/runs", params={"status": "sleeping"})
        none = (await client.get("/v1/runs", params={"workflow": "desk/ask"})).json()["items"]
    assert seen == sorted(ids, reverse=True)
    assert len(queued) == 5
    assert running == []
    assert none == []
    assert wrong.status_code == 422


async def test_a_run_is_read_with_its_steps_journal_and_tag(api: Api, database: Database) -> None:
    async with working(database), api.client("clerk") as client:
        run_id = await started(client, COUNT)
        run = await until(client, f"/v1/runs/{run_id}", lambda found: found["status"] == "done")
        assert run["outcome"] == "counted"
        whole = (await client.get(f"/v1/runs/{run_id}", params={"steps": "true"})).json()
        assert [(step["step"], step["status"]) for step in whole["steps"]] == [("sum", "done")]
        response = await client.get(f"/v1/runs/{run_id}")
        again = await client.get(f"/v1/runs/{run_id}", headers={"If-None-Match": response.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        first = (await client.get(f"/v1/runs/{run_id}/journal", params={"limit": 2})).json()
        rest = (await client.get(f"/v1/runs/{run_id}/journal", params={"cursor": first["next"]})).json()
    assert [event["seq"] for event in first["items"]] == [1, 2]
    assert first["items"][0]["kind"] == "run.started"
    assert first["items"][0]["data"]["decision"]["policies"] == ["clerks-start"]
    assert rest["items"][-1]["kind"] == "run.ended"
    assert rest["next"] is None


async def test_a_waiting_run_is_cancelled_once(api: Api, database: Database) -> None:
    async with working(database), api.client("clerk") as clerk, api.client("lead") as lead:
        run_id = await started(clerk)
        await until(lead, f"/v1/runs/{run_id}", lambda found: bool(found["waiting_for"]))
        response = await lead.post(f"/v1/runs/{run_id}/cancel", json={"reason": "withdrawn"})
        assert response.status_code == 202
        await until(lead, f"/v1/runs/{run_id}", lambda found: found["status"] == "cancelled")
        assert (await lead.post(f"/v1/runs/{run_id}/cancel", json={})).status_code == 409
        reviews = (await lead.get("/v1/reviews")).json()["items"]
    assert [review["status"] for review in reviews] == ["withdrawn"]


async def test_nobody_signs_a_review_through_a_signal(api: Api, database: Database) -> None:
    async with working(database), api.client("clerk", "lead") as client:
        run_id = await started(client)
        await until(client, f"/v1/runs/{run_id}", lambda found: bool(found["waiting_for"]))
        path = f"/v1/runs/{run_id}/signals"
        for kind in ("review.decision", "run.cancel", "effect.observed", "step.ended"):
            response = await client.post(path, json={"step": "decision", "kind": kind, "data": {"result": "approved"}})
            assert response.status_code == 422, kind
        # Another kind reaches the step, which looks at the review itself and waits on.
        forged = {"step": "decision", "kind": "signal", "data": {"result": "approved", "values": {"cents": 9}}}
        assert (await client.post(path, json=forged)).status_code == 202
        journal = f"/v1/runs/{run_id}/journal"
        await until(
            client, journal, lambda page: page["items"][-1]["kind"] == "step.waiting" and len(page["items"]) > 4
        )
        assert (await client.get(f"/v1/runs/{run_id}")).json()["status"] in {"waiting", "running"}


async def test_text_that_no_column_takes_is_refused_before_it_gets_there(api: Api) -> None:
    async with api.client("clerk", "lead") as client:
        run_id = await started(client)
        assert (await client.get("/v1/runs", params={"workflow": "a\0b"})).status_code == 422
        assert (await client.get("/v1/reviews", params={"role": "a\0b"})).status_code == 422
        assert (await client.get("/v1/reviews", params={"cursor": "a\0b"})).status_code == 422
        signal: dict[str, Any] = {"step": "a\0b", "data": {}}
        assert (await client.post(f"/v1/runs/{run_id}/signals", json=signal)).status_code == 422
        kept = {"step": "decision", "data": {"note": "a\0b"}}
        assert (await client.post(f"/v1/runs/{run_id}/signals", json=kept)).status_code == 202
        nul = {**ASK, "input": {"text": "a\0b", "cents": 1}}
        assert (await client.post("/v1/runs", json=nul)).status_code == 201


async def test_what_is_not_there_is_not_found(api: Api) -> None:
    async with api.client("clerk", "lead") as client:
        for path in (f"/v1/runs/{uuid7()}", f"/v1/runs/{uuid7()}/journal", f"/v1/reviews/{uuid.uuid4()}"):
            response = await client.get(path)
            assert (response.status_code, response.json()["status"]) == (404, 404)
        assert (await client.get("/v1/runs/not-an-id")).status_code == 422


async def test_events_are_read_on_from_a_cursor(api: Api, database: Database) -> None:
    async with working(database), api.client("clerk", "lead") as client, api.client() as nobody:
        run_id = await started(client)
        reviews = await until(client, "/v1/reviews", lambda page: bool(page["items"]))
        review = reviews["items"][0]
        body = {"decision": "approve", "digest": review["digest"]}
        assert (await client.post(f"/v1/reviews/{review['review_id']}/decision", json=body)).status_code == 200
        events = await until(client, "/v1/events", lambda page: bool(page["items"]))
        (event,) = events["items"]
        assert (event["type"], event["run_id"], event["data"]["cents"]) == ("desk.answered.v1", run_id, 1250)
        after = await client.get("/v1/events", params={"cursor": event["event_id"]})
        assert after.json() == {"items": [], "next": None}
        gone = await client.get("/v1/events", params={"cursor": str(uuid.uuid4())})  # as retention leaves it
        assert (gone.status_code, gone.json()["type"].rpartition("/")[2]) == (410, "cursor-gone")
        assert (await nobody.get("/v1/events")).json()["items"] == []


async def test_starts_are_taken_with_no_worker_up_and_done_once_there_is_one(database: Database) -> None:
    await deployed(database)
    async with serving(database) as api, api.client("clerk") as client:
        run_id = await started(client, COUNT)
        assert (await client.get(f"/v1/runs/{run_id}")).json()["status"] == "queued"
    async with working(database), serving(database) as api, api.client("clerk") as client:
        await until(client, f"/v1/runs/{run_id}", lambda found: found["status"] == "done")


async def test_who_am_i(api: Api) -> None:
    async with api.client("clerk", "lead", name="ana@example.com") as client:
        me = (await client.get("/v1/me")).json()
    assert (me["kind"], me["id"], me["roles"], me["environment"]) == (
        "user",
        "ana@example.com",
        ["clerk", "lead"],
        "dev",
    )
