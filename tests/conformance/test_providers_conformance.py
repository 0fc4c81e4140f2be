"""What every provider must hold, whoever wrote it: one suite for scripts, vendors (on loopback) and local models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from support.engine import eventually
from support.gateway_cases import GOOD, SCHEMA
from support.kind_cases import KINDS

from signoff.capabilities.gateway import Provider, ProviderError, ProviderRequest
from signoff.capabilities.gateway.models_store import ModelStore
from signoff.capabilities.gateway.provider import FailureKind
from signoff.capabilities.gateway.providers import default_factories
from signoff.catalog.models import LOCAL_LIMITS, PROVIDER_TASKS, TASKS, ModelSpec
from signoff.catalog.prompts import ExtractionHint, PromptMessage
from signoff.core.schemas import validate
from signoff.testing import ScriptedProvider, StubVendor
from signoff.testing.stub_vendor import Drops, Fails, Garbles, Holds, Line, Says

KEY = "sk-the-secret-key"
VENDORS = {
    "openai_compatible": {"model": "gpt-4o-mini", "path": "/v1"},
    "anthropic": {"model": "claude-sonnet-4-6", "path": ""},
    "google": {"model": "gemini-2.5-flash", "path": ""},
}
TEXT = "Please refund $54.20 for order W1234567."
CLASSIFY = ProviderRequest(
    task="classify",
    messages=(PromptMessage("system", "Sort the message."), PromptMessage("user", TEXT)),
    output_schema=SCHEMA,
    max_output_tokens=60,
    timeout_s=20.0,
    variables={"text": TEXT},
    labels={"refund": "the customer wants money back for an order", "other": "a question about something else"},
)
EXTRACT = ProviderRequest(
    task="extract",
    messages=(PromptMessage("system", "Find the order number and the amount."), PromptMessage("user", TEXT)),
    output_schema={
        "type": "object",
        "properties": {
            "order": {"type": ["string", "null"], "x-extract": {"kind": "identifier"}},
            "cents": {"type": ["integer", "null"], "description": "the amount in cents, e.g. 1999 for $19.99"},
        },
        "required": ["order", "cents"],
        "additionalProperties": False,
    },
    max_output_tokens=80,
    timeout_s=60.0,
    variables={"text": TEXT},
    hints={
        "order": ExtractionHint("identifier", pattern=r"W[0-9]{7}"),
        "cents": ExtractionHint("amount", unit="cents", currency="USD"),
    },
)
FOUND = {"order": "W1234567", "cents": 5420}


def fitting(provider: Provider) -> ProviderRequest:
    """A request of a task that it does."""
    asked = {"classify": CLASSIFY, "extract": EXTRACT, **{task: request for task, (request, _) in KINDS.items()}}
    return next(request for task, request in asked.items() if task in provider.tasks)


def vendor(kind: str, server: StubVendor, **settings: Any) -> Provider:
    known = VENDORS[kind]
    members = {"base_url": server.base_url + known["path"], "api_key": KEY, "model": known["model"], **settings}
    return default_factories()[kind](ModelSpec(f"vendor/{kind}", kind, members))


@pytest.fixture(
    params=[
        "scripted",
        "fields",
        *VENDORS,
        *(name for name, tasks in PROVIDER_TASKS.items() if name in LOCAL_LIMITS and tasks != ("transcribe",)),
        pytest.param("minilm", marks=pytest.mark.models),
        pytest.param("whisper", marks=[pytest.mark.models, pytest.mark.slow]),
        pytest.param("qwen", marks=[pytest.mark.models, pytest.mark.slow]),
    ]
)
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[Provider]:
    """Each provider, ready to do what it can."""
    kind: str = request.param
    async with AsyncExitStack() as stack:
        if kind in VENDORS:
            made = vendor(kind, stack.enter_context(_by_task()))
        elif kind == "scripted":
            made = ScriptedProvider([_answer_for], repeat=True)
        else:
            if kind in ("qwen", "whisper") and not ModelStore().state(f"local/{kind}").installed:
                pytest.skip(f"needs `signoff models pull local/{kind}` (1.1 GB, 148 MB)")
            made = default_factories()[kind](ModelSpec(f"local/{kind}", kind))
        yield made
        await made.aclose()


def _answer_for(request: ProviderRequest) -> dict[str, Any]:
    return GOOD if request.task == "classify" else FOUND


class _by_task(StubVendor):  # noqa: N801  (a fixture's helper)
    """A vendor that answers by what it is asked for."""

    def __init__(self) -> None:
        super().__init__([Says("")])

    def next_line(self, heard: Any) -> Line:
        super().next_line(heard)
        return Says(json.dumps(GOOD if "confidence" in json.dumps(heard.body) else FOUND))


async def test_it_names_itself_and_its_tasks(provider: Provider):
    assert provider.name
    assert provider.tasks <= set(TASKS)
    assert isinstance(provider.local, bool)
    assert isinstance(provider.repairable, bool)


async def test_it_does_its_tasks_to_the_schema(provider: Provider):
    for request, expected in ((CLASSIFY, {"label": "refund"}), (EXTRACT, FOUND), *KINDS.values()):
        if request.task in provider.tasks:
            reply = await provider.complete(request)
            answer = json.loads(reply.text)
            assert not validate(request.output_schema or {}, answer)
            assert expected.items() <= answer.items(), answer
            assert reply.finish_reason == "stop"


async def test_it_answers_side_by_side(provider: Provider):
    request = fitting(provider)
    replies = await asyncio.gather(*(provider.complete(request) for _ in range(4)))
    assert len({reply.text for reply in replies}) == 1


async def test_it_leaves_the_event_loop_free(provider: Provider):
    request = fitting(provider)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    await provider.complete(request)
    counting.cancel()
    assert turns > 0 or provider.name in ("fields", "scripted"), "rules take microseconds"


async def test_it_refuses_what_it_does_not_do(provider: Provider):
    if "embed" not in provider.tasks:
        with pytest.raises(ProviderError):
            await provider.embed(["a"])
    if provider.name in ("fields", "minilm", *LOCAL_LIMITS):
        other = CLASSIFY if provider.name == "fields" else EXTRACT
        with pytest.raises(ProviderError) as caught:
            await provider.complete(other)
        assert caught.value.kind == "cannot"


async def test_its_vectors_have_length_one(provider: Provider):
    if "embed" in provider.tasks:
        vectors = await provider.embed(["a refund", "a parcel", "a refund"])
        assert len(vectors) == 3
        for vector in vectors:
            assert sum(value * value for value in vector) == pytest.approx(1.0, abs=1e-6)


async def test_it_bears_cancellation(provider: Provider):
    request = fitting(provider)
    running = asyncio.create_task(provider.complete(request))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert (await provider.complete(request)).text


FAULTS: list[tuple[Line, FailureKind, float | None]] = [
    (Fails(429, f"slow down {KEY}", retry_after_s=7), "rate_limited", 7.0),
    (Fails(500, f"oops {KEY}"), "unavailable", None),
    (Fails(503, "busy", retry_after_s=3), "unavailable", 3.0),
    (Fails(529, "overloaded"), "unavailable", None),
    (Fails(401, f"bad key {KEY}"), "setup", None),
    (Fails(403, f"bad key {KEY}"), "setup", None),
    (Fails(404, "no such model"), "setup", None),
    (Fails(400, f"bad request {TEXT}"), "rejected", None),
    (Garbles(), "unavailable", None),
    (Garbles("{}"), "unavailable", None),
    (Drops(), "unavailable", None),
]


@pytest.mark.parametrize("kind", VENDORS)
@pytest.mark.parametrize(("line", "failure", "wait_s"), FAULTS, ids=[str(fault[0])[:24] for fault in FAULTS])
async def test_a_vendors_failure_is_ours_without_key_or_content(
    kind: str, line: Line, failure: str, wait_s: float | None
):
    with StubVendor([line]) as server:
        made = vendor(kind, server)
        with pytest.raises(ProviderError) as caught:
            await made.complete(CLASSIFY)
        await made.aclose()
        assert len(server.heard) == 1, "the gateway retries, not the SDK"
    error = caught.value
    assert (error.kind, error.retry_after_s) == (failure, wait_s)
    assert error.__cause__ is None
    for secret in (KEY, TEXT):
        assert secret not in f"{error!r} {error.detail}"


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_vendor_is_sent_the_prompt_the_labels_and_the_schema(kind: str):
    with StubVendor([Says(json.dumps(GOOD), 31, 9)]) as server:
        made = vendor(kind, server)
        reply = await made.complete(CLASSIFY)
        await made.aclose()
        sent = json.dumps(server.heard[0].body)
    assert (reply.input_tokens, reply.output_tokens) == (31, 9)
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.reported) == (31, True)
    for part in ("Sort the message.", "Please refund", "wants money back", "confidence"):
        assert part in sent
    assert "x-signoff" not in sent, "our annotations are not the vendor's"
    assert KEY not in sent


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_vendor_can_be_asked_in_words(kind: str):
    with StubVendor([Says(json.dumps(GOOD))]) as server:
        made = vendor(kind, server, structured="prompt", temperature=None)
        await made.complete(CLASSIFY)
        await made.aclose()
        body = server.heard[0].body
    assert "JSON Schema of the answer" in json.dumps(body)
    assert "response_format" not in body
    assert "output_config" not in body
    assert "temperature" not in json.dumps(body)


@pytest.mark.parametrize("kind", VENDORS)
@pytest.mark.parametrize("finish", ["length", "refusal"])
async def test_a_vendors_reason_to_stop_is_kept(kind: str, finish: Any):
    with StubVendor([Says('{"lab', finish=finish)]) as server:
        made = vendor(kind, server)
        reply = await made.complete(CLASSIFY)
        await made.aclose()
    # Some have filters only, whose word for it the stub says.
    assert reply.finish_reason in ((finish,) if finish == "length" else ("refusal", "content_filter"))


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_silent_vendor_can_be_left(kind: str):
    with StubVendor([Holds(), Says(json.dumps(GOOD))]) as server:
        made = vendor(kind, server)
        asking = asyncio.create_task(made.complete(CLASSIFY))
        await eventually(lambda: bool(server.heard), 60)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await made.complete(CLASSIFY)
        await made.aclose()


async def test_credentials_come_from_the_project_only(monkeypatch: pytest.MonkeyPatch):
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, "from-the-environment")
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL"):
        monkeypatch.setenv(name, "http://192.0.2.1")
    for kind in VENDORS:
        with StubVendor([Says(json.dumps(GOOD))]) as server:
            made = vendor(kind, server)
            await made.complete(CLASSIFY)
            await made.aclose()
            assert "from-the-environment" not in json.dumps(dict(server.heard[0].headers))
            assert KEY in json.dumps(dict(server.heard[0].headers))


@pytest.mark.parametrize("kind", ["anthropic", "google"])
@pytest.mark.parametrize("missing", ["model", "api_key"])
def test_a_missing_setting_is_named(kind: str, missing: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "from-the-environment")
    settings = {"model": "m", "api_key": "k"}
    del settings[missing]
    with pytest.raises(ProviderError, match=missing) as caught:
        default_factories()[kind](ModelSpec("vendor/main", kind, settings))
    assert caught.value.kind == "setup"


@pytest.mark.parametrize("url", ["ftp://example.test", "example.test/v1", "http://"])
def test_a_base_url_is_http(url: str):
    with pytest.raises(ProviderError, match="base_url"):
        default_factories()["openai_compatible"](ModelSpec("m", "openai_compatible", {"base_url": url, "model": "m"}))


async def test_openai_compatible_endpoints_embed():
    with StubVendor([Says("")]) as server:
        made = vendor("openai_compatible", server)
        vectors = await made.embed(["a", "b"])
        await made.aclose()
    assert vectors[0] == pytest.approx([0.6, 0.8, 0.0])


async def test_endpoints_that_do_not_embed_say_so():
    for line, kind in ((Fails(404), "setup"), (Fails(500), "unavailable"), (Drops(), "unavailable")):
        with StubVendor([line]) as server:
            made = vendor("openai_compatible", server)
            with pytest.raises(ProviderError) as caught:
                await made.embed(["a"])
            await made.aclose()
        assert caught.value.kind == kind
