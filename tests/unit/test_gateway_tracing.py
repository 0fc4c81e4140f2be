"""W3C's trace context towards vendors: where the project has it so, in exactly its form, and nowhere else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from support.chat_cases import ASKED, HELLO
from support.gateway_cases import permit_all, task
from support.http_server import loopback_server, reply

from signoff.capabilities.gateway import Gateway, GatewayError
from signoff.capabilities.gateway.asking import Asked
from signoff.capabilities.gateway.resilience.settings import ResilienceSettings
from signoff.capabilities.gateway.tracing import traceparent_of
from signoff.catalog.models import ModelsConfig, ModelSpec, Route

SOUND = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
RUN = UUID("0198c5a0-0000-7000-8000-000000000001")


@pytest.mark.parametrize(
    ("said", "passed"),
    [
        (SOUND, SOUND),
        (f"{SOUND}\r\nx-evil: 1", ""),
        (SOUND.upper(), ""),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", ""),
        (f"00-{'a' * 32}-{'0' * 16}-01", ""),
        ("", ""),
    ],
)
def test_only_the_exact_form_is_passed_on(said: str, passed: str):
    assert traceparent_of(said) == passed


def test_a_runs_trace_is_the_run_and_its_span_the_step():
    told = traceparent_of("", RUN, "draft")
    assert told.startswith(f"00-{RUN.hex}-")
    assert traceparent_of(SOUND, RUN, "draft") == SOUND
    assert traceparent_of("", RUN, "other") != told


@pytest.mark.parametrize("kind", ["chat", "stream", "task"])
@pytest.mark.parametrize("on", [True, False])
async def test_a_vendor_is_told_where_the_project_says_so(kind: str, *, on: bool):
    with loopback_server(reply(b'{"error": {"message": "no"}}', status=400)) as vendor:
        settings: dict[str, Any] = {"base_url": f"{vendor.url}/v1", "model": "m", "price": "free", "trace": on}
        config = ModelsConfig({"m": ModelSpec("m", "openai_compatible", settings)}, (Route(("m",)),))
        gateway = Gateway(environment={}, settings=ResilienceSettings(retries=0))
        asked: Asked = replace(ASKED, trace=SOUND)
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "chat": lambda: gateway.chat(HELLO, asked, config, decide=permit_all),
            "stream": lambda: gateway.stream(HELLO, asked, config, decide=permit_all),
            "task": lambda: gateway.complete(task(), config, decide=permit_all, asked=replace(asked, task="classify")),
        }
        with pytest.raises(GatewayError):
            await calls[kind]()
        await gateway.aclose()
        [received] = vendor.received
        headers = {name.lower(): value for name, value in received.headers.items()}
        assert headers.get("traceparent") == (SOUND if on else None)
        assert "tracestate" not in headers
