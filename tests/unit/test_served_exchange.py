"""What is done for a client ends when it leaves, cleaned up; another's cancellation stays one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from signoff.api.compatible.exchange import ClientGoneError, while_connected
from signoff.api.leaving import Leaving


class Client:
    """Leaves when it is told to."""

    def __init__(self, leaving: Leaving | None = None) -> None:
        self.leaving = leaving
        self._left = asyncio.Event()

    def leaves(self) -> None:
        if self.leaving is None:
            self._left.set()
        else:
            self.leaving.tell()

    async def receive(self) -> dict[str, Any]:
        await self._left.wait()
        return {"type": "http.disconnect"}


@pytest.fixture(params=["by what is received", "by the connection"])
def client(request: pytest.FixtureRequest) -> Client:
    """Of a server that tells its end in one way or the other."""
    return Client(Leaving() if request.param == "by the connection" else None)


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


async def test_what_a_client_waits_for_comes_while_it_listens(client: Client):
    async def work() -> str:
        await asyncio.sleep(0)
        return "answer"

    assert await while_connected(client.receive, work(), client.leaving) == "answer"
    client.leaves()  # nobody is ended by it any more
    await asyncio.sleep(0)


async def test_work_whose_client_leaves_is_ended_and_cleaned_up_before_that_is_told(client: Client):
    work = Work()
    waiting = asyncio.create_task(while_connected(client.receive, work.done(), client.leaving))
    await work.begun.wait()
    client.leaves()
    with pytest.raises(ClientGoneError):
        await waiting
    assert work.cleaned
    assert not waiting.cancelling()


async def test_work_whose_client_left_before_it_began_is_ended(client: Client):
    client.leaves()
    with pytest.raises(ClientGoneError):
        await while_connected(client.receive, Work().done(), client.leaving)


async def test_work_that_would_not_be_stopped_answers_nobody(client: Client):
    begun = asyncio.Event()

    async def stubborn() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "late"
        return "never"

    waiting = asyncio.create_task(while_connected(client.receive, stubborn(), client.leaving))
    await begun.wait()
    client.leaves()
    with pytest.raises(ClientGoneError):
        await waiting


async def test_who_is_cancelled_by_others_stays_cancelled(client: Client):
    work = Work()
    waiting = asyncio.create_task(while_connected(client.receive, work.done(), client.leaving))
    await work.begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.cleaned
