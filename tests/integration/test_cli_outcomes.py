"""`signoff outcomes`: bars, goals and JSON, from a server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import psycopg
from support.api_cases import COUNT, FILES, deployed, serving, started
from support.cli_cases import Result, inside

from signoff.foundation.database import Database

READ = '@id("count") permit (principal in Role::"lead", action == Action::"outcome.read", resource);\n'
GOALS = "goals: {automatic: 40%, failed: 0, loved: 90%}\nrisk: low"
COUNTED = FILES["workflows/count.yaml"].replace("risk: low", GOALS)


async def test_outcomes_are_drawn_beside_goals(database: Database, database_url: str, tmp_path: Path) -> None:
    await deployed(database, {**FILES, "workflows/count.yaml": COUNTED, "policies/count.cedar": READ})
    async with serving(database) as api, api.client("clerk") as client:
        for _ in range(4):
            await started(client, COUNT)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("UPDATE run_view SET status = 'failed', ended_at = started_at + interval '90 s'")
        lead, clerk = await api.key("lead"), await api.key("clerk", name="carl")

        async def outcomes(*arguments: str, key: str = lead) -> Result:
            named = ("outcomes", *arguments, "--url", api.url, "--key", key)
            return await asyncio.to_thread(inside, *named, cwd=tmp_path)

        shown = await outcomes("--since", "2h")
        assert shown.code == 0, shown.err
        assert [text in shown.out for text in ("4 ended, 0 open", "█" * 30, "100.0%", "1.5m")] == [True] * 4
        assert "✗ goal automatic ≥ 40.0%: 0.0%" in shown.out
        assert "✗ goal failed ≤ 0: 4" in shown.out
        assert "· goal loved ≥ 90.0%: not counted" in shown.out
        lines = [json.loads(line) for line in (await outcomes("--json", "--limit", "1")).out.splitlines()]
        assert [item["workflow"] for item in lines] == ["desk/ask"]
        assert "outcome.read" in (await outcomes(key=clerk)).out
        assert (await outcomes("--since", "2026-01-02", "--until", "2026-01-01")).code == 1
        assert (await outcomes("--release", "xyz")).code == 1
        assert (await outcomes(key="so_0_wrong")).code == 4
