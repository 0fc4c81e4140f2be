"""What may forbid a call is asked at the last moment: after preparing and connecting, before the first byte."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from support.http_server import loopback_server, reply

from signoff.capabilities.tools import ToolRunner
from signoff.catalog.tools import HttpCall, Idempotency, PythonCall, ToolContract
from signoff.core.errors import UnavailableError

SCHEMA: dict[str, Any] = {"type": "object"}
CODE = b"""
CALLS = []

def write(arguments):
    CALLS.append(arguments)
    return {"calls": len(CALLS)}

async def write_async(arguments):
    return write(arguments)
"""


def contract(call: HttpCall | PythonCall) -> ToolContract:
    return ToolContract("pay", "Pays.", call, SCHEMA, SCHEMA, effect=True, idempotency=Idempotency("ask"))


def forbidden() -> None:
    raise UnavailableError("the lease is over")


@pytest.mark.parametrize("function", ["write", "write_async"])
async def test_a_python_tool_is_not_called(function: str):
    runner, pay = ToolRunner(), contract(PythonCall("tools/code.py", function))
    files = {"tools/code.py": CODE}
    with pytest.raises(UnavailableError):
        await runner.call(pay, {}, files=files, may_send=forbidden)
    assert (await runner.call(pay, {}, files=files)).output == {"calls": 1}
    await runner.close()


async def test_a_thread_asks_itself_before_it_calls():
    """It takes its time to begin, and the lease may be over by then."""
    runner, asked = ToolRunner(), list[str]()
    files = {"tools/code.py": CODE}
    pay = contract(PythonCall("tools/code.py", "write"))
    await runner.call(pay, {}, files=files, may_send=lambda: asked.append(threading.current_thread().name))
    assert asked == ["signoff-tool"]
    await runner.close()


async def test_nothing_of_an_http_request_is_read_by_the_other_side():
    runner = ToolRunner()
    with loopback_server(reply()) as server:
        pay = contract(HttpCall("POST", f"{server.url}/pay"))
        with pytest.raises(UnavailableError):
            await runner.call(pay, {"n": 1}, may_send=forbidden)
        await runner.call(pay, {"n": 2})
        assert [request.body for request in server.received] == [b'{"n":2}']
    await runner.close()
