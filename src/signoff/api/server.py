"""uvicorn as a part of a process rather than its master: it takes no signals and starts on a socket that we opened."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator

import uvicorn
from fastapi import FastAPI

from signoff.api.connection import Connection
from signoff.core.errors import UnavailableError

SHUTDOWN_S = 10
"""How long requests under way may take once the server stops, in seconds."""
BACKLOG = 1024
"""Connections that may wait to be accepted."""
KEEP_ALIVE_S = 30
"""How long an idle connection stays open, in seconds."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals belong to the command: it also has a worker and a database to stop."""
        yield


class ApiServer:
    """The API on one address. The socket is open once this is made, so requests queue from then on."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        """Take the address.

        Raises:
            UnavailableError: something else has it, or it is not an address of this machine.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
        except (OSError, OverflowError) as error:
            self._socket.close()
            reason = getattr(error, "strerror", None) or str(error)
            raise UnavailableError(f"Cannot listen on {host}:{port}: {reason}. Choose another with --port.") from error
        self._socket.setblocking(False)
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        self.url = f"http://{shown}:{self._socket.getsockname()[1]}"
        self._server = _Server(
            uvicorn.Config(
                app,
                http=Connection,
                # Nothing here asks who is behind a proxy: it would be one more layer around each request.
                proxy_headers=False,
                lifespan="off",
                ws="none",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=SHUTDOWN_S,
            )
        )

    async def serve(self) -> None:
        """Serve until `stop`, then let requests under way finish."""
        try:
            await self._server.serve(sockets=[self._socket])
        except asyncio.CancelledError:
            # uvicorn leaves its listeners open when it is cancelled rather than asked to stop.
            self._server.force_exit = True
            raise
        finally:
            self._socket.close()

    def stop(self) -> None:
        """Take no new requests and finish those under way."""
        self._server.should_exit = True
