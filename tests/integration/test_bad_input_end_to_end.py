"""Bad input, each with a clear problem and nothing lost, on the whole stack: what a user really gets.

| bad input | tested end to end in |
|---|---|
| malformed or misspelt workflow; unknown prompt, tool or schema; wrong types in CEL | here; `test_cli_projects` |
| input that breaks its schema | `test_api_runs`, `test_cli_dev` |
| a model that answers garbage three times | here |
| a tool that times out, answers 500 or breaks its contract | `test_bad_input_effects`; `test_tools_conformance` |
| a write of unknown outcome: again, looked up, asked about | `test_bad_input_effects`; `test_runtime_effects_unknown` |
| a person's word on it that is none | `test_bad_input_effects` |
| a forbidden model or tool | here |
| a project without policies, or with one for the start alone | here |
| deciding a review twice, by the wrong role, after expiry | here; `test_api_reviews`, `test_cli_dev` |
| starting twice with one idempotency key | `test_api_runs`, `test_cli_dev` |
| PostgreSQL stopped and started while runs are under way | `test_bad_input_machine` |
| a full disk, or a log that cannot be written | `test_bad_input_machine`; `test_foundation_embedded` |
| a second `make demo`, a second `signoff dev` | `test_bad_input_machine`; `test_cli_dev` |
| secrets in journals, tables, logs, errors, answers | `test_bad_input_secrets` |
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from support.api_cases import until, write_project
from support.bad_input_cases import FILES, INPUT, facts, stage, with_policy
from support.cli_cases import signoff
from support.http_server import LoopbackServer

from signoff.foundation.database import Database
from signoff.testing import ScriptedProvider

GARBAGE = ("I think it is a refund.", '{"label": "refnud", "confidence": 0.9}', "[]")


# ---- files


def test_every_mistake_in_a_project_is_told_at_its_place(tmp_path: Path) -> None:
    workflow = FILES["workflows/look.yaml"]
    mistakes = {
        "workflows/malformed.yaml": workflow.replace("steps:", "steps: ["),
        "workflows/verb.yaml": workflow.replace("returns/look", "returns/verb").replace("tool: shop", "tol: shop"),
        "workflows/tool.yaml": workflow.replace("returns/look", "returns/tool").replace("shop.order", "shop.oder"),
        "workflows/schema.yaml": workflow.replace("returns/look", "returns/schema").replace(
            "return.json", "retrun.json"
        ),
        "workflows/cel.yaml": workflow.replace("returns/look", "returns/cel").replace(
            "order.cents}", "order.cents + 'x'}"
        ),
        "workflows/field.yaml": workflow.replace("returns/look", "returns/field").replace(
            "order.cents}", "order.cetns}"
        ),
        "workflows/prompt.yaml": FILES["workflows/sort.yaml"].replace("sort@^1", "sotr@^1").replace("/sort", "/prompt"),
    }
    write_project(tmp_path, {**FILES, **mistakes})
    result = signoff("check", "--json", cwd=tmp_path)
    assert result.code == 1
    problems: list[dict[str, Any]] = json.loads(result.out)["problems"]
    assert {problem["file"] for problem in problems} == set(mistakes)
    assert all(problem["line"] >= 1 and problem["column"] >= 1 for problem in problems)
    said = {problem["file"]: f"{problem['detail']} {problem.get('suggestion', '')}" for problem in problems}
    for name, hint in (
        ("verb", "'tool'"),
        ("tool", "'shop.order'"),
        ("schema", "return.json"),
        ("field", "'cents'"),
        ("prompt", "'sort"),
    ):
        assert hint in said[f"workflows/{name}.yaml"], said
    refused = signoff("dev", "--port", "0", cwd=tmp_path)
    assert refused.code == 1
    assert "workflows/cel.yaml:" in refused.err


# ---- models


async def test_a_model_that_answers_garbage_three_times_fails_the_run_and_is_paid_for(
    database: Database, tmp_path: Path
) -> None:
    provider = ScriptedProvider(GARBAGE, input_tokens=10, output_tokens=5)
    async with stage(database, tmp_path, factories={"scripted": provider.factory}) as play:
        run = await play.ended(run_id := await play.start("sort"))
        calls = facts(await play.journal(run_id), "model.call")
        shown = await play.command("runs", "show", run_id)
        told = await play.command("runs", "journal", run_id)
    assert (run["status"], run["error"]["step"], run["error"]["kind"]) == ("failed", "sorted", "model_contract")
    assert "test/model: It broke its contract 3 times" in run["error"]["detail"]
    assert (run["usage"]["model_calls"], run["usage"]["input_tokens"], run["usage"]["output_tokens"]) == (3, 30, 15)
    assert [call["outcome"] for call in calls] == ["contract"] * 3
    assert len(provider.requests) == 3
    assert shown.code == 0
    assert "model_contract" in shown.out
    assert "3 calls, 30 tokens in, 15 out" in shown.out
    tries = ("model.call test/model (contract)", "test/model repair 1 (contract)", "test/model repair 2 (contract)")
    assert [told.out.count(words) for words in tries] == [1, 1, 1]


async def test_a_fallback_catches_garbage_and_says_so(database: Database, tmp_path: Path) -> None:
    provider = ScriptedProvider(GARBAGE)
    async with stage(database, tmp_path, factories={"scripted": provider.factory}) as play:
        run = await play.ended(await play.start("sort-safe"))
    (step, _) = run["steps"]
    assert (run["status"], run["outcome"], run["usage"]["model_calls"]) == ("done", "sorted", 3)
    assert (step["status"], step["via"], step["error"]["kind"]) == ("done", "fallback", "model_contract")


# ---- policy


async def test_a_forbidden_model_and_tool_are_not_called_and_name_the_policies(
    database: Database, tmp_path: Path, shop: LoopbackServer
) -> None:
    provider = ScriptedProvider(['{"label": "refund", "confidence": 1.0}'])
    files = with_policy("""
@id("no-such-model") forbid (principal, action == Action::"model.call", resource == Model::"test/model");
@id("no-payments") forbid (principal, action == Action::"tool.call", resource == Tool::"payments.resent");
@id("broken") forbid (principal, action == Action::"tool.call", resource == Tool::"payments.asked")
when { context.arguments.payee == "me" };
""")
    factories = {"scripted": provider.factory}
    async with stage(database, tmp_path, files=files, factories=factories, shop_url=shop.url) as play:
        for workflow, reason in (("sort", "no-such-model"), ("resent", "no-payments"), ("asked", "attribute `payee`")):
            run = await play.ended(run_id := await play.start(workflow))
            assert (run["status"], run["error"]["kind"]) == ("failed", "forbidden")
            assert reason in run["error"]["detail"]
            (decision,) = facts(events := await play.journal(run_id), "policy.decision")
            assert decision["permit"] is False
            assert reason in (*decision["policies"], *decision["errors"]) or reason in decision["errors"][0]
            assert not any(event["kind"] == "effect.intended" for event in events)
        told = await play.command("runs", "journal", run_id)
    assert "deny tool.call" in told.out
    assert "error while evaluating" in told.out
    assert (provider.requests, shop.received) == ([], [])


async def test_a_project_without_policies_starts_nothing(database: Database, tmp_path: Path) -> None:
    files = {name: text for name, text in FILES.items() if not name.endswith(".cedar")}
    write_project(tmp_path / "returns", files)
    checked = await asyncio.to_thread(signoff, "check", cwd=tmp_path / "returns")
    assert "no policies" in checked.out
    async with stage(database, tmp_path, files=files) as play:
        answer = await play.client.post("/v1/runs", json={"workflow": "returns/look", "input": INPUT})
        assert (answer.status_code, answer.json()["title"]) == (403, "Forbidden by policy")
        assert "run.start" in answer.json()["detail"]
        assert (await play.client.get("/v1/workflows")).json()["items"] == []
        ran = await play.command("run", "returns/look", "-i", json.dumps(INPUT))
        assert ran.code == 4
        assert "run.start" in ran.err
    async with database.worker_connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM run") == 0


async def test_who_may_start_may_do_nothing_else(database: Database, tmp_path: Path, shop: LoopbackServer) -> None:
    start_only = """
@id("staff-starts") permit (principal, action == Action::"run.start", resource);
@id("staff-reads") permit (principal, action == Action::"run.read", resource);
"""
    provider = ScriptedProvider(['{"label": "refund", "confidence": 1.0}'])
    factories = {"scripted": provider.factory}
    files = {**FILES, "policies/returns.cedar": start_only}
    async with stage(database, tmp_path, files=files, factories=factories, shop_url=shop.url) as play:
        for workflow in ("sort", "look", "resent"):
            run = await play.ended(await play.start(workflow))
            assert run["error"]["kind"] == "forbidden"
        run_id = await play.start("ask")
        await play.waiting(run_id, "review")
        assert (await play.client.get("/v1/reviews")).json()["items"] == []
        assert (await play.signal(run_id, "decision", {"resolution": "failed"})).status_code == 403
    assert (provider.requests, shop.received) == ([], [])


# ---- reviews


async def test_a_review_is_decided_once_by_its_role(database: Database, tmp_path: Path) -> None:
    async with stage(database, tmp_path) as play, play.api.client("clerk", name="cleo") as clerk:
        run_id = await play.start("ask")
        page = await until(play.client, f"/v1/reviews?run_id={run_id}", lambda found: bool(found["items"]))
        review = page["items"][0]
        path, body = f"/v1/reviews/{review['review_id']}/decision", {"decision": "approve", "digest": review["digest"]}
        wrong = await clerk.post(path, json=body)
        assert (wrong.status_code, "role/lead" in wrong.json()["detail"]) == (403, True)
        assert (await play.client.post(path, json=body)).status_code == 200
        again = await play.client.post(path, json={**body, "decision": "reject", "reason": "no"})
        assert again.status_code == 409
        assert "approved by user/tester" in again.json()["detail"]
        assert (await play.ended(run_id))["outcome"] == "answered"
