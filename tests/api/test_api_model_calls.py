"""Calls to models and their costs through the API: pages, sums, differences, and only for whom policy shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import httpx
from support.api_cases import FILES, deployed, serving
from support.limit_cases import MODEL, ONE_CALL, asked, ledger
from support.review_cases import another_organisation

from signoff.capabilities.gateway.asking import Asked, CallRecord, Estimate, Tried
from signoff.capabilities.gateway.chat import ChatUsage
from signoff.capabilities.gateway.records import CallRecorder, RecordSettings
from signoff.catalog.model_limits import ModelLimit, Window
from signoff.core.clock import SystemClock
from signoff.core.ids import uuid7
from signoff.core.money import Cost, Usage
from signoff.foundation.database import Database

READ = """
@id("calls") permit (principal in Role::"lead", action == Action::"call.read", resource)
when { context.team != "board" || context.own_call };
@id("costs") permit (principal in Role::"lead", action == Action::"cost.read", resource == Project::"desk");
"""
DESK = {**FILES, "policies/calls.cedar": READ}
TODAY = datetime.now(UTC).date().isoformat()
MOMENTS_MS = count(int(datetime.now(UTC).timestamp() * 1000) - 60_000)  # so that the order of calls is certain


def record(who: Asked, cost: int = 100) -> CallRecord:
    tried = Tried("m", "openai", "ok", Usage(1, 10, 5, Cost(cost)), 0.1, 1.0, "list 1", Estimate(12, 50, Cost(900)))
    return CallRecord(
        id=uuid7(time_ms=next(MOMENTS_MS)),
        at=datetime.now(UTC),
        asked=who,
        kind="chat",
        outcome="ok",
        finish_reason="stop",
        model="m",
        considered=(),
        tried=(tried,),
        usage=tried.usage,
        tokens=ChatUsage(11, 5, reported=True),
        first_token_s=0.1,
        latency_s=1.0,
    )


def by(team: str, **facts: Any) -> Asked:
    return asked(team, project="desk", workflow="desk/ask", run_id=UUID(int=1), step="say", **facts)


async def kept(database: Database, *records: CallRecord) -> None:
    recorder = CallRecorder(database, SystemClock(), RecordSettings(gather_s=0))
    for one in records:
        recorder.record(one)
    await recorder.aclose()


async def get(client: httpx.AsyncClient, path: str, status: int = 200, **parameters: Any) -> Any:
    response = await client.get(path, params=parameters, timeout=60)
    assert response.status_code == status, response.text
    return response.json()


async def test_calls_are_listed_as_policy_shows_them_and_read_one_by_one(database: Database):
    await deployed(database, DESK)
    records = [record(by(team)) for team in ("support", "board", "support", "board")]
    mine = record(by("board", principal="user/lea"))
    elsewhere = record(asked("support", project="other"))
    await kept(database, *records, mine, elsewhere)
    async with serving(database) as api, api.client("lead", name="lea") as client:
        page = await get(client, "/v1/model-calls", limit=2)
        rest = await get(client, "/v1/model-calls", limit=2, cursor=page["next"])
        ids = [item["call_id"] for item in (*page["items"], *rest["items"])]
        assert ids == [str(one.id) for one in (mine, records[2], records[0])]
        assert rest["next"] is None
        only = await get(client, "/v1/model-calls", team="support", run_id=str(UUID(int=1)), model="m", outcome="ok")
        assert len(only["items"]) == 2
        assert (await get(client, "/v1/model-calls", workflow="desk/none"))["items"] == []
        one = await get(client, f"/v1/model-calls/{records[0].id}")
        assert (one["cost_micro_usd"], one["details"]["tried"][0]["price_version"]) == (100, "list 1")
        await get(client, f"/v1/model-calls/{records[1].id}", 403)
        await get(client, f"/v1/model-calls/{uuid7()}", 404)
        await get(client, "/v1/model-calls", 422, cursor="x")


async def test_costs_are_summed_up_in_pages_and_compared(database: Database):
    await deployed(database, DESK)
    await kept(database, *(record(by(team), cost) for team, cost in (("a", 1), ("a", 2), ("b", 4), ("c", 8))))
    async with serving(database) as api, api.client("lead", name="lea") as client:
        page = await get(client, "/v1/model-costs", by="team,day", limit=2)
        assert [(item["by"], item["cost_micro_usd"], item["calls"]) for item in page["items"]] == [
            ({"team": "a", "day": TODAY}, 3, 2),
            ({"team": "b", "day": TODAY}, 4, 1),
        ]
        rest = await get(client, "/v1/model-costs", by="team,day", limit=2, cursor=page["next"])
        assert ([item["cost_micro_usd"] for item in rest["items"]], rest["next"]) == ([8], None)
        runs = await get(client, "/v1/model-costs", by="run,step")
        assert runs["items"][0]["by"] == {"run": str(UUID(int=1)), "step": "say"}
        [item] = (await get(client, "/v1/model-costs/differences"))["items"]
        assert (item["tries"], item["estimated_input_tokens"], item["reported_input_tokens"]) == (4, 48, 44)
        assert (item["estimated_cost_micro_usd"], item["cost_micro_usd"]) == (3600, 15)
        await get(client, "/v1/model-costs", 422, by="teem")
        await get(client, "/v1/model-costs", 422, cursor='{"a": 1}')
        await get(client, "/v1/model-costs", 422, **{"from": "2020-01-01"})
        await get(client, "/v1/model-costs", 404, project="other")


async def test_what_is_used_of_limits_is_told_in_pages(database: Database):
    await deployed(database, DESK)
    month = Window(length_s=31 * 86_400.0)
    book = ledger(database, ModelLimit("team", "requests", 5, month), ModelLimit("project", "tokens", 90, month))
    for team in ("a", "b", "b"):
        await (await book.admit(by(team), MODEL, Estimate(15, 0, Cost()))).settle(ONE_CALL)
    await book.aclose()
    async with serving(database) as api, api.client("lead", name="lea") as client:
        page = await get(client, "/v1/model-limits", limit=2)
        rest = await get(client, "/v1/model-limits", limit=2, cursor=page["next"])
        assert [(one["of"], one["holder"], one["used"], one["most"]) for one in (*page["items"], *rest["items"])] == [
            ("project", "", 45, 90),
            ("team", "a", 1, 5),
            ("team", "b", 2, 5),
        ]
        assert (rest["next"], rest["items"][0]["every"], rest["items"][0]["unit"]) == (None, "31d", "requests")
        only = await get(client, "/v1/model-limits", of="team", holder="a")
        assert [one["used"] for one in only["items"]] == [1]
        await get(client, "/v1/model-limits", 422, cursor='["a"]')
        await get(client, "/v1/model-limits", 404, project="other")


async def test_nobody_sees_costs_without_a_policy_or_of_another_organisation(database: Database, database_url: str):
    await deployed(database, DESK)
    await kept(database, record(by("support")))
    other = another_organisation(database_url)
    async with serving(database) as api:
        async with api.client("clerk", name="cem") as client:
            assert (await get(client, "/v1/model-calls"))["items"] == []
            await get(client, "/v1/model-costs", 403)
            await get(client, "/v1/model-costs/differences", 403)
            await get(client, "/v1/model-limits", 403)
        async with api.client("lead", name="eve", org_id=other) as client:
            assert (await get(client, "/v1/model-calls"))["items"] == []
            await get(client, "/v1/model-costs", 404, project="desk")
