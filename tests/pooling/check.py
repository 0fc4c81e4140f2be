"""Whether Signoff works through a pooler: `python tests/pooling/check.py [--pgbouncer PATH]`.

It starts a PostgreSQL of its own in a temporary directory, PgBouncer before it in each mode, and tries what Signoff
needs there: its roles, then forty runs of three steps under a worker, once with LISTEN on a direct connection and once
without any. It prints a line for each try and exits with 1 where one came out otherwise than docs/guides/operations.md
says.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.engine import ACTOR, ScriptedTool, compiled, ended, running, start

from signoff.foundation.database import Database, migrate
from signoff.foundation.database.embedded import EmbeddedServer
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime.handlers import Done

RUNS = 40
STEPS = """
steps:
  a: {set: {n: 1}}
  b: {tool: work, requires: a}
  c: {set: {n: 3}, requires: b}
outcome: {ok: c.done}
"""
IGNORED = "role,statement_timeout,lock_timeout,idle_in_transaction_session_timeout"
EXPECTED = {("session", True): "works"}
"""By mode, and whether parameters are ignored; anything else is refused at the start."""


class Bouncer:
    """PgBouncer before a server, as a process of its own."""

    def __init__(self, program: str, directory: Path, server: str, mode: str, options: str) -> None:
        parts = urlsplit(server)
        host = unquote(parts.query.partition("host=")[2])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        config = directory / f"{mode}-{self.port}.ini"
        (directory / "users.txt").write_text('"postgres" ""\n')
        config.write_text(
            f"[databases]\n* = host={host} port=5432 user=postgres\n"
            f"[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={self.port}\nauth_type=any\nunix_socket_dir=\n"
            f"auth_file={directory}/users.txt\npool_mode={mode}\nmax_client_conn=500\ndefault_pool_size=60\n{options}\n"
        )
        config.chmod(0o644)
        user = ["-u", Path(str(host)).owner()] if os.geteuid() == 0 else []  # who may reach the server's socket
        self.process = subprocess.Popen([program, "-q", *user, str(config)])
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/{parts.path.lstrip('/')}"

    def __enter__(self) -> Self:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        raise SystemExit("PgBouncer did not start")

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


async def tried(url: str, listen_url: str) -> str:
    """Runs under a worker: how many ended, or why none could."""
    settings = DatabaseSettings(url=url, listen_url=listen_url, connect_timeout_s=5.0, recovery_wait_s=1.0)
    workflow = compiled("pooled", STEPS, work=False)
    try:
        async with await Database.open(settings) as database:
            async with database.transaction(ACTOR.org_id) as connection:
                role = await connection.fetchval("SELECT current_user")
            if role != "signoff_app":
                return f"UNSAFE: the role is {role}"
            async with running(database, [workflow], ScriptedTool({"work": lambda _: Done({})})):
                runs = [await start(database, workflow, {}) for _ in range(RUNS)]
                for run_id in runs:
                    await asyncio.wait_for(ended(database, run_id), 30)
    except Exception as error:  # noqa: BLE001  (what it is, is what we want to know)
        return f"refused: {type(error).__name__}: {str(error)[:160]}"
    return f"works: {RUNS} runs"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pgbouncer", default=shutil.which("pgbouncer") or "pgbouncer")
    program = parser.parse_args().pgbouncer
    print(subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0])
    directory = Path(tempfile.mkdtemp(prefix="signoff-pooling-"))
    directory.chmod(0o755)
    server = EmbeddedServer(directory / "state", max_connections=200, durable=False)
    (directory / "state").mkdir(mode=0o711)
    failed = 0
    try:
        url = server.start()
        migrate(url)
        for mode in ("session", "transaction"):
            for ignoring in (False, True):
                options = f"ignore_startup_parameters={IGNORED}" if ignoring else ""
                about = "ignoring parameters" if ignoring else "as it comes"
                with Bouncer(program, directory, url, mode, options) as bouncer:
                    for listen_url, listening in ((url, "listening directly"), ("none", "not listening")):
                        told = asyncio.run(tried(bouncer.url, listen_url))
                        failed += not told.startswith(EXPECTED.get((mode, ignoring), "refused"))
                        print(f"{mode:12} {about:22} {listening:20} {told}", flush=True)
    finally:
        server.stop(delete=True)
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
