"""A small project whose model and tools a test scripts, on the whole stack: API, worker, policies, gateway, CLI."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from support.api_cases import FAST, Api, deployed, plain_client, serving, started, until
from support.cli_cases import Result, signoff
from support.http_server import LoopbackServer

from signoff.capabilities.gateway import Gateway
from signoff.capabilities.gateway.provider import ProviderFactory
from signoff.core.clock import SystemClock
from signoff.foundation.database import Database
from signoff.steps import open_worker

INPUT: Mapping[str, Any] = {"text": "My jug broke, W1.", "order": "W1", "cents": 900}
SHOP_TOKEN = "shop-bearer-7Gq2"
ENDED = frozenset({"done", "failed", "cancelled"})

_HEAD = """
workflow: returns/{name}
version: 1.0.0
about: A test.
owner: team/returns
risk: low
input: schemas/return.json
"""

_PAY = """
steps:
  pay:
    tool: payments.{tool}
    with: {{order: "${{input.order}}", cents: "${{input.cents}}"}}
    retry: {{times: 2, delay: 10ms}}
  told:
    emit: returns.paid.v1
    payload: {{id: "${{pay.id}}"}}
outcome:
  paid: told.done
"""

_TOOL = """
tool: payments.{name}
about: Pays money back.
effect: write
quota: {{per: order, spend: cents, most: 20000, window: 1d}}
http: {{method: POST, url: "${{settings.shop_url}}/refunds"}}
auth: {{header: Authorization, value: "Bearer ${{secret.SHOP_TOKEN}}"}}
input:
  type: object
  properties:
    order: {{type: string, x-signoff: {{sink: trusted}}}}
    cents: {{type: integer, minimum: 1, x-signoff: {{sink: confined}}}}
  required: [order, cents]
  additionalProperties: false
output:
  type: object
  properties: {{id: {{type: string}}}}
  required: [id]
timeout: 1s
idempotency: {idempotency}
"""

_SORT = """
steps:
  sorted:
    ai: sort@^1
    with: {{text: "${{input.text}}"}}
    {on_error}
  told:
    set: {{label: "${{sorted.label}}"}}
outcome:
  sorted: told.done
"""


def _workflow(name: str, body: str, **values: str) -> str:
    return _HEAD.format(name=name) + body.format(**values)


FILES: Mapping[str, str] = {
    "signoff.yaml": """
project: returns
settings: {shop_url: "http://127.0.0.1:1"}
roles:
  clerk: Starts and reads.
  lead: Decides, steers and reads.
""",
    "models.yaml": """
models:
  test/model: {provider: scripted}
routes:
  - {task: classify, use: [test/model]}
""",
    "schemas/return.json": """
{"type": "object", "required": ["text", "order", "cents"], "additionalProperties": false, "properties": {
  "text": {"type": "string"},
  "order": {"type": "string", "x-signoff": {"trust": "trusted"}},
  "cents": {"type": "integer", "minimum": 1, "x-signoff": {"trust": "confined"}}}}
""",
    "prompts/sort.md": """---
name: sort
version: 1.0.0
purpose: What a message wants.
task: classify
input: {type: object, properties: {text: {type: string}}, required: [text]}
labels: {refund: Wants money back., other: Anything else.}
limits: {timeout: 5s}
---
# user
{{ text }}
""",
    "tools/look.yaml": """
tool: shop.order
about: An order.
effect: none
http: {method: GET, url: "${settings.shop_url}/orders/{order}"}
input:
  type: object
  properties: {order: {type: string}}
  required: [order]
  additionalProperties: false
output:
  type: object
  properties: {cents: {type: integer}}
  required: [cents]
timeout: 300ms
""",
    "tools/find.yaml": """
tool: payments.find
about: The payment made with a key.
effect: none
http: {method: GET, url: "${settings.shop_url}/refunds"}
input:
  type: object
  properties: {key: {type: string}}
  required: [key]
  additionalProperties: false
output:
  type: object
  properties: {id: {type: string}}
  required: [id]
timeout: 1s
""",
    "tools/resent.yaml": _TOOL.format(name="resent", idempotency="{header: Idempotency-Key, recovery: resend}"),
    "tools/found.yaml": _TOOL.format(
        name="found",
        idempotency="{header: Idempotency-Key, recovery: lookup, lookup: {tool: payments.find, argument: key}}",
    ),
    "tools/asked.yaml": _TOOL.format(name="asked", idempotency="{recovery: ask}"),
    "workflows/sort.yaml": _workflow("sort", _SORT, on_error=""),
    "workflows/sort-safe.yaml": _workflow("sort-safe", _SORT, on_error="on_error: {label: other, confidence: 0.0}"),
    "workflows/look.yaml": _workflow(
        "look",
        """
steps:
  order:
    tool: shop.order
    with: {{order: "${{input.order}}"}}
  seen:
    set: {{cents: "${{order.cents}}"}}
outcome:
  seen: seen.done
""",
    ),
    "workflows/resent.yaml": _workflow("resent", _PAY, tool="resent"),
    "workflows/found.yaml": _workflow("found", _PAY, tool="found"),
    "workflows/asked.yaml": _workflow("asked", _PAY, tool="asked"),
    "workflows/ask.yaml": _workflow(
        "ask",
        """
steps:
  decision:
    review: Pay this?
    by: role/lead
    propose: {{cents: "${{input.cents}}"}}
    show: [input.text]
    expire: 1d
outcome:
  answered: decision.result == 'approved'
  refused: decision.result in ['rejected', 'expired']
""",
    ),
    "policies/returns.cedar": """
@id("staff-starts") permit (principal in Role::"clerk", action == Action::"run.start", resource);
@id("staff-reads")
permit (principal, action in [Action::"run.read", Action::"review.read"], resource)
when { principal in Role::"clerk" || principal in Role::"lead" };
@id("leads-steer") permit (principal in Role::"lead", action == Action::"run.signal", resource);
@id("leads-decide") permit (principal in Role::"lead", action == Action::"review.decide", resource);
@id("models") permit (principal, action == Action::"model.call", resource);
@id("tools") permit (principal, action == Action::"tool.call", resource);
@id("events") permit (principal, action == Action::"event.emit", resource);
""",
}


def with_policy(text: str) -> dict[str, str]:
    """The project with one more policy."""
    return {**FILES, "policies/more.cedar": text}


@dataclass
class Stage:
    """The running stack, one person with both roles, and the real command line beside them.

    Attributes:
        api: the server.
        client: signed in with `key`.
        key: an API key with the roles clerk and lead.
        directory: where commands run; no project.
    """

    api: Api
    client: httpx.AsyncClient
    key: str
    directory: Path

    async def start(self, workflow: str, **changes: Any) -> str:
        """The id of a new run."""
        return await started(self.client, {"workflow": f"returns/{workflow}", "input": {**INPUT, **changes}})

    async def ended(self, run_id: str) -> dict[str, Any]:
        """The run with its steps, once it has ended."""
        await until(self.client, f"/v1/runs/{run_id}", lambda found: found["status"] in ENDED)
        return (await self.client.get(f"/v1/runs/{run_id}", params={"steps": "true"})).json()

    async def waiting(self, run_id: str, kind: str) -> dict[str, Any]:
        """The run, once it waits for that."""
        path = f"/v1/runs/{run_id}"
        return await until(
            self.client, path, lambda found: any(entry["kind"] == kind for entry in found["waiting_for"])
        )

    async def journal(self, run_id: str) -> list[dict[str, Any]]:
        """Every event of the run."""
        page = (await self.client.get(f"/v1/runs/{run_id}/journal", params={"limit": 1000})).json()
        assert page["next"] is None
        return page["items"]

    async def signal(self, run_id: str, step: str, data: Mapping[str, Any]) -> httpx.Response:
        """What a person says of an effect."""
        body = {"step": step, "kind": "effect.resolution", "data": data}
        return await self.client.post(f"/v1/runs/{run_id}/signals", json=body)

    async def command(self, *arguments: str, key: str | None = None) -> Result:
        """The real command as a process, which asks this server."""
        at = ("--url", self.api.url, "--key", key or self.key)
        return await asyncio.to_thread(signoff, *arguments, *at, cwd=self.directory)


@asynccontextmanager
async def stage(
    database: Database,
    directory: Path,
    *,
    files: Mapping[str, str] = FILES,
    shop_url: str = "http://127.0.0.1:1",
    factories: Mapping[str, ProviderFactory] | None = None,
    models_environment: Mapping[str, str] | None = None,
) -> AsyncGenerator[Stage]:
    """Deploy a project and run the whole stack on it while the block lasts."""
    await deployed(database, files)
    clock = SystemClock()
    gateway = Gateway(factories or {}, clock=clock, environment=models_environment or {})
    opened = open_worker(
        database, clock=clock, settings=FAST, gateway=gateway, variables={"SIGNOFF_SETTING_SHOP_URL": shop_url}
    )
    async with serving(database) as api, opened as worker:
        working = asyncio.create_task(worker.run())
        try:
            await asyncio.wait_for(worker.ready(), 20)
            key = await api.key("clerk", "lead")
            headers = {"Authorization": f"Bearer {key}"}
            async with plain_client(api.url, headers=headers) as client:
                yield Stage(api, client, key, directory)
        finally:
            worker.stop()
            await asyncio.wait_for(working, 30)
            await gateway.aclose()


def facts(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """What a run's steps noted under a name."""
    noted = (event["data"] for event in events if event["kind"] == "step.noted")
    return [data["data"] for data in noted if data["name"] == name]


def keys_of(server: LoopbackServer) -> Counter[str]:
    """How often each idempotency key came."""
    return Counter(request.headers["Idempotency-Key"] for request in server.received if request.method == "POST")
