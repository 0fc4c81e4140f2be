"""Prefect: its server over PostgreSQL, flows and tasks in this process. `prefect_peer.py URL NUMBER POOL`.

Results are kept (`persist_result`), as every peer keeps its steps' outputs; events and run logs to the API are off.
"""

# It runs in an environment of its own, which has what it imports.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress

READY_S = 90.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_server(url: str, pool: str) -> tuple[subprocess.Popen[bytes], str]:
    home, port = tempfile.mkdtemp(prefix="signoff-bench-prefect-"), free_port()
    api = f"http://127.0.0.1:{port}/api"
    os.environ.update(
        {
            "PREFECT_HOME": home,
            "PREFECT_API_URL": api,
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": url.replace("postgresql://", "postgresql+asyncpg://"),
            "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE": pool,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_LOGGING_TO_API_ENABLED": "false",
            "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
        }
    )
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port), "--no-ui"]
    server = subprocess.Popen(command, stdout=sys.stderr, stderr=sys.stderr)
    until_s = time.monotonic() + READY_S
    while time.monotonic() < until_s and server.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{api}/health", timeout=5) as answer:
            if answer.status == 200:
                return server, api
        time.sleep(0.2)
    server.kill()
    raise SystemExit(f"prefect's server was not ready within {READY_S:g} s")


def main() -> None:
    server, _ = start_server(sys.argv[1], sys.argv[3])
    try:
        import protocol  # noqa: PLC0415  (prefect reads its settings as it is imported)
        from prefect import flow, task  # noqa: PLC0415

        @task
        async def act(pad: str) -> str:
            protocol.stepped()
            return pad

        @flow
        async def serial(steps: int, pad: str) -> str:
            for _ in range(steps):
                pad = await act(pad)
            return "done"

        @flow
        async def fan_out(steps: int, pad: str) -> str:
            await asyncio.gather(*(act(pad) for _ in range(steps)))
            return "done"

        async def run_one(steps: int, side_by_side: bool, pad: str) -> None:
            await (fan_out if side_by_side else serial)(steps, pad)

        asyncio.run(protocol.serve(run_one))
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
