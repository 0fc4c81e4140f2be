"""What is done for a client ends when it leaves, cleaned up; another's cancellation stays one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from signoff.api.compatible.exchange import ClientGoneError, while_connected


class Client:
    """Leaves when it is told to."""

    def __init__(self) -> None:
        self.leaves = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.leaves.wait()
        return {"type": "http.disconnect"}


class Work:
    """Goes on until it is cancelled, and cleans up then."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cleaned = False

    async def done(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.cleaned = True


async def test_what_a_client_waits_for_comes_while_it_listens():
    async def work() -> str:
        await asyncio.sleep(0)
        return "answer"

    assert await while_connected(Client().receive, work()) == "answer"


async def test_work_whose_client_leaves_is_ended_and_cleaned_up_before_that_is_told():
    client, work = Client(), Work()
    waiting = asyncio.create_task(while_connected(client.receive, work.done()))
    await work.begun.wait()
    client.leaves.set()
    with pytest.raises(ClientGoneError):
        await waiting
    assert work.cleaned
    assert not waiting.cancelling()


async def test_work_that_would_not_be_stopped_answers_nobody():
    client, begun = Client(), asyncio.Event()

    async def stubborn() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "late"
        return "never"

    waiting = asyncio.create_task(while_connected(client.receive, stubborn()))
    await begun.wait()
    client.leaves.set()
    with pytest.raises(ClientGoneError):
        await waiting


async def test_who_is_cancelled_by_others_stays_cancelled():
    work = Work()
    waiting = asyncio.create_task(while_connected(Client().receive, work.done()))
    await work.begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.cleaned
