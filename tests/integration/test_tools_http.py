"""HTTP tools against a real server: exactly what goes out, and what may never come in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from support.http_server import LoopbackServer, loopback_server, reply

from signoff.capabilities.tools import ToolRunner, ToolSettings
from signoff.catalog.tools import Auth, HttpCall, Idempotency, PythonCall, ToolContract, ToolFailure
from signoff.core.errors import StepError

ANY = {"type": "object"}
TOKEN = "tok-1234567890"


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with loopback_server(reply(b'{"ok": true}')) as running:
        yield running


@pytest.fixture
async def runner() -> AsyncIterator[ToolRunner]:
    runner = ToolRunner(ToolSettings(max_threads=1), secrets={"secret.SHOP": TOKEN}.get)
    yield runner
    await runner.close()


def http(method: str, path: str, **members: Any) -> ToolContract:
    headers = members.pop("headers", {})
    return ToolContract("shop.tool", "", HttpCall(method, "${settings.url}" + path, headers), ANY, ANY, **members)


async def test_a_read_sends_path_and_query(runner: ToolRunner, server: LoopbackServer) -> None:
    contract = http("GET", "/customers/{customer}/orders/{id}")
    await runner.call(contract, {"customer": "ana b", "id": "#W1", "page": 2}, settings={"url": server.url})
    (request,) = server.received
    assert (request.method, request.path, request.body) == ("GET", "/customers/ana%20b/orders/%23W1?page=2", b"")


async def test_a_write_sends_a_body_its_key_and_its_credential(runner: ToolRunner, server: LoopbackServer) -> None:
    contract = http(
        "POST",
        "/orders/{id}/refunds",
        effect=True,
        idempotency=Idempotency("resend", header="Idempotency-Key"),
        auth=Auth("Authorization", "Bearer ${secret.SHOP}"),
        headers={"X-Shop": "${settings.url}"},
    )
    arguments = {"id": "#W1", "cents": 500, "note": "é"}
    result = await runner.call(contract, arguments, idempotency_key="refund/#W1", settings={"url": server.url})
    (request,) = server.received
    assert result.status == 200
    assert request.path == "/orders/%23W1/refunds"
    assert orjson.loads(request.body) == {"cents": 500, "note": "é"}
    assert request.headers["Idempotency-Key"] == "refund/#W1"
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Shop"] == server.url


async def test_a_key_may_go_into_an_argument(runner: ToolRunner, server: LoopbackServer) -> None:
    contract = http("POST", "/refunds", effect=True, idempotency=Idempotency("resend", argument="key"))
    await runner.call(contract, {"cents": 5}, idempotency_key="k", settings={"url": server.url})
    assert orjson.loads(server.received[0].body) == {"cents": 5, "key": "k"}


async def test_a_read_follows_redirects_on_its_own_host_only(runner: ToolRunner, server: LoopbackServer) -> None:
    def answer(handler: Any, body: bytes) -> None:
        elsewhere = handler.path == "/away"
        status, headers = (
            302,
            {"Location": f"http://localhost:{server.url.rsplit(':', 1)[1]}/there" if elsewhere else "/there"},
        )
        if handler.path == "/there":
            status, headers = 200, {}
        reply(b'{"ok": true}', status=status, headers=headers)(handler, body)

    server.answer = answer
    settings = {"url": server.url}
    assert (await runner.call(http("GET", "/here"), {}, settings=settings)).output == {"ok": True}
    with pytest.raises(StepError) as caught:
        await runner.call(http("GET", "/away"), {}, settings=settings)
    assert caught.value.kind == "redirect"
    assert [request.path for request in server.received] == ["/here", "/there", "/away"]

    server.answer = reply(status=302, headers={"Location": "/round"})
    server.received.clear()
    with pytest.raises(StepError) as caught:
        await runner.call(http("GET", "/round"), {}, settings=settings)
    assert caught.value.kind == "redirect"
    assert len(server.received) == 4


async def test_cookies_are_not_kept_between_calls(runner: ToolRunner, server: LoopbackServer) -> None:
    server.answer = reply(b"{}", headers={"Set-Cookie": "session=ana; Path=/"})
    for _ in range(2):
        await runner.call(http("GET", "/"), {}, settings={"url": server.url})
    assert all("Cookie" not in request.headers for request in server.received)


async def test_the_credential_is_in_no_error_and_no_output(runner: ToolRunner, server: LoopbackServer) -> None:
    contract = http("GET", "/", auth=Auth("Authorization", "Bearer ${secret.SHOP}"))
    answers = [reply(orjson.dumps({"echo": TOKEN})), reply(TOKEN.encode()), reply(TOKEN.encode(), status=500)]
    for answer in answers:
        server.answer = answer
        with pytest.raises(StepError) as caught:
            await runner.call(contract, {}, settings={"url": server.url})
        assert TOKEN not in repr(caught.value) + str(caught.value.as_problem_details())


async def test_a_missing_credential_stops_the_call(runner: ToolRunner, server: LoopbackServer) -> None:
    contract = http("POST", "/", effect=True, auth=Auth("Authorization", "${secret.NOPE}"))
    with pytest.raises(StepError, match=r"no value for secret\.NOPE") as caught:
        await runner.call(contract, {}, settings={"url": server.url})
    assert (caught.value.kind, caught.value.outcome_unknown) == ("misconfigured", False)
    assert server.received == []


async def test_traversal_is_refused_before_anything_is_sent(runner: ToolRunner, server: LoopbackServer) -> None:
    with pytest.raises(StepError) as caught:
        await runner.call(http("GET", "/orders/{id}"), {"id": "../admin"}, settings={"url": server.url})
    assert caught.value.kind == "arguments"
    assert server.received == []


async def test_an_endless_answer_is_cut_off(server: LoopbackServer) -> None:
    def endless(handler: Any, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Connection", "close")
        handler.end_headers()
        while True:
            handler.wfile.write(b'{"a": 1}' * 1000)

    server.answer = endless
    runner = ToolRunner(ToolSettings(max_response_bytes=100_000))
    with pytest.raises(StepError, match="more than 100000 bytes") as caught:
        await runner.call(http("GET", "/"), {}, settings={"url": server.url})
    assert caught.value.kind == "contract"
    await runner.close()


async def test_a_request_that_is_too_large_is_not_sent(server: LoopbackServer) -> None:
    runner = ToolRunner(ToolSettings(max_request_bytes=100))
    with pytest.raises(StepError) as caught:
        await runner.call(http("POST", "/"), {"text": "x" * 200}, settings={"url": server.url})
    assert caught.value.kind == "arguments"
    assert server.received == []
    await runner.close()


async def test_the_contract_says_what_a_status_means(runner: ToolRunner, server: LoopbackServer) -> None:
    errors = {"404": ToolFailure("no_order"), "5xx": ToolFailure("shop_down", retryable=True)}
    contract = http("GET", "/", errors=errors)
    seen: list[tuple[str, bool]] = []
    for status in (404, 502):
        server.answer = reply(status=status)
        with pytest.raises(StepError) as caught:
            await runner.call(contract, {}, settings={"url": server.url})
        seen.append((caught.value.kind, caught.value.retryable))
    assert seen == [("no_order", False), ("shop_down", True)]


async def test_many_calls_at_once_share_the_pool(runner: ToolRunner, server: LoopbackServer) -> None:
    contract = http("GET", "/{id}")
    calls = (runner.call(contract, {"id": number}, settings={"url": server.url}) for number in range(50))
    assert len(await asyncio.gather(*calls)) == 50


def python(function: str, **members: Any) -> ToolContract:
    return ToolContract("shop.tool", "", PythonCall("tools/shop.py", function), ANY, ANY, **members)


async def test_releases_do_not_share_code_and_may_import_their_own(runner: ToolRunner) -> None:
    old = {
        "tools/shop.py": b"from .rates import RATE\ndef rate(a): return {'rate': RATE}",
        "tools/rates.py": b"RATE = 1",
    }
    new = old | {"tools/rates.py": b"RATE = 2"}
    for files, expected in ((old, 1), (new, 2), (old, 1)):
        result = await runner.call(python("rate"), {}, files=files)
        assert result.output == {"rate": expected}


@pytest.mark.parametrize(
    ("files", "function", "detail"),
    [
        ({}, "f", "no file 'tools/shop.py'"),
        ({"tools/shop.py": b"x = 1"}, "f", "no function 'f'"),
        ({"tools/shop.py": b"def f(:"}, "f", "SyntaxError"),
        ({"tools/shop.py": b"import signoff_no_such"}, "f", "ModuleNotFoundError"),
    ],
)
async def test_code_that_does_not_load_is_a_configuration_fault(
    runner: ToolRunner, files: dict[str, bytes], function: str, detail: str
) -> None:
    with pytest.raises(StepError, match=detail) as caught:
        await runner.call(python(function, effect=True), {}, files=files)
    assert (caught.value.kind, caught.value.outcome_unknown) == ("misconfigured", False)


HOLDS = b"""
import threading
GATE = threading.Event()
def hold(arguments):
    GATE.wait(60)
    return {}
async def release(arguments):
    GATE.set()
    return {}
"""


async def test_a_call_that_waits_for_a_thread_in_vain_did_nothing(runner: ToolRunner) -> None:
    files = {"tools/shop.py": HOLDS}
    with pytest.raises(StepError) as first:  # it has to have begun by then
        await runner.call(python("hold", effect=True), {}, files=files, timeout_s=1.0)
    with pytest.raises(StepError) as second:
        await runner.call(python("hold", effect=True), {}, files=files, timeout_s=0.1)
    assert (await runner.call(python("release"), {}, files=files, timeout_s=10)).output == {}
    assert (first.value.kind, first.value.outcome_unknown) == ("timeout", True)
    assert (second.value.kind, second.value.outcome_unknown) == ("timeout", False)
    assert (await runner.call(python("hold"), {}, files=files, timeout_s=10)).output == {}


async def test_a_secret_in_an_exception_is_masked(runner: ToolRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNOFF_SECRET_SHOP", TOKEN)
    files = {"tools/shop.py": b"import os\ndef f(a): raise RuntimeError(os.environ['SIGNOFF_SECRET_SHOP'])"}
    with pytest.raises(StepError) as caught:
        await runner.call(python("f"), {}, files=files)
    assert TOKEN not in caught.value.detail
    assert "***" in caught.value.detail


async def test_a_password_in_an_exception_is_masked(runner: ToolRunner) -> None:
    """Libraries put addresses into their errors, and a journal keeps what it is told."""
    files = {"tools/shop.py": b"def f(a): raise RuntimeError('no answer from postgresql://app:hunter2@db/shop')"}
    with pytest.raises(StepError) as caught:
        await runner.call(python("f"), {}, files=files)
    assert "hunter2" not in caught.value.detail
    assert "postgresql://app:***@db/shop" in caught.value.detail


async def test_a_step_error_of_a_tool_keeps_its_kind(runner: ToolRunner) -> None:
    source = b"from signoff.core.errors import StepError\ndef f(a): raise StepError('closed', kind='closed')"
    with pytest.raises(StepError) as caught:
        await runner.call(replace(python("f"), effect=True), {}, files={"tools/shop.py": source})
    assert (caught.value.kind, caught.value.outcome_unknown) == ("closed", False)
