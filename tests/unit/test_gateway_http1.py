"""The transport to vendors: connections are used again, and what breaks is told as httpx tells it."""

from __future__ import annotations

import httpx
import pytest

from signoff.capabilities.gateway.providers.http1 import VendorTransport
from signoff.testing import FaultyVendor


def _client(vendor: FaultyVendor, fault: str = "", timeout_s: float = 10) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=vendor.base_url(fault), transport=VendorTransport(), timeout=timeout_s)


async def test_a_connection_is_used_again_after_whole_answers_and_streams() -> None:
    async with FaultyVendor() as vendor, _client(vendor) as client:
        for stream in (False, True, False, True):
            answer = await client.post("/chat/completions", json={"model": "says", "stream": stream})
            assert answer.status_code == 200
            assert "parcel" in answer.text
        assert len(vendor.connections) == 1
        assert (await client.post("/chat/completions", json={"model": "limit"})).status_code == 429
        assert len(vendor.connections) == 1


@pytest.mark.parametrize(
    ("fault", "stream", "error"),
    [
        ("refused", False, httpx.ConnectError),
        ("tls", False, httpx.ConnectError),
        ("half", False, httpx.RemoteProtocolError),
        ("half", True, httpx.RemoteProtocolError),
        ("long-length", False, httpx.RemoteProtocolError),
        ("silence", False, httpx.ReadTimeout),
    ],
)
async def test_what_breaks_is_an_error_of_httpx(fault: str, stream: bool, error: type[Exception]) -> None:
    async with FaultyVendor() as vendor, _client(vendor, fault, 0.5 if fault == "silence" else 10) as client:
        with pytest.raises(error):
            await client.post("/chat/completions", json={"model": fault, "stream": stream})


async def test_an_answer_that_is_left_closes_its_connection_and_the_next_call_opens_another() -> None:
    async with FaultyVendor() as vendor, _client(vendor) as client:
        ask = {"model": "drip", "stream": True}
        async with client.stream("POST", "/chat/completions", json=ask) as answer:
            async for _ in answer.aiter_bytes():
                break
        await vendor.asked[0].left.wait()
        assert (await client.post("/chat/completions", json={"model": "says"})).status_code == 200


async def test_a_connection_that_the_vendor_closed_meanwhile_is_not_used() -> None:
    async with FaultyVendor() as vendor, _client(vendor) as client:
        for model in ("says", "clean-half", "says"):  # the second closes behind its answer
            assert (await client.post("/chat/completions", json={"model": model})).status_code == 200
        assert len(vendor.asked) == 3
