"""`/metrics`: for keys whose project shows them what calls cost, and of their organisation only."""

from __future__ import annotations

from support.served_cases import POLICY, served

from signoff.foundation.database import Database

COSTS = POLICY + '\n@id("costs") permit (principal in Role::"program", action == Action::"cost.read", resource);\n'


async def test_a_scrape_shows_queues_breakers_and_losses(database: Database) -> None:
    async with served(database, policy=COSTS) as there, there.raw() as client:
        answer = await client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert "signoff_runs_queued 0.0" in answer.text
        assert "signoff_call_records_dropped 0.0" in answer.text


async def test_nobody_reads_them_whom_no_project_shows_its_costs(database: Database) -> None:
    async with served(database) as there, there.raw() as client:
        refused = await client.get("/metrics")
        assert refused.status_code == 403
        assert "cost.read" in refused.json()["detail"]
        assert (await client.get("/metrics", headers={"authorization": ""})).status_code == 401
