"""What can be known from outside about a PostgreSQL server that may or may not run in a data directory."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

_psutil: Any = importlib.import_module("psutil")

_POLL_S = 0.05
# Lines of postmaster.pid (PostgreSQL: src/include/utils/pidfile.h).
_PID_LINE = 0
_SOCKET_DIRECTORY_LINE = 4
_STATUS_LINE = 7


def runs_in(data: Path) -> int | None:
    """The pid of the server that runs in a data directory, or none.

    The pid file alone proves nothing: after a crash and a restart of the machine its pid may be anybody's. A server
    works in its data directory, so the process must be a PostgreSQL with that working directory.
    """
    pid = _recorded_pid(data)
    return pid if pid is not None and _is_server(pid, data) else None


def is_ready(data: Path) -> bool:
    """Whether the running server accepts connections, by its own word in the pid file."""
    lines = _pid_file_lines(data)
    return len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"


def socket_directory_of(data: Path) -> Path:
    """Where a running server has its socket."""
    return Path(_pid_file_lines(data)[_SOCKET_DIRECTORY_LINE].strip())


def forget_stale_pid(data: Path) -> None:
    """Remove a pid file whose pid belongs to an unrelated process, which would keep the server from starting.

    One whose process is dead stays: PostgreSQL needs it to see whether old backends still hold the shared memory.
    """
    pid = _recorded_pid(data)
    if pid is not None and _psutil.pid_exists(pid) and not _is_server(pid, data):
        (data / "postmaster.pid").unlink(missing_ok=True)


def wait_until_gone(data: Path, *, timeout_s: float) -> bool:
    """Wait until no process of a server works in the directory: backends outlive a killed server by a moment."""
    deadline = time.monotonic() + timeout_s
    while _any_server_process(data):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _recorded_pid(data: Path) -> int | None:
    lines = _pid_file_lines(data)
    text = lines[_PID_LINE].strip() if lines else ""
    return int(text) if text.isdigit() else None


def _pid_file_lines(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _is_server(pid: int, data: Path) -> bool:
    try:
        process = _psutil.Process(pid)
        if process.status() == _psutil.STATUS_ZOMBIE:
            return False
        return process.name() == "postgres" and Path(process.cwd()).resolve() == data.resolve()
    except (_psutil.Error, OSError):
        return False


def _any_server_process(data: Path) -> bool:
    return any(
        _is_server(process.pid, data)
        for process in _psutil.process_iter(["name"])
        if process.info["name"] == "postgres"
    )
