"""The shop's append-only record of every request that reached it: for checking from outside what really happened."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class Record:
    """Appends JSON lines to a file and never changes one. A line is on disk before the request goes on.

    Each request gives a line `received` before anything is done for it and a line `answered` with its outcome, both
    with the same `request` number; a request that was never answered is visible as such.
    """

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._lock = threading.Lock()
        self._requests = sum(1 for line in read_lines(file) if line["event"] == "received")

    def received(self, *, method: str, path: str, query: str, body: Any, idempotency_key: str | None) -> int:
        """Records a request as it came in. Returns its number."""
        with self._lock:
            self._requests += 1
            request = self._requests
        self._append(
            {
                "event": "received",
                "request": request,
                "method": method,
                "path": path,
                "query": query,
                "body": body,
                "idempotency_key": idempotency_key,
            }
        )
        return request

    def answered(self, request: int, *, status: int, effect: Mapping[str, Any] | None, fault: str | None) -> None:
        """Records what came of a request.

        Args:
            request: its number.
            status: the HTTP status of the answer, whether or not the answer arrived.
            effect: what changed: `kind` (payment, reversal, ticket_closed) and its facts; none where nothing did.
            fault: the injected fault that hit it: `error` or `dropped`.
        """
        self._append({"event": "answered", "request": request, "status": status, "effect": effect, "fault": fault})

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def _append(self, line: Mapping[str, Any]) -> None:
        data = json.dumps({**line, "at": datetime.now(UTC).isoformat()}, separators=(",", ":")) + "\n"
        with self._lock:
            os.write(self._descriptor, data.encode())
            os.fsync(self._descriptor)


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The complete lines of a record, oldest first; a line that is being written just now is left out."""
    if not file.exists():
        return []
    *complete, _ = file.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in complete]


def read_record(file: Path) -> list[dict[str, Any]]:
    """Every request with its outcome, in the order in which they came.

    Each has `request`, `at`, `method`, `path`, `query`, `body`, `idempotency_key`, `status` (none if it was never
    answered), `effect` and `fault`.
    """
    requests: dict[int, dict[str, Any]] = {}
    for line in read_lines(file):
        event = line.pop("event")
        if event == "received":
            requests[line["request"]] = {**line, "status": None, "effect": None, "fault": None}
        else:
            requests[line["request"]].update(status=line["status"], effect=line["effect"], fault=line["fault"])
    return list(requests.values())
