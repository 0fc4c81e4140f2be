"""What the vendors' own SDKs see of every fault of an upstream, through the served gateway: none may be silent.

A local vendor whose model names select faults stands behind the gateway, in each of its formats; OpenAI's and
Anthropic's SDKs ask every endpoint, whole and streamed, without trying again themselves. An outcome is silent where the
SDK takes for a whole answer what is not the whole answer.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
from rich.console import Console
from rich.table import Table

from benchmarks.machine import running_server
from signoff.api import ApiServer, create_app
from signoff.capabilities.gateway import Gateway
from signoff.capabilities.gateway.resilience.settings import ResilienceSettings
from signoff.catalog import load_project_files, point_environment, register
from signoff.core.actors import Actor
from signoff.core.clock import SystemClock
from signoff.foundation.database import DEFAULT_ORG_ID, Database, migrate
from signoff.foundation.settings import ApiSettings, DatabaseSettings
from signoff.governance.identity import create_key
from signoff.testing import FaultyVendor
from signoff.testing.faulty_vendor import FAULTS, WORDS

TEXT = "".join(WORDS)
ASK: Any = [{"role": "user", "content": "Where is my parcel?"}]
UPSTREAMS: Mapping[str, Mapping[str, str]] = {
    "chat": {"provider": "openai_compatible"},
    "responses": {"provider": "openai", "api": "responses"},
    "messages": {"provider": "anthropic"},
}
ENDPOINTS = ("chat", "responses", "messages", "embeddings")
QUICK = ("half", "limit", "silence")
IN_FLIGHT = 8
SDK_TIMEOUT_S = 20.0
PATIENCE = ResilienceSettings(
    first_token_s=1.0, between_tokens_s=1.0, total_s=3.0, retries=1, retry_base_s=0.05, longest_retry_after_s=0.5
)
"""So that silence ends within a benchmark's patience. What it ends with is the same."""
POLICY = """
@id("programs") permit (principal, action == Action::"gateway.use", resource);
@id("models") permit (principal, action == Action::"model.call", resource);
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One question to one endpoint, whose model stands behind one vendor's format and fails in one way."""

    fault: str
    upstream: str
    endpoint: str
    stream: bool

    @property
    def model(self) -> str:
        return f"{self.upstream}/{self.fault}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the SDK made of it.

    Attributes:
        case: of which question.
        seen: the class of error and its status, or `answer`.
        silent: whether it took half an answer, or none, for a whole one.
    """

    case: Case
    seen: str
    silent: bool


def cases(faults: tuple[str, ...] = FAULTS) -> list[Case]:
    """Every fault of every upstream at every endpoint, whole and streamed where it can be."""
    found: list[Case] = []
    for fault in faults:
        for upstream in UPSTREAMS:
            for endpoint in ENDPOINTS:
                if endpoint == "embeddings":
                    # Anthropic has none; both of OpenAI's formats have the same.
                    found += [Case(fault, upstream, endpoint, stream=False)] if upstream == "chat" else []
                    continue
                found += [Case(fault, upstream, endpoint, stream) for stream in (False, True)]
    return found


def run(*, quick: bool) -> dict[str, float]:
    """The figures, by their names in RESULTS.md."""
    with running_server() as server:
        migrate(server.url)
        outcomes = asyncio.run(_all(server.url, cases(QUICK if quick else FAULTS)))
    _print(outcomes)
    return {"cases": len(outcomes), "silent": sum(outcome.silent for outcome in outcomes)}


async def _all(url: str, wanted: list[Case]) -> list[Outcome]:
    async with await Database.open(DatabaseSettings(url=url)) as database:
        return await outcomes_of(database, wanted)


async def outcomes_of(
    database: Database, wanted: list[Case], *, patience: ResilienceSettings = PATIENCE
) -> list[Outcome]:
    """Ask all of them, a few at once."""
    async with FaultyVendor() as vendor, _served(database, vendor, patience) as (url, key):
        asking = asyncio.Semaphore(IN_FLIGHT)
        openai_client = openai.AsyncOpenAI(api_key=key, base_url=f"{url}/v1", max_retries=0, timeout=SDK_TIMEOUT_S)
        anthropic_client = anthropic.AsyncAnthropic(api_key=key, base_url=url, max_retries=0, timeout=SDK_TIMEOUT_S)
        async with openai_client, anthropic_client:

            async def asked(case: Case) -> Outcome:
                async with asking:
                    return await _outcome(case, openai_client, anthropic_client)

            return await asyncio.gather(*(asked(case) for case in wanted))


@asynccontextmanager
async def _served(
    database: Database, vendor: FaultyVendor, patience: ResilienceSettings
) -> AsyncGenerator[tuple[str, str]]:
    """The gateway on loopback, its URL and a key. Each fault's breaker stays closed: every case is asked."""
    models: dict[str, Any] = {}
    for upstream, settings in UPSTREAMS.items():
        for fault in FAULTS:
            url = vendor.base_url(fault)
            url = url.removesuffix("/v1") if upstream == "messages" else url
            more = {"api_key": "${env.VENDOR_KEY}", "model": fault, "base_url": url, "price": "free"}
            models[f"{upstream}/{fault}"] = {**settings, **more}
    files = {
        "signoff.yaml": "project: faults\nroles: {program: Calls models.}\n",
        "models.yaml": json.dumps({"models": models, "routes": []}),
        "policies/faults.cedar": POLICY,
    }
    clock, actor = SystemClock(), Actor(DEFAULT_ORG_ID, "system", "benchmark")
    project = load_project_files({name: text.encode() for name, text in files.items()})
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        digest = await register(connection, DEFAULT_ORG_ID, project, actor)
        await point_environment(connection, DEFAULT_ORG_ID, project.name, "dev", digest, actor=actor)
        _, key = await create_key(connection, DEFAULT_ORG_ID, "program", ["program"], created_by=actor, now=clock.now())
    gateway = Gateway(clock=clock, environment={"VENDOR_KEY": "sk"}, settings=patience)
    server = ApiServer(create_app(database, ApiSettings(), clock, gateway=gateway), "127.0.0.1", 0)
    serving = asyncio.create_task(server.serve())
    try:
        yield server.url, key
    finally:
        server.stop()
        await serving
        await gateway.aclose()


async def _outcome(case: Case, of_openai: openai.AsyncOpenAI, of_anthropic: anthropic.AsyncAnthropic) -> Outcome:
    headers = {"signoff-timeout": str(PATIENCE.total_s)}
    asked: Any = {"model": case.model, "extra_headers": headers}
    try:
        if case.endpoint == "chat":
            whole = await _chat(of_openai, {**asked, "messages": ASK}, stream=case.stream)
        elif case.endpoint == "responses":
            whole = await _response(of_openai, {**asked, "input": ASK}, stream=case.stream)
        elif case.endpoint == "messages":
            whole = await _message(of_anthropic, {**asked, "messages": ASK, "max_tokens": 50}, stream=case.stream)
        else:
            whole = len((await of_openai.embeddings.create(**asked, input=["one"])).data) == 1
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        return Outcome(case, f"{type(error).__name__} {error.status_code}", silent=False)
    except (openai.APIError, anthropic.APIError) as error:
        return Outcome(case, type(error).__name__, silent=False)
    return Outcome(case, "answer" if whole else "HALF AN ANSWER", silent=not whole)


async def _chat(client: openai.AsyncOpenAI, asked: Any, *, stream: bool) -> bool:
    chats: Any = client.chat.completions
    if not stream:
        choice = (await chats.create(**asked)).choices[0]
        return _is_whole(choice.message.content, choice.finish_reason == "stop")
    said, ended = "", False
    async for chunk in await _stream(chats.create(**asked, stream=True)):
        for choice in chunk.choices:
            said += choice.delta.content or ""
            ended = ended or choice.finish_reason == "stop"
    return _is_whole(said, ended)


async def _response(client: openai.AsyncOpenAI, asked: Any, *, stream: bool) -> bool:
    responses: Any = client.responses
    if not stream:
        answer = await responses.create(**asked)
        return _is_whole(answer.output_text, answer.status == "completed")
    said, ended = "", False
    async for event in await _stream(responses.create(**asked, stream=True)):
        said += event.delta if event.type == "response.output_text.delta" else ""
        ended = ended or event.type == "response.completed"
    return _is_whole(said, ended)


async def _message(client: anthropic.AsyncAnthropic, asked: Any, *, stream: bool) -> bool:
    messages: Any = client.messages
    if not stream:
        answer = await messages.create(**asked)
        return _is_whole("".join(block.text for block in answer.content), answer.stop_reason == "end_turn")
    said, ended = "", False
    async for event in await _stream(messages.create(**asked, stream=True)):
        said += event.delta.text if event.type == "content_block_delta" else ""
        ended = ended or event.type == "message_stop"
    return _is_whole(said, ended)


async def _stream(asking: Awaitable[AsyncIterable[Any]]) -> AsyncIterable[Any]:
    return await asking


def _is_whole(said: str, ended: bool) -> bool:
    """Whether all of it came and ended. An SDK's loop that just ends says nothing else: that is what silence is."""
    return said == TEXT and ended


def _print(outcomes: list[Outcome]) -> None:
    console = Console(width=160)
    table = Table("fault", *(f"{endpoint}{', streamed' * stream}" for endpoint, stream in _columns()))
    for fault in dict.fromkeys(outcome.case.fault for outcome in outcomes):
        cells: list[str] = []
        for endpoint, stream in _columns():
            seen = Counter(
                outcome.seen
                for outcome in outcomes
                if (outcome.case.fault, outcome.case.endpoint, outcome.case.stream) == (fault, endpoint, stream)
            )
            cells.append(", ".join(name if len(seen) == 1 else f"{name} ({count})" for name, count in seen.items()))
        table.add_row(fault, *cells)
    console.print(table)


def _columns() -> list[tuple[str, bool]]:
    return [
        (endpoint, stream)
        for endpoint in ENDPOINTS
        for stream in (False, True)
        if endpoint != "embeddings" or not stream
    ]
