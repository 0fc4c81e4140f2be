"""A worker in a process of its own, made to be killed; a sink that counts and does not deduplicate."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import uvloop
from support.forked import forkserver

from signoff.core.clock import SystemClock
from signoff.foundation.database import Database
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime import RuntimeSettings
from signoff.steps import open_worker

LEASE_S = float(os.environ.get("SIGNOFF_CHAOS_LEASE_S", "0.5"))
"""Of workers that are killed. On a machine with much else to do they need a longer one to get anywhere.

A host that was cut off leaves transactions behind; what they have locked must come free in about a lease too, as
steps of the others wait for it for three leases.
"""

SETTINGS = RuntimeSettings(
    lease_s=LEASE_S, heartbeat_s=LEASE_S / 5, poll_s=0.1, park_after_s=0.1, drain_s=5.0, crash_limit=1000
)


class KillingClock(SystemClock):
    """Kills its process the n-th time it is asked for the time: the engine asks once for every event it journals.

    Args:
        survives: how often it may be asked; with a grave, how many events it may journal.
        grave: a file that gets a line per death: before which kind of event.
    """

    def __init__(self, survives: int | None, grave: str | None = None) -> None:
        self._left = survives
        self._grave = grave

    def now(self) -> datetime:
        kind = None if self._grave is None else _about_to_be_journaled()
        if self._left is not None and (self._grave is None or kind is not None):
            self._left -= 1
            if self._left < 0:
                if self._grave is not None:
                    with Path(self._grave).open("a") as grave:
                        grave.write(f"{kind}\n")
                os.kill(os.getpid(), signal.SIGKILL)
        return super().now()


def _about_to_be_journaled() -> str | None:
    """The kind of the event that whoever asked for the time is about to emit, if they are."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "emit" and "kind" in frame.f_locals:
            return str(frame.f_locals["kind"])
        frame = frame.f_back
    return None


def work(url: str, survives: int | None, grave: str | None = None) -> None:
    """The body of a worker process, on the loop that workers run on: until SIGTERM, or dead before."""
    uvloop.run(_work(url, survives, grave))


async def _work(url: str, survives: int | None, grave: str | None) -> None:
    async with (
        await Database.open(DatabaseSettings(url=url, idle_in_transaction_timeout_s=LEASE_S)) as database,
        open_worker(database, clock=KillingClock(survives, grave), settings=SETTINGS) as worker,
    ):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        await worker.run()


@asynccontextmanager
async def worker_process(url: str, survives: int | None = None, grave: str | None = None) -> AsyncGenerator[Any]:
    """A worker process while the block lasts; killed at the end if it still lives."""
    process = forkserver.Process(target=work, args=(url, survives, grave), daemon=True)
    await asyncio.to_thread(process.start)  # the first one waits for the server's imports
    try:
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.join, 10)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # many workers' first requests come at once

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed does not wait for its answer."""


class Sink:
    """An HTTP service that pays whenever it is asked to, and remembers every payment by key.

    Attributes:
        payments: how often each key was paid.
        lock: taken to count.
        url: where it is.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.payments: Counter[str] = Counter()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                size_bytes = int(self.headers["Content-Length"])
                if len(sink.received(self.rfile, size_bytes)) < size_bytes:
                    self.close_connection = True  # the client went away in the middle: that is no request
                    return
                key = self.headers["Idempotency-Key"]
                with sink.lock:
                    sink.payments[key] += 1
                self.answer(200, {"id": key, "paid": True})

            def do_GET(self) -> None:
                key = parse_qs(urlsplit(self.path).query).get("key", [""])[0]
                known = sink.payments[key] > 0
                self.answer(200 if known else 404, {"id": key, "paid": True} if known else {"title": "unknown"})

            def answer(self, status: int, body: dict[str, Any]) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it)
                """Tests read what was counted, not a log."""

        self.lock = threading.Lock()
        self._server = _Server((host, 0), Handler)
        self.url = f"http://{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def received(self, body: BufferedIOBase, size_bytes: int) -> bytes:
        """A payment's body; shorter where the client went away."""
        return body.read(size_bytes)

    @property
    def listener(self) -> socket.socket:
        """The socket that connections come in by."""
        return self._server.socket

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
