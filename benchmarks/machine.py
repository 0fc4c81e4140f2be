"""What every benchmark needs of the machine: a PostgreSQL of its own that can be killed, child processes, CPU counted.

PostgreSQL is the embedded one with its default settings: fsync on, synchronous_commit on, ordinary logged tables. The
peers get a server started the same way.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from signoff.foundation.database import EmbeddedServer
from signoff.foundation.database.postmaster import runs_in

CHECKOUT = Path(__file__).parent.parent


@dataclass
class Server:
    """A PostgreSQL server of the benchmark's own."""

    embedded: EmbeddedServer
    url: str

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        found = runs_in(self.embedded.log_path.parent)
        assert found is not None
        return found

    def kill(self) -> None:
        """End every process of the server by SIGKILL, as a crash would, and start it again."""
        postmaster = psutil.Process(self.pid)
        victims = [postmaster, *postmaster.children(recursive=True)]
        for process in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(victims, timeout=10)
        self.embedded.revive()

    def disk_bytes(self) -> int:
        """What its data directory takes, the write-ahead log included."""
        return sum(path.stat().st_size for path in self.embedded.log_path.parent.rglob("*") if path.is_file())


@contextlib.contextmanager
def running_server(*, max_connections: int = 100) -> Generator[Server]:
    """A new, empty server; its data is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as directory:
        os.chmod(directory, 0o711)  # noqa: PTH101  (the server may run as another user)
        embedded = EmbeddedServer(Path(directory), max_connections=max_connections)
        server = Server(embedded, embedded.start())
        try:
            yield server
        finally:
            embedded.stop(delete=True)


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds, user and system, that these processes and all their children have used, ended children included."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            for one in [process, *process.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += sum(one.cpu_times()[:4])
    return total


def memory_bytes(pid: int) -> int:
    """A process's own memory: what would be free again if it ended (USS)."""
    return psutil.Process(pid).memory_full_info().uss


class Child:
    """A child process that says things as JSON, one a line, and is told things by lines."""

    def __init__(
        self, arguments: Sequence[str], *, environment: Mapping[str, str] | None = None, log: Path | None = None
    ) -> None:
        self._log: IO[bytes] | int = log.open("ab") if log is not None else subprocess.DEVNULL
        self.process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=CHECKOUT,
            env={**os.environ, **(environment or {})},
            text=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def hear(self) -> dict[str, Any]:
        """The next thing it says; what is no JSON object is passed over.

        Raises:
            RuntimeError: it ended instead.
        """
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"the process ended with {self.process.wait()}: {self.process.args}")

    def tell(self, line: str) -> None:
        """Send it a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """SIGKILL to it and all its children."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        self.process.kill()
        self.process.wait()
        self._close()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Close its input, by which it ends by itself."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._close()

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()
        if not isinstance(self._log, int):
            self._log.close()


def python_child(module: str, *arguments: str, log: Path | None = None) -> Child:
    """A module of this checkout as a child, under this Python."""
    return Child([sys.executable, "-m", module, *arguments], log=log)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that is at least as high as that share of them."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


class Stopwatch:
    """Wall clock and CPU of processes over a stretch."""

    def __init__(self, pids: Mapping[str, Sequence[int]]) -> None:
        self._pids = pids
        self._cpu = {name: cpu_s(found) for name, found in pids.items()}
        self._began_s = time.perf_counter()
        self._machine = psutil.cpu_times()

    def unused(self) -> str:
        """What nobody used of the processors, and what the host of a virtual machine gave to others meanwhile."""
        elapsed_s, now, before = time.perf_counter() - self._began_s, psutil.cpu_times(), self._machine
        idle = (now.idle - before.idle + getattr(now, "iowait", 0.0) - getattr(before, "iowait", 0.0)) / elapsed_s
        stolen = (getattr(now, "steal", 0.0) - getattr(before, "steal", 0.0)) / elapsed_s
        return f"idle {idle:.2f}, stolen {stolen:.2f} of {psutil.cpu_count()} processors"

    def read(self) -> tuple[float, dict[str, float]]:
        """Seconds since the beginning, and CPU seconds by name."""
        elapsed_s = time.perf_counter() - self._began_s
        return elapsed_s, {name: cpu_s(found) - self._cpu[name] for name, found in self._pids.items()}
