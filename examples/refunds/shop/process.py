"""Starts the shop as a process of its own: for the demo, the benchmark and tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.refunds.shop.record import read_record

ROOT = Path(__file__).parents[3]
STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class RunningShop:
    """A shop that accepts requests.

    Attributes:
        url: its base URL.
        database: its SQLite file.
        record_file: its append-only record of requests.
        pid: its process.
    """

    url: str
    database: Path
    record_file: Path
    pid: int

    def record(self) -> list[dict[str, Any]]:
        """Every request that reached it so far, with its outcome: see `read_record`."""
        return read_record(self.record_file)


@contextmanager
def run_shop(directory: Path, *, port: int = 0, arguments: Sequence[str] = ()) -> Generator[RunningShop]:
    """Runs the shop with its database and record in that directory, and stops it at the end.

    Args:
        directory: gets `shop.db` and `shop.requests.jsonl`; what is there already stays.
        port: 0 takes a free one.
        arguments: more of its command line, e.g. `["--no-dedup"]`.

    Raises:
        RuntimeError: it did not start; it has told why on standard error.
    """
    directory.mkdir(parents=True, exist_ok=True)
    database, record_file = directory / "shop.db", directory / "shop.requests.jsonl"
    command = [sys.executable, "-m", "examples.refunds.shop", "--port", str(port)]
    command += ["--database", str(database.resolve()), "--record", str(record_file.resolve()), *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            first_line = process.stdout.readline()
            if not first_line:
                raise RuntimeError("The example's shop did not start.")
            ready = json.loads(first_line)
            yield RunningShop(ready["url"], database, record_file, ready["pid"])
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
