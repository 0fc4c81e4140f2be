"""The served gateway on loopback, before a vendor that can fail, and the vendors' own SDKs as its clients."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx
import openai
from support.api_cases import Api, deployed, plain_client, serving

from signoff.capabilities.gateway import Gateway
from signoff.capabilities.gateway.resilience.settings import ResilienceSettings
from signoff.foundation.database import Database
from signoff.foundation.settings import ApiSettings
from signoff.testing import FaultyVendor
from signoff.testing.faulty_vendor import FAULTS

SAYS = ("says", "tool", "refuses", "thinks", "length", "json", "too-long")
QUICK = ResilienceSettings(
    first_token_s=0.6, between_tokens_s=0.6, total_s=1.5, retries=1, retry_base_s=0.01, longest_retry_after_s=0.5
)
"""Short enough for tests, and long enough for a busy machine: only who says nothing at all is cut off."""
POLICY = """
@id("programs-use-models")
permit (principal in Role::"program", action == Action::"gateway.use", resource)
unless { resource == Model::"kept" };
@id("models-see-the-usual")
permit (principal, action == Action::"model.call", resource)
when { context.data_class <= 1 };
"""


def project_files(
    vendor: FaultyVendor, *, policy: str = POLICY, more: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """A project whose models are named by what the vendor's do; of each wire format one of each."""
    models: dict[str, object] = {}
    for name in (*SAYS, *FAULTS, "kept"):
        url = vendor.base_url(name)
        settings = {"api_key": "${env.VENDOR_KEY}", "model": name, "price": "free"}
        models[name] = {"provider": "openai_compatible", "base_url": url, **settings}
        models[f"responses/{name}"] = {"provider": "openai", "base_url": url, "api": "responses", **settings}
        models[f"anthropic/{name}"] = {"provider": "anthropic", "base_url": url.removesuffix("/v1"), **settings}
    routes = [
        {"name": "first-that-works", "task": "chat", "use": ["refused", "says"]},
        {"task": "embed", "use": ["says"]},
    ]
    return {
        "signoff.yaml": "project: served\nroles: {program: Calls models.}\n",
        # JSON is YAML.
        "models.yaml": json.dumps({"models": models, "routes": routes, **(more or {})}),
        "policies/served.cedar": policy,
    }


@dataclass
class Served:
    """The running server, the vendor behind it, and a key."""

    api: Api
    vendor: FaultyVendor
    key: str
    gateway: Gateway

    def openai(self, base: str = "/v1", **options: object) -> openai.AsyncOpenAI:
        """OpenAI's SDK with the base URL changed. It does not try again, so that every outcome is seen."""
        client = openai.AsyncOpenAI(api_key=self.key, base_url=self.api.url + base, max_retries=0, timeout=30)
        return client.with_options(**options) if options else client  # pyright: ignore[reportArgumentType]

    def anthropic(self, base: str = "", **options: object) -> anthropic.AsyncAnthropic:
        """Anthropic's SDK, whose base URL has no version."""
        client = anthropic.AsyncAnthropic(api_key=self.key, base_url=self.api.url + base, max_retries=0, timeout=30)
        return client.with_options(**options) if options else client  # pyright: ignore[reportArgumentType]

    def raw(self) -> httpx.AsyncClient:
        """Plain HTTP, with the key."""
        headers = {"authorization": f"Bearer {self.key}"}
        return plain_client(self.api.url, headers, timeout_s=30)


@asynccontextmanager
async def served(
    database: Database,
    *,
    policy: str = POLICY,
    settings: ApiSettings | None = None,
    resilience: ResilienceSettings = QUICK,
    files: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
    gateway: Gateway | None = None,
) -> AsyncGenerator[Served]:
    """All of it while the block lasts; `more` of models.yaml, and a gateway of the test's own."""
    async with FaultyVendor() as vendor:
        await deployed(database, {**project_files(vendor, policy=policy, more=more), **(files or {})})
        gateway = gateway or Gateway(settings=resilience, environment={"VENDOR_KEY": "sk-vendor"})
        try:
            async with serving(database, settings=settings, gateway=gateway) as api:
                yield Served(api, vendor, await api.key("program", name="program"), gateway)
        finally:
            await gateway.aclose()


def events_of(text: str) -> list[tuple[str, str]]:
    """Server-sent events as they stand in a body: names (empty for none) and data."""
    found: list[tuple[str, str]] = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "data" in fields:
            found.append((fields.get("event", ""), fields["data"]))
    return found


async def drained(asking: Awaitable[AsyncIterable[Any]], heard: list[Any]) -> None:
    """Read a stream to its end, keeping what came before an error."""
    async for event in await asking:
        heard.append(event)  # noqa: PERF401  (what came must be kept when it breaks)
