"""What holds of every tool, whatever kind it is: one table of behaviours, run over HTTP and over Python."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pytest
from support.http_server import LoopbackServer, disconnect, loopback_server, reply

from signoff.capabilities.tools import ToolResult, ToolRunner, ToolSettings
from signoff.catalog.tools import HttpCall, Idempotency, PythonCall, ToolContract, ToolFailure
from signoff.core.errors import StepError

INPUT = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"], "additionalProperties": False}
OUTPUT = {"type": "object", "properties": {"total_cents": {"type": "integer"}}, "required": ["total_cents"]}
LIMIT_BYTES = 10_000

PYTHON = """
import asyncio, threading
HANG = threading.Event()

class Gone(Exception):
    pass

def good(arguments):
    return {"total_cents": 5, "echo": arguments["id"]}

async def good_async(arguments):
    await asyncio.sleep(0)
    return good(arguments)

def slow(arguments):
    HANG.wait(60)

async def slow_async(arguments):
    await asyncio.Event().wait()

def fails(arguments):
    raise RuntimeError("it broke")

def gone(arguments):
    raise Gone("no such order")

def garbage(arguments):
    return "garbage"

def wrong(arguments):
    return {"total_cents": "five"}

def exits(arguments):
    raise SystemExit(3)

def stops(arguments):
    raise StopIteration

def not_json(arguments):
    return {"total_cents": object()}
"""


class Kind(Protocol):
    """A kind of tool and how to make it behave."""

    name: str

    def contract(self, behaviour: str) -> ToolContract: ...


@dataclass
class Http:
    server: LoopbackServer
    name: str = "http"

    def contract(self, behaviour: str) -> ToolContract:
        self.server.answer = {
            "good": reply(b'{"total_cents": 5, "echo": "#W1"}'),
            "slow": self.server.hang,
            "fails": reply(b"{}", status=500),
            "gone": reply(b"{}", status=410),
            "garbage": reply(b"<html>"),
            "wrong": reply(b'{"total_cents": "five"}'),
        }[behaviour]
        call = HttpCall("POST", "${settings.url}/orders/{id}")
        return ToolContract("shop.tool", "", call, INPUT, OUTPUT, errors={"410": ToolFailure("not_found")})


@dataclass
class Python:
    suffix: str = ""
    name: str = "python"

    def contract(self, behaviour: str) -> ToolContract:
        names = {"good": f"good{self.suffix}", "slow": f"slow{self.suffix}"}
        call = PythonCall("tools/shop.py", names.get(behaviour, behaviour))
        return ToolContract("shop.tool", "", call, INPUT, OUTPUT, errors={"Gone": ToolFailure("not_found")})


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with loopback_server(reply()) as running:
        yield running


@pytest.fixture(params=["http", "python", "python-async"])
def kind(request: pytest.FixtureRequest, server: LoopbackServer) -> Kind:
    return {"http": Http(server), "python": Python(), "python-async": Python("_async")}[request.param]


@pytest.fixture
async def runner() -> AsyncIterator[ToolRunner]:
    runner = ToolRunner(ToolSettings(max_response_bytes=LIMIT_BYTES), secrets=lambda _: None)
    yield runner
    await runner.close()


@pytest.fixture
def call(runner: ToolRunner, server: LoopbackServer):
    async def call(contract: ToolContract, **options: Any) -> ToolResult:
        arguments = options.pop("arguments", {"id": "#W1"})
        files = {"tools/shop.py": PYTHON.encode()}
        return await runner.call(contract, arguments, settings={"url": server.url}, files=files, **options)

    return call


async def test_a_good_answer_comes_back(kind: Kind, call: Any) -> None:
    result = await call(kind.contract("good"))
    assert result.output == {"total_cents": 5, "echo": "#W1"}
    assert result.latency_s >= 0


@pytest.mark.parametrize("effect", [False, True], ids=["read", "write"])
@pytest.mark.parametrize(
    ("behaviour", "failure", "retryable", "unknown_if_write"),
    [
        ("slow", "timeout", True, True),
        ("fails", {"http": "http_500", "python": "tool_error"}, {"http": True, "python": False}, True),
        ("gone", "not_found", False, False),
        ("garbage", "contract", False, True),
        ("wrong", "contract", False, True),
    ],
)
async def test_failures_say_what_is_known(  # noqa: PLR0917  (a table's columns)
    kind: Kind, call: Any, behaviour: str, failure: Any, retryable: Any, unknown_if_write: bool, effect: bool
) -> None:
    contract = replace(kind.contract(behaviour), effect=effect)
    with pytest.raises(StepError) as caught:
        await call(contract, timeout_s=0.5 if behaviour == "slow" else 20.0)
    assert caught.value.kind == (failure[kind.name] if isinstance(failure, dict) else failure)
    assert caught.value.retryable is (retryable[kind.name] if isinstance(retryable, dict) else retryable)
    assert caught.value.outcome_unknown is (effect and unknown_if_write)


@pytest.mark.parametrize("arguments", [{}, {"id": 5}, {"id": "a", "more": 1}])
async def test_arguments_that_break_the_contract_are_never_sent(
    kind: Kind, call: Any, server: LoopbackServer, arguments: dict[str, Any]
) -> None:
    contract = replace(kind.contract("good"), effect=True)
    with pytest.raises(StepError) as caught:
        await call(contract, arguments=arguments)
    assert (caught.value.kind, caught.value.outcome_unknown) == ("arguments", False)
    assert caught.value.problems
    assert server.received == []


async def test_the_shorter_timeout_counts(kind: Kind, call: Any) -> None:
    contract = replace(kind.contract("slow"), timeout_s=0.1)
    with pytest.raises(StepError, match=r"within 0\.1 s"):
        await call(contract, timeout_s=30.0)


async def test_a_look_up_finds_what_happened_or_that_nothing_did(
    kind: Kind, runner: ToolRunner, server: LoopbackServer
) -> None:
    finder = replace(kind.contract("good"), name="shop.find", timeout_s=5.0)
    refund = replace(finder, name="shop.refund", effect=True)
    refund = replace(refund, idempotency=Idempotency("lookup", lookup_tool="shop.find", lookup_argument="id"))
    world: dict[str, Any] = {"settings": {"url": server.url}, "files": {"tools/shop.py": PYTHON.encode()}}
    found = await runner.look_up(refund, {"shop.find": finder}, {"cents": 3}, idempotency_key="#W1", **world)
    assert found is not None
    assert found.output["total_cents"] == 5

    gone = replace(kind.contract("gone"), name="shop.find")
    assert await runner.look_up(refund, {"shop.find": gone}, {}, idempotency_key="#W1", **world) is None

    for behaviour in ("fails", "wrong"):
        broken = replace(kind.contract(behaviour), name="shop.find")
        with pytest.raises(StepError) as caught:
            await runner.look_up(refund, {"shop.find": broken}, {}, idempotency_key="#W1", **world)
        assert caught.value.outcome_unknown

    with pytest.raises(StepError) as caught:
        await runner.look_up(refund, {}, {}, idempotency_key="#W1", **world)
    assert (caught.value.kind, caught.value.outcome_unknown) == ("misconfigured", True)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        pytest.param(reply(b'{"total_cents": 5, "x": "' + b"x" * LIMIT_BYTES + b'"}'), "contract", id="oversize"),
        pytest.param(reply(b'{"total_cents": 5}', content_type="text/html"), "contract", id="not declared JSON"),
        pytest.param(reply(b'{"total_cents": 5}', headers={"Content-Encoding": "gzip"}), "contract", id="compressed"),
        pytest.param(reply(b"[1]"), "contract", id="no object"),
        pytest.param(reply(b'{"total_cents": NaN}'), "contract", id="NaN"),
        pytest.param(reply(b"\xff\xfe"), "contract", id="no UTF-8"),
        pytest.param(reply(b""), "contract", id="empty, although a field is required"),
        pytest.param(reply(status=302, headers={"Location": "http://127.0.0.1:9/"}), "redirect", id="to another host"),
        pytest.param(reply(status=307, headers={"Location": "/again"}), "redirect", id="to the same host"),
        pytest.param(disconnect, "connection", id="broken connection"),
        pytest.param(reply(status=503), "http_503", id="503"),
        pytest.param(reply(status=304), "http_304", id="304"),
    ],
)
async def test_a_write_over_http_is_unknown_unless_the_answer_is_good(
    call: Any, server: LoopbackServer, answer: Any, failure: str
) -> None:
    contract = replace(Http(server).contract("good"), effect=True)
    server.answer = answer
    with pytest.raises(StepError) as caught:
        await call(contract)
    assert (caught.value.kind, caught.value.outcome_unknown) == (failure, True)
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("status", "failure", "retryable"),
    [
        (400, "http_400", False),
        (401, "unauthorized", False),
        (403, "refused", False),
        (409, "conflict", False),
        (422, "http_422", False),
        (429, "rate_limited", True),
        (501, "http_501", False),
    ],
)
async def test_a_clear_no_is_known(
    call: Any, server: LoopbackServer, status: int, failure: str, retryable: bool
) -> None:
    contract = replace(Http(server).contract("good"), effect=True)
    server.answer = reply(status=status, headers={"Retry-After": "7"})
    with pytest.raises(StepError) as caught:
        await call(contract)
    error = caught.value
    assert (error.kind, error.retryable, error.outcome_unknown, error.retry_after_s) == (failure, retryable, False, 7.0)


async def test_nothing_was_sent_where_nobody_listens(call: Any, runner: ToolRunner, server: LoopbackServer) -> None:
    contract = replace(Http(server).contract("good"), effect=True)
    with pytest.raises(StepError) as caught:
        await runner.call(contract, {"id": "a"}, settings={"url": "http://127.0.0.1:1"})
    assert (caught.value.kind, caught.value.retryable, caught.value.outcome_unknown) == ("unreachable", True, False)


async def test_a_failure_may_be_an_ordinary_answer(kind: Kind, call: Any) -> None:
    answer = ToolFailure("", output={"total_cents": 0})
    contract = replace(kind.contract("gone"), errors={"410": answer, "Gone": answer})
    assert (await call(contract)).output == {"total_cents": 0}
    assert (await call(replace(contract, effect=True))).output == {"total_cents": 0}
    wrong = ToolFailure("", output={})
    with pytest.raises(StepError) as caught:
        await call(replace(contract, errors={"410": wrong, "Gone": wrong}))
    assert caught.value.kind == "contract"


async def test_an_ordinary_answer_cannot_hide_an_unknown_outcome(call: Any, server: LoopbackServer) -> None:
    answer = ToolFailure("", output={"total_cents": 0})
    contract = replace(Http(server).contract("fails"), errors={"5xx": answer})
    assert (await call(contract)).output == {"total_cents": 0}
    with pytest.raises(StepError) as caught:
        await call(replace(contract, effect=True))
    assert (caught.value.kind, caught.value.outcome_unknown) == ("http_500", True)


@pytest.mark.parametrize("behaviour", ["exits", "stops"])
async def test_a_python_tool_cannot_end_the_worker(call: Any, behaviour: str) -> None:
    with pytest.raises(StepError) as caught:
        await call(Python().contract(behaviour))
    assert caught.value.kind == "tool_error"


async def test_a_python_tool_must_return_json(call: Any) -> None:
    with pytest.raises(StepError) as caught:
        await call(Python().contract("not_json"))
    assert caught.value.kind == "contract"
