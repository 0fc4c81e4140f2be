"""What vendors say of when to come back, dates included, and how long a connection to one may take to open."""

from __future__ import annotations

import asyncio

import pytest

from signoff.capabilities.gateway.chat import ChatMessage, ChatRequest, TextPart
from signoff.capabilities.gateway.provider import ProviderError
from signoff.capabilities.gateway.providers import default_factories
from signoff.capabilities.gateway.providers.vendors import Vendor
from signoff.capabilities.gateway.providers.wire.errors import MAX_RETRY_AFTER_S, of_status
from signoff.catalog.models import ModelSpec

NOW = "Sun, 22 Nov 2026 21:00:00 GMT"
SAID: list[tuple[dict[str, str], float | None]] = [
    ({"retry-after": "Sun, 22 Nov 2026 21:00:42 GMT", "date": NOW}, 42.0),
    # The forms that RFC 9110 (5.6.7) still lets servers send.
    ({"retry-after": "Sunday, 22-Nov-26 21:00:42 GMT", "date": NOW}, 42.0),
    ({"retry-after": "Sun Nov 22 21:00:42 2026", "date": "Sun Nov 22 21:00:00 2026"}, 42.0),
    ({"retry-after": "Sun, 22 Nov 2026 20:00:00 GMT", "date": NOW}, 0.0),
    ({"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT", "date": NOW}, MAX_RETRY_AFTER_S),
    # Without the vendor's own clock a date says nothing: ours may be wrong by more.
    ({"retry-after": "Sun, 22 Nov 2026 21:00:42 GMT"}, None),
    ({"retry-after": "Sun, 22 Nov 2026 21:00:42 GMT", "date": "today"}, None),
    ({"retry-after": "soon", "date": NOW}, None),
    ({"retry-after": "7", "date": NOW}, 7.0),
    ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
]


@pytest.mark.parametrize(("headers", "wait_s"), SAID, ids=range(len(SAID)))
@pytest.mark.parametrize("status", [429, 503])
def test_a_date_to_come_back_at_is_read_by_the_vendors_own_clock(
    headers: dict[str, str], wait_s: float | None, status: int
) -> None:
    assert of_status(status, None, headers).retry_after_s == wait_s


async def test_a_connection_that_does_not_open_in_its_time_is_a_timeout() -> None:
    """A server that takes the connection and says nothing of TLS: it is not open before that."""
    met: list[asyncio.StreamWriter] = []

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = {"model": "m", "base_url": f"https://127.0.0.1:{port}/v1", "timeouts": {"connect_s": 0.05}}
    vendor = default_factories()["openai_compatible"](ModelSpec("m", "openai_compatible", settings))
    assert isinstance(vendor, Vendor)
    ask = ChatRequest((ChatMessage("user", (TextPart("Hello"),)),))
    try:
        with pytest.raises(ProviderError) as whole:
            await vendor.chat(ask)
        with pytest.raises(ProviderError) as streamed:
            await anext(vendor.stream(ask))
    finally:
        await vendor.aclose()
        for writer in met:
            writer.close()
        server.close()
    assert (whole.value.kind, streamed.value.kind) == ("timeout", "timeout")
