"""Circuit breakers over the API: pages of what policy shows, and of one's own organisation."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from support.api_cases import FILES, Api, deployed

from signoff.foundation.database import DEFAULT_ORG_ID

POLICY = """
@id("leads-see-breakers") permit (principal in Role::"lead", action == Action::"breaker.read", resource)
unless { resource.id == "tool/secret" };
"""
INSERT = """
INSERT INTO breaker (org_id, target, state, trips, retry_at, reason, changed_at)
VALUES ($1, $2, $3, $4, $5, 'timeout', $6)
"""
NOW = datetime(2026, 5, 1, tzinfo=UTC)


async def failed(api: Api, target: str, *, opened: bool = False, org_id: UUID = DEFAULT_ORG_ID) -> None:
    state = ("open", 1, NOW) if opened else ("closed", 0, None)
    async with api.database.worker_connection() as connection:
        await connection.execute(INSERT, org_id, target, *state, NOW)


async def test_breakers_are_listed_as_policy_shows_them(api: Api) -> None:
    await deployed(api.database, {**FILES, "policies/more.cedar": POLICY})
    for target in ("tool/a", "tool/secret", "model/vendor/main"):
        await failed(api, target, opened=target == "tool/a")
    async with api.client("lead") as lead:
        page = (await lead.get("/v1/breakers")).json()
        assert [(item["target"], item["state"]) for item in page["items"]] == [
            ("model/vendor/main", "closed"),
            ("tool/a", "open"),
        ]
        assert page["items"][1]["retry_at"] == "2026-05-01T00:00:00Z"
        first = (await lead.get("/v1/breakers", params={"limit": 1})).json()
        assert (len(first["items"]), first["next"]) == (1, "model/vendor/main")
        rest = (await lead.get("/v1/breakers", params={"cursor": first["next"]})).json()
        assert ([item["target"] for item in rest["items"]], rest["next"]) == (["tool/a"], None)
    async with api.client("clerk") as clerk:
        assert (await clerk.get("/v1/breakers")).json() == {"items": [], "next": None}
