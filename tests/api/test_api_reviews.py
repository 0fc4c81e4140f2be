"""Deciding reviews over HTTP: once, by the right role, in time, on what was shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
from support.api_cases import Api, deployed, serving, started, until, working

from signoff.core.clock import SystemClock
from signoff.foundation.database import Database


class ShiftedClock(SystemClock):
    """The machine's clock, ahead by as much as a test says."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@dataclass
class Case:
    clerk: httpx.AsyncClient
    lead: httpx.AsyncClient
    run_id: str
    review: dict[str, Any]

    @property
    def path(self) -> str:
        return f"/v1/reviews/{self.review['review_id']}"

    def approval(self, **changes: Any) -> dict[str, Any]:
        return {"decision": "approve", "digest": self.review["digest"], **changes}

    async def decide(self, body: dict[str, Any], **headers: str) -> httpx.Response:
        return await self.lead.post(f"{self.path}/decision", json=body, headers=headers)


@asynccontextmanager
async def waiting(api: Api, database: Database) -> AsyncGenerator[Case]:
    """A run that waits for its review, with a worker up."""
    async with working(database), api.client("clerk") as clerk, api.client("lead") as lead:
        run_id = await started(clerk)
        page = await until(lead, f"/v1/reviews?run_id={run_id}", lambda found: bool(found["items"]))
        yield Case(clerk, lead, run_id, page["items"][0])


async def test_an_approval_with_an_edit_ends_the_run(api: Api, database: Database) -> None:
    async with waiting(api, database) as case:
        read = (await case.lead.get(case.path)).json()
        assert (read["proposed"], read["editable"]) == ({"cents": 1250}, ["cents"])
        assert read["shown"] == {"input.text": "My jug broke."}
        assert read["may_decide"] == ["lead"]
        response = await case.decide(case.approval(values={"cents": 900}, comment="half"))
        assert response.status_code == 200, response.text
        assert response.json()["final_values"] == {"cents": 900}
        run = await until(case.clerk, f"/v1/runs/{case.run_id}", lambda found: found["status"] == "done")
        assert run["outcome"] == "answered"
        events = (await case.clerk.get(f"/v1/events?run_id={case.run_id}")).json()["items"]
        assert events[0]["data"]["cents"] == 900


async def test_a_rejection_needs_a_reason_and_ends_the_run(api: Api, database: Database) -> None:
    async with waiting(api, database) as case:
        body = {"decision": "reject", "digest": case.review["digest"]}
        bare = await case.decide(body)
        assert bare.status_code == 422
        assert bare.json()["errors"][0]["pointer"] == "/reason"
        assert (await case.decide({**body, "reason": "not ours"})).status_code == 200
        run = await until(case.clerk, f"/v1/runs/{case.run_id}", lambda found: found["status"] == "done")
        assert run["outcome"] == "rejected"


async def test_the_second_decision_says_who_made_the_first(api: Api, database: Database) -> None:
    async with waiting(api, database) as case:
        answers = await asyncio.gather(*(case.decide(case.approval()) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
        late = await case.decide({"decision": "reject", "reason": "no", "digest": case.review["digest"]})
        assert late.status_code == 409
        assert "approved by user/tester" in late.json()["detail"]
        assert (await case.lead.get("/v1/reviews", params={"status": "open"})).json()["items"] == []


async def test_the_wrong_role_is_forbidden(api: Api, database: Database) -> None:
    async with waiting(api, database) as case:
        response = await case.clerk.post(f"{case.path}/decision", json=case.approval())
        assert response.status_code == 403
        assert "role/lead" in response.json()["detail"]
        assert (await case.lead.get(case.path)).json()["status"] == "open"


async def test_an_expired_review_is_not_decided(database: Database) -> None:
    await deployed(database)
    clock = ShiftedClock()
    async with serving(database, clock=clock) as api, waiting(api, database) as case:
        clock.ahead = timedelta(days=2)
        response = await case.decide(case.approval())
        assert response.status_code == 409
        assert "expired" in response.json()["detail"]
        assert (await case.lead.get(case.path)).json()["status"] == "expired"


async def test_a_decision_says_what_it_was_made_on(api: Api, database: Database) -> None:
    async with waiting(api, database) as case:
        tag = (await case.lead.get(case.path)).headers["etag"]
        body = {"decision": "approve"}
        assert (await case.decide(body)).status_code == 428
        assert (await case.decide(body, **{"If-Match": "*"})).status_code == 428
        assert (await case.decide(body, **{"If-Match": '"1.0"'})).status_code == 412
        assert (await case.decide({**body, "digest": "0" * 64})).status_code == 409
        assert (await case.decide({**body, "digest": "0" * 64}, **{"If-Match": tag})).status_code == 409
        assert (await case.decide(body, **{"If-Match": tag})).status_code == 200


async def test_only_editable_values_change_and_keep_their_type(api: Api, database: Database) -> None:
    async with waiting(api, database) as case:
        for values, pointer in (({"cents": "900"}, "/values/cents"), ({"payee": "me"}, "/values/payee")):
            response = await case.decide(case.approval(values=values))
            assert response.status_code == 422
            assert response.json()["errors"][0]["pointer"] == pointer
        assert (await case.decide({"decision": "perhaps", "digest": case.review["digest"]})).status_code == 422


async def test_the_inbox_is_filtered_and_paged(api: Api, database: Database) -> None:
    async with waiting(api, database) as case:
        for _ in range(2):
            await started(case.clerk)
        await until(case.lead, "/v1/reviews?limit=200", lambda page: len(page["items"]) == 3)
        first = (await case.lead.get("/v1/reviews", params={"limit": 2})).json()
        rest = (await case.lead.get("/v1/reviews", params={"limit": 2, "cursor": first["next"]})).json()
        ids = [review["review_id"] for review in first["items"] + rest["items"]]
        assert (len(first["items"]), len(set(ids)), rest["next"]) == (2, 3, None)
        of_role = (await case.lead.get("/v1/reviews", params={"role": "role/clerk"})).json()["items"]
        assert of_role == []
        assert (await case.lead.get("/v1/reviews", params={"cursor": "bm9uc2Vuc2U="})).status_code == 422
