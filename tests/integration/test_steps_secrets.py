"""A tool's credentials are told nowhere, though the other side says all of it back: journals, tables, logs, CLI."""

from __future__ import annotations

import asyncio
import logging
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import orjson
import pytest
from support.answer_runs import project, staged
from support.api_cases import serving
from support.cli_cases import inside
from support.engine import until
from support.http_server import loopback_server

from signoff.foundation.database import DEFAULT_ORG_ID, Database

SECRET = "shop-9f8e7d6c5b4a39281706"
WAYS = ("answers", "refuses", "fails", "malformed", "breaks")
TOOL = """tool: shop.look
about: Looks something up.
effect: none
http: {method: POST, url: "URL/look"}
auth: {header: Authorization, value: "Bearer ${secret.SHOP_KEY}"}
input: {type: object, properties: {way: {type: string, x-signoff: {sink: any}}}, required: [way]}
output: {type: object, properties: {said: {type: string, maxLength: 4000}}, required: [said]}
"""
STEPS = """steps:
  look: {tool: shop.look, with: {way: "${input.text}"}}
outcome: {looked: look.done}
"""
POLICY = """
@id("all") permit (principal, action in [Action::"run.start", Action::"run.read", Action::"tool.call"], resource);
"""


def echo(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """Everything that was sent, in the words of an answer or of an error."""
    way, told = orjson.loads(body)["way"], f"You sent {dict(handler.headers)}"
    content = orjson.dumps({"said": told} if way == "answers" else {"error": told, told: told})
    handler.send_response({"refuses": 401, "fails": 500}.get(way, 200))
    handler.send_header("Content-Type", "application/json")
    content = b'{"said": "' + told.encode() if way == "malformed" else content
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


async def tables(database: Database) -> str:
    found: list[str] = []
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        names = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            " AND has_table_privilege(oid, 'SELECT')"
        )
        for name in names:
            rows = await connection.fetch(f'SELECT t::text AS row FROM "{name["relname"]}" AS t')
            found += [row["row"] for row in rows]
    return "\n".join(found)


async def test_no_output_of_a_run_has_its_tools_credential_in_it(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SIGNOFF_SECRET_SHOP_KEY", SECRET)
    with loopback_server(echo) as shop:
        files = {
            **project(STEPS),
            "tools/shop.look.yaml": TOOL.replace("URL", shop.url),
            "policies/all.cedar": POLICY,
        }
        outputs: dict[str, str] = {}
        async with staged(database, files) as stage:
            runs = {way: await stage.start({"text": way}) for way in WAYS}
            for run_id in runs.values():
                await until(database, run_id, lambda run: run.status in ("done", "failed", "stuck"), 60)
            for way, run_id in runs.items():
                events = await stage.events(run_id)
                outputs[f"journal of {way}"] = orjson.dumps([event.data for event in events], default=str).decode()
        assert SECRET in str([one.headers for one in shop.received]), "the shop was sent the key"
    outputs["tables"] = await tables(database)
    async with serving(database) as api:
        key = await api.key("lead")
        for way, run_id in runs.items():
            for command in ("show", "journal") if way in ("answers", "fails") else ():
                named = ("runs", command, str(run_id), "--url", api.url, "--key", key)
                done = await asyncio.to_thread(inside, *named, cwd=tmp_path)
                assert done.code == 0, done.err
                outputs[f"runs {command} of {way}"] = done.out + done.err
    outputs["logs"] = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert [where for where, text in outputs.items() if SECRET in text] == []
