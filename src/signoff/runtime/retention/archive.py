"""The archive's files: JSON Lines under Zstandard, one file per batch, and beside it a manifest with its digest.

Both appear whole or not at all: written beside, put on the disk, renamed. The manifest is last: a file without one is
what a kill left, and is written again.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from signoff.foundation.database import Connection
from signoff.runtime.artifacts import read_artifact
from signoff.runtime.codec import PAYLOADS
from signoff.runtime.retention import store
from signoff.runtime.retention.files import ArchiveError, Files
from signoff.runtime.retention.model import Batch

FORMAT = "signoff.archive/1"
PAGE_EVENTS = 1000
WRITE_BYTES = 1024 * 1024
"""How much is gathered before it is compressed and written."""

_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z
_zstd: Any = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


@dataclass(frozen=True, slots=True)
class Archived:
    """A written file."""

    path: Path
    digest: str
    size_bytes: int
    runs: int
    events: int


def paths_of(archives: Path, batch: Batch) -> tuple[Path, Path]:
    """Where a batch's file and manifest are, links followed.

    Raises:
        ArchiveError: that is outside of the directory of archives: a project chooses within it only.
    """
    assert batch.archive is not None
    root = archives.resolve()
    directory = (root / batch.archive / str(batch.org_id)).resolve()
    if not directory.is_relative_to(root):
        raise ArchiveError(f"The archive '{batch.archive}' leads out of {root} (SIGNOFF_ARCHIVES_DIRECTORY).")
    return directory / f"{batch.batch_id}.jsonl.zst", directory / f"{batch.batch_id}.manifest.json"


def found_whole(archives: Path, batch: Batch) -> Archived | None:
    """The batch's file, where it was written to its end before; none where a kill came first."""
    path, manifest = paths_of(archives, batch)
    try:
        told = orjson.loads(manifest.read_bytes())
        digest, size = _digest(path)
    except (OSError, ValueError):
        return None
    if digest != told.get("sha256"):
        return None
    return Archived(path, digest, size, len(told["runs"]), told["events"])


async def write(connection: Connection, files: Files, archives: Path, batch: Batch) -> AsyncIterator[Archived | str]:
    """Write a batch's file and manifest; gives the name of each step that was done, and in the end the file.

    Raises:
        ArchiveError: the directory cannot be written to, or does not answer; nothing was dropped.
    """
    do = partial(files.do, str(batch.archive))
    path, manifest = await do(paths_of, archives, batch)
    part = path.with_suffix(".part")
    runs: list[dict[str, Any]] = []
    events = 0
    try:
        await do(path.parent.mkdir, parents=True, exist_ok=True)
        output = await do(_zstd.open, part, "wb")
        try:
            header = {"format": FORMAT, "batch_id": str(batch.batch_id), "org_id": str(batch.org_id)}
            gathered = bytearray(orjson.dumps(header) + b"\n")
            for row in await connection.fetch(store.RUNS, batch.org_id, list(batch.run_ids), batch.ended_before):
                told = {name: row[name] for name in ("run_id", "workflow", "status", "ended_at")}
                count = 0
                async for line, is_event in _lines(connection, batch, row["run_id"]):
                    gathered += line + b"\n"
                    count += is_event
                    if len(gathered) > WRITE_BYTES:
                        await do(output.write, bytes(gathered))
                        gathered.clear()
                runs.append({**told, "events": count})
                events += count
            await do(output.write, bytes(gathered))
        finally:
            await do(output.close)
        yield "written beside"
        await do(_put, part, path)
        yield "renamed"
        digest, size = await do(_digest, path)
        body = {**header, "file": path.name, "sha256": digest, "size_bytes": size, "events": events, "runs": runs}
        beside = manifest.with_suffix(".part")
        await do(beside.write_bytes, orjson.dumps(body, default=str, option=_OPTIONS))
        await do(_put, beside, manifest)
        yield "manifest"
    except OSError as error:
        raise ArchiveError(f"The archive {path.parent} cannot be written: {error.strerror or error}") from error
    yield Archived(path, digest, size, len(runs), events)


async def _lines(connection: Connection, batch: Batch, run_id: Any) -> AsyncIterator[tuple[bytes, bool]]:
    """Everything of one run, a line for each row; and whether it is an event."""
    for table, query in store.ROWS.items():
        for row in await connection.fetch(query, batch.org_id, run_id):
            yield orjson.dumps({"table": table, "row": orjson.Fragment(row["row"])}), False
    after = 0
    while page := await connection.fetch(store.EVENTS, run_id, after, PAGE_EVENTS):
        for row in page:
            # The bytes of the event's JSON as they are in the journal, so that digests of them still hold.
            event = {name: row[name] for name in ("seq", "kind", "recorded_at", "session_id")}
            data = orjson.Fragment(PAYLOADS.unpack(row["data"]))
            yield _line({"table": "journal", "run_id": run_id, **event, "data": data}), True
        after = page[-1]["seq"]
    for row in await connection.fetch(store.DIGESTS, batch.org_id, run_id):
        artifact = await read_artifact(connection, batch.org_id, run_id, row["digest"])
        content = base64.b64encode(artifact.data).decode()
        told = {"digest": artifact.digest, "media_type": artifact.media_type, "base64": content}
        yield _line({"table": "artifact", "run_id": run_id, **told}), False


def _line(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value, default=str)  # the driver's UUID is a class of its own


def _put(part: Path, path: Path) -> None:
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.seek(0, os.SEEK_END)
