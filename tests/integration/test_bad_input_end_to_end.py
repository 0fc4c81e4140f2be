"""Bad input, each with a clear problem and nothing lost, on the whole stack: what a user really gets.

| bad input | tested end to end in |
|---|---|
| malformed or misspelt workflow; unknown prompt, tool or schema; wrong types in CEL | here; `test_cli_projects` |
| input that breaks its schema | `test_api_runs`, `test_cli_dev` |
| a model that answers garbage three times | here |
| a tool that times out, answers 500, or answers what its contract forbids | here; `test_tools_conformance` |
| a write of unknown outcome: sent again, looked up, or a person asked | here; `test_runtime_effects` |
| a person's word on it that is none | here |
| a forbidden model or tool | here |
| a project without policies, or with one for the start alone | here |
| deciding a review twice, by the wrong role, after expiry | here; `test_api_reviews`, `test_cli_dev` |
| starting twice with one idempotency key | `test_api_runs`, `test_cli_dev` |
| PostgreSQL stopped and started while runs are under way | here |
| a full disk, or a log that cannot be written | here; `test_foundation_embedded` |
| a second `make demo`, a second `signoff dev` | here; `test_cli_dev` |
| secrets in journals, tables, logs, errors, answers | here |
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql
from support.api_cases import COUNT, until, write_project
from support.bad_input_cases import ENDED, FILES, INPUT, facts, stage, with_policy
from support.cli_cases import running, signoff
from support.engine import eventually
from support.http_server import LoopbackServer, disconnect, loopback_server, reply

from signoff.capabilities.gateway.providers import default_factories
from signoff.cli.workspace import AlreadyRunningError, only_dev
from signoff.foundation.database import Database, EmbeddedServer, migrate
from signoff.foundation.settings import DatabaseSettings
from signoff.testing import ScriptedProvider, StubVendor
from signoff.testing.stub_vendor import Fails, Says

GARBAGE = ("I think it is a refund.", '{"label": "refnud", "confidence": 0.9}', "[]")
TOKEN = "shop-bearer-7Gq2"
VENDOR_KEY = "vendor-key-9Xw4Lp"
EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "refunds"


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    """A shop that answers every request with what a payment gives; tests make it answer otherwise."""
    monkeypatch.setenv("SIGNOFF_SECRET_SHOP_TOKEN", TOKEN)
    with loopback_server(reply(b'{"id": "r-1"}')) as server:
        yield server


def keys_of(server: LoopbackServer) -> Counter[str]:
    """How often each idempotency key came."""
    return Counter(request.headers["Idempotency-Key"] for request in server.received if request.method == "POST")


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


# ---- tools


async def test_a_read_that_fails_says_how(database: Database, tmp_path: Path, shop: LoopbackServer) -> None:
    answers: list[tuple[Any, str, str]] = [
        (reply(status=500), "http_500", "HTTP status 500"),
        (shop.hang, "timeout", "within 0.3 s"),
        (reply(b'{"cents": "many"}'), "contract", "'cents'"),
        (reply(b"<html>", content_type="text/html"), "contract", "not JSON"),
        (disconnect, "connection", "broke"),
    ]
    async with stage(database, tmp_path, shop_url=shop.url) as play:
        for answer, kind, words in answers:
            shop.answer = answer
            run = await play.ended(await play.start("look"))
            assert (run["status"], run["error"]["step"], run["error"]["kind"]) == ("failed", "order", kind)
            assert "shop.order" in run["error"]["detail"]
            assert words in run["error"]["detail"]


async def test_a_write_that_may_have_happened_is_sent_again_with_its_key(
    database: Database, tmp_path: Path, shop: LoopbackServer
) -> None:
    script = [reply(status=500), disconnect, reply(b'{"id": "r-1"}')]

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        script.pop(0)(handler, body)

    shop.answer = answer
    async with stage(database, tmp_path, shop_url=shop.url) as play:
        run = await play.ended(run_id := await play.start("resent"))
    assert (run["status"], run["outcome"]) == ("done", "paid")
    assert keys_of(shop) == {f"{run_id}/pay": 3}


async def test_a_write_that_may_have_happened_is_looked_up(
    database: Database, tmp_path: Path, shop: LoopbackServer
) -> None:
    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        paid = handler.command == "GET"
        (reply(b'{"id": "r-9"}') if paid else reply(status=502))(handler, body)

    shop.answer = answer
    async with stage(database, tmp_path, shop_url=shop.url) as play:
        run = await play.ended(run_id := await play.start("found"))
        ends = [event["data"] for event in await play.journal(run_id) if event["kind"] == "step.ended"]
    assert (run["status"], ends[0]["output"]) == ("done", {"id": "r-9"})
    assert keys_of(shop) == {f"{run_id}/pay": 1}


async def test_a_person_says_what_became_of_a_write(database: Database, tmp_path: Path, shop: LoopbackServer) -> None:
    shop.answer = reply(status=500)
    async with stage(database, tmp_path, shop_url=shop.url) as play:
        run_id = await play.start("asked")
        run = await play.waiting(run_id, "outcome_unknown")
        assert "effect.resolution" in run["waiting_for"][0]["about"]
        shown = await play.command("runs", "show", run_id)
        assert "http_500" in shown.out
        data = json.dumps({"resolution": "happened", "output": {"id": "r-7"}})
        sent = await play.command("runs", "signal", run_id, "pay", "--kind", "effect.resolution", "--data", data)
        assert sent.code == 0, sent.err
        run = await play.ended(run_id)
        step = run["steps"][0]
    assert (run["status"], run["outcome"]) == ("done", "paid")
    assert (step["status"], step["decided_by"]) == ("done", "user/tester")
    assert len(shop.received) == 1


async def test_a_person_says_that_it_did_not_happen_or_that_it_failed(
    database: Database, tmp_path: Path, shop: LoopbackServer
) -> None:
    shop.answer = reply(status=500)
    async with stage(database, tmp_path, shop_url=shop.url) as play:
        again, given_up = await play.start("asked"), await play.start("asked")
        for run_id in (again, given_up):
            await play.waiting(run_id, "outcome_unknown")
        shop.answer = reply(b'{"id": "r-2"}')
        assert (await play.signal(again, "pay", {"resolution": "retry"})).status_code == 202
        assert (await play.signal(given_up, "pay", {"resolution": "failed"})).status_code == 202
        assert (await play.ended(again))["outcome"] == "paid"
        run = await play.ended(given_up)
    assert (run["status"], run["error"]["kind"]) == ("failed", "resolved")
    assert "user/tester" in run["error"]["detail"]


@pytest.mark.parametrize(
    ("step", "data", "pointer", "words"),
    [
        ("pay", {"resolution": "hapened"}, "/data/resolution", "Did you mean 'happened'?"),
        ("pay", {}, "/data/resolution", "happened, retry or failed"),
        ("pay", {"resolution": "happened"}, "/data/output", "payments.asked"),
        ("pay", {"resolution": "happened", "output": "r-1"}, "/data/output", "object"),
        ("pay", {"resolution": "happened", "output": {"id": 7}}, "/data/output/id", "id"),
        ("pya", {"resolution": "retry"}, "/step", "Did you mean 'pay'?"),
    ],
)
async def test_a_persons_word_that_is_none_is_refused_and_the_step_waits_on(  # noqa: PLR0917  (a table's columns)
    database: Database, tmp_path: Path, shop: LoopbackServer, step: str, data: Any, pointer: str, words: str
) -> None:
    shop.answer = reply(status=500)
    async with stage(database, tmp_path, shop_url=shop.url) as play:
        run_id = await play.start("asked")
        await play.waiting(run_id, "outcome_unknown")
        answer = await play.signal(run_id, step, data)
        assert answer.status_code == 422, answer.text
        (problem,) = answer.json()["errors"]
        assert problem["pointer"] == pointer
        assert words in f"{problem['detail']} {problem.get('suggestion', '')}"
        await play.waiting(run_id, "outcome_unknown")


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


# ---- the machine


@pytest.fixture
async def restartable() -> AsyncIterator[tuple[EmbeddedServer, Database]]:
    """A server that the test may stop and start, and a database on it that waits for it to come back."""
    with tempfile.TemporaryDirectory(prefix="signoff-") as name:
        await asyncio.to_thread(Path(name).chmod, 0o755)
        server = EmbeddedServer(Path(name), durable=False)
        url = await asyncio.to_thread(server.start)
        await asyncio.to_thread(migrate, url)
        try:
            async with await Database.open(DatabaseSettings(url=url, recovery_wait_s=2)) as database:
                yield server, database
        finally:
            await asyncio.to_thread(server.stop)


async def test_postgresql_stops_and_starts_while_runs_are_under_way(
    restartable: tuple[EmbeddedServer, Database], tmp_path: Path, shop: LoopbackServer
) -> None:
    server, database = restartable
    down = threading.Event()

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        down.wait(60)
        reply(b'{"id": "r-1"}')(handler, body)

    shop.answer = answer
    async with stage(database, tmp_path, shop_url=shop.url) as play:
        waits = await play.start("ask")
        await play.waiting(waits, "review")
        runs = [await play.start("resent") for _ in range(8)]
        await eventually(lambda: len(shop.received) >= len(runs))
        await asyncio.to_thread(server.stop)
        down.set()  # the shop has paid, and nobody can write it down
        away = await play.client.post("/v1/runs", json={"workflow": "returns/look", "input": INPUT})
        assert (away.status_code, away.headers["retry-after"]) == (503, "1")
        assert "PostgreSQL does not answer" in away.json()["detail"]
        shown = await play.command("runs", "show", runs[0])
        assert shown.code == 6
        await asyncio.to_thread(server.start)
        for run_id in runs:
            await until(play.client, f"/v1/runs/{run_id}", lambda found: found.get("status") in ENDED, 60)
            assert (await play.ended(run_id))["outcome"] == "paid"
        assert (await play.client.get(f"/v1/runs/{waits}")).json()["waiting_for"][0]["kind"] == "review"
    # Sent again under the same key where the first answer could not be kept, and never under another.
    assert keys_of(shop).keys() == {f"{run_id}/pay" for run_id in runs}


def test_a_log_that_cannot_be_written_is_told_by_the_command(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="signoff-") as name:
        state = Path(name)
        state.chmod(0o755)
        server = EmbeddedServer(state, durable=False)
        server.start()
        server.stop()
        server.log_path.unlink()
        server.log_path.mkdir()
        write_project(tmp_path)
        result = signoff("dev", "--port", "0", cwd=tmp_path, variables={"SIGNOFF_STATE_DIRECTORY": name})
    assert result.code == 6
    assert "The embedded PostgreSQL did not start" in result.err
    assert "server.log" in result.err
    assert "Traceback" not in result.err


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A directory with a disk of its own that has room for a server and little else."""
    with tempfile.TemporaryDirectory(prefix="signoff-") as name:
        options = ["-t", "tmpfs", "-o", "size=160m,mode=0755", "tmpfs", name]
        if subprocess.run(["mount", *options], capture_output=True, check=False).returncode != 0:
            pytest.skip("this machine does not let us mount a small disk")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", name], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_fills_while_runs_are_under_way_is_told_and_loses_none(tmp_path: Path, small_disk: Path) -> None:
    write_project(tmp_path)
    variables = {"SIGNOFF_STATE_DIRECTORY": str(small_disk)}
    with running("dev", "--port", "0", "--json", cwd=tmp_path, variables=variables) as process:
        url = json.loads(process.line())["url"]
        headers = {"Authorization": f"Bearer {json.loads((small_disk / 'dev.json').read_text())['key']}"}
        body = {**COUNT, "input": {"text": "x" * 60_000, "cents": 1}}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60) as client:
            ballast = small_disk / "ballast"
            with ballast.open("wb", buffering=0) as file, suppress(OSError):
                while True:  # PostgreSQL writes meanwhile, so what is free is not known beforehand
                    file.write(bytes(64_000))
            answers = [client.post("/v1/runs", json=body)]
            while answers[-1].status_code == 201 and len(answers) < 2000:
                answers.append(client.post("/v1/runs", json=body))
            assert answers[-1].status_code == 503
            assert "No space left on device" in answers[-1].json()["detail"]
            ballast.unlink()
            runs = [answer.json()["run_id"] for answer in [*answers[:-1], client.post("/v1/runs", json=body)]]
            deadline_s = time.monotonic() + 60
            while any(client.get(f"/v1/runs/{run_id}").json()["status"] != "done" for run_id in runs):
                assert time.monotonic() < deadline_s
                time.sleep(0.1)
        assert process.stop() == 0


def test_a_second_demo_says_that_one_runs_and_touches_nothing() -> None:
    try:
        with only_dev(EXAMPLE / ".signoff"):
            done = subprocess.run(
                [sys.executable, "-m", "examples.refunds.demo", "--llm", "embedded"],
                cwd=EXAMPLE.parent.parent,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
    except AlreadyRunningError:
        pytest.skip("a demo runs in this checkout")
    assert done.returncode == 1
    assert "runs for examples/refunds already" in done.stdout
    assert "Traceback" not in done.stderr


# ---- secrets


def _with_vendor(url: str) -> dict[str, str]:
    models = f"""
models:
  vendor/main:
    {{provider: openai_compatible, base_url: "{url}/v1", api_key: "${{env.VENDOR_KEY}}", model: m, price: free}}
routes:
  - {{task: classify, use: [vendor/main]}}
"""
    return {**FILES, "models.yaml": models}


def _everything_stored(url: str) -> str:
    """Every row of every table as text; what is bytes also as the text that it spells."""
    pieces: list[str] = []
    names = "SELECT format('%I.%I', table_schema, table_name)::text FROM information_schema.tables"
    with psycopg.connect(url, autocommit=True) as connection:
        listed = connection.execute(f"{names} WHERE table_schema = 'public' AND table_type = 'BASE TABLE'".encode())
        for (name,) in listed.fetchall():
            schema, _, table = name.partition(".")
            query = sql.SQL("SELECT to_jsonb(t)::text FROM {} t").format(sql.Identifier(schema, table.strip('"')))
            for (row,) in connection.execute(query):
                pieces.append(row)
                pieces += [
                    bytes.fromhex(value[2:]).decode(errors="replace")
                    for value in json.loads(row).values()
                    if isinstance(value, str) and value.startswith("\\x")
                ]
    return "\n".join(pieces)


async def test_no_secret_gets_anywhere(
    database: Database,
    database_url: str,
    tmp_path: Path,
    shop: LoopbackServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    caplog.set_level(logging.DEBUG, "signoff")
    shop.answer = _echo
    said: list[str] = []
    refusal = Fails(401, f"Incorrect API key provided: {VENDOR_KEY}.")
    with StubVendor([refusal, Says(f"My key is {VENDOR_KEY}.")]) as vendor:
        opened = stage(
            database,
            tmp_path,
            files=_with_vendor(vendor.base_url),
            shop_url=shop.url,
            factories=default_factories(),
            models_environment={"VENDOR_KEY": VENDOR_KEY},
        )
        async with opened as play:
            secrets = {"token": TOKEN, "vendor": VENDOR_KEY, "ours": play.key.rpartition("_")[2]}
            for workflow in ("sort", "sort", "found", "resent", "asked"):
                run_id = await play.start(workflow)
                path = f"/v1/runs/{run_id}"
                await until(play.client, path, lambda found: found["status"] in {*ENDED, "waiting"})
                said.append((await play.client.get(path, params={"steps": "true"})).text)
                said.append((await play.client.get(f"{path}/journal")).text)
            async with httpx.AsyncClient(base_url=play.api.url, trust_env=False) as stranger:
                for key in (f"{play.key}0", play.key.replace("so_", "os_", 1)):
                    answer = await stranger.get("/v1/runs", headers={"Authorization": f"Bearer {key}"})
                    assert answer.status_code == 401
                    said.append(answer.text)
            shown = await play.command("runs", "journal", run_id, "--json", key=f"{play.key}0")
            said.append(shown.out + shown.err)
        assert vendor.heard[0].headers["authorization"] == f"Bearer {VENDOR_KEY}"
    assert shop.received[0].headers["Authorization"] == f"Bearer {TOKEN}"
    stored = await asyncio.to_thread(_everything_stored, database_url)
    assert "step.ended" in stored
    assert "returns/sort" in stored
    logged = "\n".join(f"{record.getMessage()} {record.exc_text or ''}" for record in caplog.records)
    for name, secret in secrets.items():
        for place, text in (("an answer", "\n".join(said)), ("a table", stored), ("a log", logged)):
            at = text.find(secret)
            assert at == -1, f"the {name} secret is in {place}: …{text[max(0, at - 200) : at]}"


def _echo(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """Give the credential back, as a good answer or with an error."""
    given = handler.headers.get("Authorization", "none")
    good = "Idempotency-Key" in handler.headers
    reply(json.dumps({"id": given}).encode(), status=200 if good else 500, headers={"X-Echo": given})(handler, body)
