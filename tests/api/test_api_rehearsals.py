"""A move of a run in Python needs a worker's look at the code: what is said where none answers in time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.api_cases import FILES, deployed, serving, write_project
from support.cli_cases import inside

from signoff.foundation.database import Database
from signoff.foundation.settings import ApiSettings

CODE = """
from signoff.workflows.python import Context, RunOutcome, workflow


@workflow("desk/code", version="1.0.0", input={"type": "object"}, outcomes=["ok"])
async def code(ctx: Context, input) -> RunOutcome:
    return ctx.outcome("ok")
"""
EXIT_UNAVAILABLE = 6


async def test_without_a_worker_that_answers_nothing_moves_and_it_is_said_what_to_do(
    database: Database, tmp_path: Path
) -> None:
    await deployed(database, {**FILES, "workflows/code.py": CODE})
    settings = ApiSettings(rehearsal_s=0.2)
    async with serving(database, settings=settings) as api, api.client("clerk") as clerk, api.client("lead") as lead:
        started = await clerk.post("/v1/runs", json={"workflow": "desk/code", "input": {}})
        path = f"/v1/runs/{started.json()['run_id']}"
        before = (await clerk.get(path)).json()["release"]
        await deployed(database, {**FILES, "workflows/code.py": CODE + "\n"})
        for body in ({"release": "current", "dry_run": True}, {"release": "current", "reason": "new code"}):
            refused = await lead.post(f"{path}/migrate", json=body)
            problem = refused.json()
            assert (refused.status_code, problem["type"].rpartition("/")[2]) == (503, "not-rehearsed")
            assert "signoff worker" in problem["detail"]
        batch = await lead.post("/v1/runs/migrate", json={"release": "current", "dry_run": True})
        assert (batch.status_code, batch.json()["type"]) == (503, problem["type"])
        assert (await clerk.get(path)).json()["release"] == before
        project, key = write_project(tmp_path), await api.key("lead")
        asked = ("runs", "migrate", path.rpartition("/")[2], "--to", "current", "--dry-run")
        told = await asyncio.to_thread(inside, *asked, "--url", api.url, "--key", key, cwd=project)
    assert told.code == EXIT_UNAVAILABLE
    assert "No worker answered within 0.2 s" in told.err.replace("\n", " ")
    assert "signoff worker" in told.err
