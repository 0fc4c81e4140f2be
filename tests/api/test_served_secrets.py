"""No secret is told anywhere: a vendor that says back all that it was sent, and every output searched for it."""

from __future__ import annotations

import asyncio
import json
import logging
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.api_cases import deployed, serving
from support.cli_cases import inside
from support.http_server import loopback_server

from signoff.capabilities.gateway import Gateway
from signoff.capabilities.gateway.asking import Recorders
from signoff.capabilities.gateway.protection import Protector
from signoff.capabilities.gateway.records import CallRecorder
from signoff.capabilities.gateway.resilience.settings import ResilienceSettings
from signoff.capabilities.gateway.telemetry.tracing import CallTelemetry
from signoff.core.clock import SystemClock
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.governance.privacy import Detector

SETTING = "vk1-9f8e7d6c5b4a39281706"
HEADER = "hdr-5a6b7c8d9e0f1a2b3c4d"
URL = "urlpw-1a2b3c4d5e6f7a8b"
EMAIL = "ana.planted@example.com"
REDACTED = "DE89370400440532013000"
WAYS = ("refuses", "fails", "malformed", "breaks", "throttles")
POLICY = """
@id("use") permit (principal in Role::"program", action in [Action::"gateway.use", Action::"cost.read"], resource);
@id("own") permit (principal in Role::"program", action == Action::"call.read", resource);
@id("models") @tokenise("contact") @redact("financial")
permit (principal, action == Action::"model.call", resource);
"""


def echo(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """Everything that was sent, in words that a vendor's error may have."""
    way = handler.path.split("/")[1]
    said = f"You sent {dict(handler.headers)} and {body.decode()}"
    status = {"refuses": 401, "fails": 500, "throttles": 429}.get(way, 200)
    if way == "malformed":
        content, kind = f'{{"choices": "{said}'.encode(), "application/json"
    elif way == "breaks":
        error = json.dumps({"error": {"message": said, "type": "server_error"}})
        content, kind = f"data: {error}\n\n".encode(), "text/event-stream"
    else:
        content = json.dumps({"error": {"message": said, "code": said, "type": said}}).encode()
        kind = "application/json"
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


async def stored(database: Database) -> str:
    """Every row of every table that calls may have written to."""
    found: list[str] = []
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
            " AND has_table_privilege(oid, 'SELECT') AND relname ~ '^(model|breaker|run|event|limit|call)'"
        )
        for table in tables:
            rows = await connection.fetch(f'SELECT t::text AS row FROM "{table["relname"]}" AS t LIMIT 1000')
            found += [row["row"] for row in rows]
    return "\n".join(found)


async def shown(url: str, key: str, place: Path) -> str:
    """What the commands say of the calls: in words and as JSON, of each call all that there is."""
    found: list[str] = []

    async def told(*arguments: str) -> str:
        done = await asyncio.to_thread(inside, *arguments, "--url", url, "--key", key, cwd=place)
        assert done.code == 0, done.err
        found.extend((done.out, done.err))
        return done.out

    calls = [json.loads(line) for line in (await told("calls", "--json")).splitlines()]
    for arguments in (
        ("calls",),
        ("costs", "--by", "model"),
        ("costs", "--json"),
        ("costs", "--differences", "--json"),
    ):
        await told(*arguments)
    for call in calls[:5]:
        await told("calls", call["call_id"])
    return "\n".join(found)


async def test_no_output_of_a_call_has_a_secret_in_it(
    database: Database, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("signoff", "httpx", "httpcore", "asyncpg"):
        logging.getLogger(name).propagate = True
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    recorder = CallRecorder(database, SystemClock())
    with loopback_server(echo) as vendor:
        address = vendor.url.removeprefix("http://")
        models: dict[str, Any] = {
            way: {
                "provider": "openai_compatible",
                "base_url": f"http://user:${{env.VENDOR_PASSWORD}}@{address}/{way}/v1",
                "api_key": "${env.VENDOR_KEY}",
                "headers": {"x-extra-key": "${env.EXTRA_KEY}"},
                "model": way,
                "price": "free",
            }
            for way in WAYS
        }
        await deployed(
            database,
            {
                "signoff.yaml": "project: planted\nroles: {program: Calls models.}\n",
                "models.yaml": json.dumps({"models": models, "routes": [{"task": "chat", "use": list(WAYS)}]}),
                "policies/all.cedar": POLICY,
            },
        )
        gateway = Gateway(
            environment={"VENDOR_KEY": SETTING, "EXTRA_KEY": HEADER, "VENDOR_PASSWORD": URL},
            settings=ResilienceSettings(retries=0, total_s=20),
            protector=Protector(Detector()),
            recorder=Recorders([recorder, CallTelemetry(tracers, MeterProvider([reader]))]),
        )
        outputs: list[str] = []
        async with serving(database, gateway=gateway) as api, api.client("program") as client:
            key = str(client.headers["authorization"]).removeprefix("Bearer ")
            for way in WAYS:
                for stream in (False, True):
                    said = f"Mail {EMAIL} about {REDACTED}."
                    body = {"model": way, "stream": stream, "messages": [{"role": "user", "content": said}]}
                    answer = await client.post("/v1/chat/completions", json=body, timeout=60)
                    outputs += [answer.text, str(answer.headers)]
                    assert answer.status_code >= 400 or "error" in answer.text, (way, stream, answer.text)
            await recorder.flush()
            for path in ("/metrics", "/v1/model-calls", "/v1/model-calls/00000000-0000-0000-0000-000000000000"):
                outputs.append((await client.get(path)).text)
            told = await shown(api.url, key, tmp_path)
        await gateway.aclose()
        await recorder.aclose()
        sent = "".join(str(one) for one in vendor.received)
    assert SETTING in sent, "the vendor was called with the key"
    records = await stored(database)
    assert "refuses" in records, "the calls were recorded"
    assert all(way in told for way in WAYS), "the commands tell of the calls"
    everything = {
        "answers": "\n".join(outputs),
        "commands": told,
        "logs": caplog.text + "".join(str(vars(record)) for record in caplog.records),
        "tables": records,
        "spans": "".join(span.to_json() for span in spans.get_finished_spans()),
        "measurements": str(reader.get_metrics_data()),
    }
    planted = {"setting": SETTING, "header": HEADER, "url": URL, "email": EMAIL, "iban": REDACTED, "api key": key}
    found = [(secret, where) for secret, text in planted.items() for where, out in everything.items() if text in out]
    assert found == []
