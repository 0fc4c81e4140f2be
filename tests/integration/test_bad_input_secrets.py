"""No secret gets into journals, tables, logs, errors or answers, on the whole stack."""

from __future__ import annotations

import asyncio
import json
import logging
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg import sql
from support.api_cases import until
from support.bad_input_cases import ENDED, FILES, SHOP_TOKEN, stage
from support.http_server import LoopbackServer, reply

from signoff.capabilities.gateway.providers import default_factories
from signoff.foundation.database import Database
from signoff.testing import StubVendor
from signoff.testing.stub_vendor import Fails, Says

VENDOR_KEY = "vendor-key-9Xw4Lp"


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
            secrets = {"token": SHOP_TOKEN, "vendor": VENDOR_KEY, "ours": play.key.rpartition("_")[2]}
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
    assert shop.received[0].headers["Authorization"] == f"Bearer {SHOP_TOKEN}"
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
