"""A worker that stops for longer than its lease and then goes on: it writes nothing, and nothing happens twice."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable
from io import BufferedIOBase

import psutil
import pytest
from support.engine import eventually
from support.killed import Sink, worker_process
from tests.chaos.test_chaos_killed_worker import outcomes, started, stories

from signoff.foundation.database import Database

RUNS = 24
SESSIONS = "SELECT id FROM worker_session"
EARLIER = " UNION SELECT session_id FROM journal WHERE session_id IS NOT NULL"
"""Those that the worker had before it was stopped: on a starved machine it loses one now and then."""


@pytest.mark.timeout(300)
async def test_a_worker_stopped_past_its_lease_writes_nothing_when_it_goes_on(database: Database, database_url: str):
    with Sink() as sink:
        runs = await started(database, range(RUNS), sink.url)
        async with worker_process(database_url) as stopped:
            await eventually(lambda: sink.payments.total() >= 3, 120)
            os.kill(stopped.pid, signal.SIGSTOP)
            async with database.worker_connection() as connection:
                before = {row["id"] for row in await connection.fetch(SESSIONS + EARLIER)}
                async with worker_process(database_url):
                    found = await outcomes(database, runs, 120)
                    assert found == ["paid"] * RUNS, await stories(database, runs, found)
                    written = await connection.fetchval("SELECT count(*) FROM journal")
                    os.kill(stopped.pid, signal.SIGCONT)

                    async def is_back() -> bool:
                        """The stopped worker has found out that it was declared dead, and has begun anew."""
                        sessions = {row["id"] for row in await connection.fetch(SESSIONS)}
                        return len(sessions) == 2 and not sessions & before

                    await eventually(is_back, 120)
                assert await connection.fetchval("SELECT count(*) FROM journal") == written
                late = "SELECT count(*) FROM journal j JOIN journal o USING (run_id) WHERE j.session_id = ANY($1)"
                after = " AND o.session_id <> ALL($1) AND o.session_id IS NOT NULL AND j.seq > o.seq"
                assert await connection.fetchval(late + after, list(before)) == 0
        await asyncio.to_thread(stopped.join, 30)
        assert set(sink.payments.values()) == {1}
        assert len(sink.payments) == RUNS


class ReluctantSink(Sink):
    """A service whose kernel takes in little of the first payment until it is read.

    Attributes:
        ended: set when the first payment's request has ended, whole or not.
    """

    MEMO = (
        "x" * 130_000
    )  # somewhat more than client and service hold in their kernels of a connection with small buffers

    def __init__(self) -> None:
        super().__init__()
        self._begun: Callable[[], None] | None = None
        self._is_first = threading.Lock()
        self.ended = threading.Event()
        self._default_bytes = self.listener.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
        # Where this side was too starved to read, the other side's kernel gives up after `unacknowledged_s`, and tells
        # nobody; who only reads would wait for ever.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)

    def at_first(self, begun: Callable[[], None]) -> None:
        """Have this called once the first part of the first payment is here, in the service's thread."""
        self._begun = begun

    def received(self, body: BufferedIOBase, size_bytes: int) -> bytes:
        """The first one's body is read like any other, after its client was stopped in the middle of sending it."""
        if not self._is_first.acquire(blocking=False):
            return super().received(body, size_bytes)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._default_bytes)
        try:
            first = body.read(1)
            assert self._begun is not None
            self._begun()
            return first + super().received(body, size_bytes - 1)
        finally:
            self.ended.set()


@pytest.mark.timeout(300)
async def test_a_worker_stopped_in_the_middle_of_a_request_sends_no_more_of_it(database: Database, database_url: str):
    """What the kernel did not take before the stop is not sent after it: the service gets no whole request."""
    with ReluctantSink() as sink:
        async with worker_process(database_url) as stopped:
            sink.at_first(lambda: os.kill(stopped.pid, signal.SIGSTOP))
            runs = await started(database, range(1), sink.url, sink.MEMO)
            await eventually(lambda: psutil.Process(stopped.pid).status() == psutil.STATUS_STOPPED, 120)
            async with worker_process(database_url):
                assert await outcomes(database, runs, 120) == ["paid"]
                os.kill(stopped.pid, signal.SIGCONT)
                await eventually(sink.ended.is_set, 120)
        assert set(sink.payments.values()) == {1}
