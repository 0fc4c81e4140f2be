"""A streaming standby of the embedded server, to be promoted while workers are at work."""

from __future__ import annotations

import shlex
import shutil
import tempfile
import time
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

import psycopg

from signoff.foundation.database.account import server_account
from signoff.foundation.database.binaries import locate_binaries

NAME = "standby"
_START_S = 60.0


def host_of(url: str) -> str:
    """The directory of the socket that a URL names."""
    return parse_qs(urlsplit(url).query)["host"][0]


class Standby:
    """A copy of a server that follows it; a context manager."""

    def __init__(self, primary_url: str) -> None:
        self._primary_url = primary_url
        self._account = server_account()
        self._binaries = locate_binaries(self._account)
        self._place = Path(tempfile.mkdtemp(prefix="signoff-standby-"))
        self._place.chmod(0o711)
        self._account.give(self._place)
        self._data = self._place / "data"
        self.url = primary_url.replace(host_of(primary_url), str(self._place))

    def __enter__(self) -> Self:
        source = f"host={host_of(self._primary_url)} user=postgres application_name={NAME}"
        self._run("pg_basebackup", "-d", source, "-D", str(self._data), "-R", "-X", "stream", "-c", "fast")
        settings = {"listen_addresses": "", "unix_socket_directories": str(self._place), "max_connections": "60"}
        options = shlex.join(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
        log = str(self._place / "server.log")
        self._run("pg_ctl", "start", "-w", "-D", str(self._data), "-l", log, "-o", options)
        return self

    def __exit__(self, *_: object) -> None:
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", str(self._data), check=False)
        shutil.rmtree(self._place, ignore_errors=True)

    def caught_up(self) -> None:
        """Return once it has all that the primary has committed by now."""
        with psycopg.connect(self._primary_url, autocommit=True) as primary:
            row = primary.execute("SELECT pg_current_wal_lsn()::text").fetchone()
        assert row is not None
        self._until("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", row[0])

    def part(self) -> None:
        """Receive nothing more: what the primary commits from now on is on the primary alone."""
        with psycopg.connect(self.url, autocommit=True) as standby:
            standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
            standby.execute("SELECT pg_reload_conf()")
        self._until("SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")

    def promote(self) -> None:
        """Take over, with what it has."""
        self._run("pg_ctl", "promote", "-w", "-D", str(self._data))

    def _until(self, query: str, *arguments: str) -> None:
        deadline_s = time.monotonic() + _START_S
        with psycopg.connect(self.url, autocommit=True) as standby:
            while standby.execute(query.encode(), arguments).fetchone() != (True,):
                assert time.monotonic() < deadline_s, query
                time.sleep(0.02)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        done = self._binaries.run(program, *arguments, timeout_s=_START_S, cwd=self._place)
        assert not check or done.returncode == 0, done.stdout
