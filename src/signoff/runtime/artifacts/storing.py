"""Put artifacts into the database and get them back."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from signoff.core.errors import NotFoundError, SignoffError
from signoff.core.ids import digest as sha256
from signoff.foundation.database import Connection
from signoff.runtime.artifacts import store
from signoff.runtime.artifacts.references import Content
from signoff.runtime.codec import PAYLOADS

CHUNK_BYTES = 256 * 1024
"""Size of one stored piece; the table takes no larger."""


class ArtifactError(SignoffError):
    """What the journal names is not there, is damaged, or is more than a run may hold."""

    code = "artifact"
    title = "An artifact cannot be had"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A stored value.

    Attributes:
        data: a text in UTF-8, or JSON, as the media type says.
        data_class: the highest class that the run gave it.
    """

    digest: str
    data: bytes
    media_type: str
    data_class: int


@dataclass(frozen=True, slots=True)
class ArtifactUse:
    """What is known of an artifact of a run without its content."""

    digest: str
    size_bytes: int
    media_type: str
    data_class: int


async def keep(connection: Connection, org_id: UUID, run_id: UUID, contents: Sequence[Content], now: datetime) -> None:
    """Store what is not there yet, and note that the run uses it. Commit before the event that names it, or with it."""
    for content in sorted(contents, key=lambda content: content.digest):  # in one order: no deadlocks
        added = await connection.fetchval(store.ADD, org_id, content.digest, len(content.data), now)
        if added is not None:
            packed = await asyncio.to_thread(PAYLOADS.seal, content.data)
            pieces = range(0, len(packed), CHUNK_BYTES)
            rows = [(org_id, content.digest, place, packed[at : at + CHUNK_BYTES]) for place, at in enumerate(pieces)]
            await connection.executemany(store.ADD_CHUNK, rows)
        await connection.execute(store.USE, org_id, run_id, content.digest, content.media_type, content.data_class)


async def fetch(
    connection: Connection, org_id: UUID, run_id: UUID, references: Collection[Mapping[str, Any]], *, most_bytes: int
) -> tuple[dict[tuple[str, str], Any], int]:
    """The values that a run's references mean, by digest and media type; and the bytes that they were stored from.

    Raises:
        ArtifactError: one is not there, is damaged, or together they are larger than `most_bytes`.
    """
    sizes = {str(reference["digest"]): int(reference["size_bytes"]) for reference in references}
    total = sum(sizes.values())
    if total > most_bytes:
        raise ArtifactError(f"the run's artifacts have {total} bytes; a worker loads at most {most_bytes} of one run")
    found = await _read(connection, org_id, run_id, sizes)
    values: dict[tuple[str, str], Any] = {}
    for reference in references:
        key = str(reference["digest"]), str(reference["media_type"])
        data = found[key[0]].data
        values[key] = data.decode() if key[1] == "text/plain" else orjson.loads(data)
    return values, total


async def describe_artifact(connection: Connection, org_id: UUID, run_id: UUID, digest: str) -> ArtifactUse:
    """What is known of one artifact of a run without reading it.

    Raises:
        NotFoundError: the run uses none with that digest.
    """
    rows = await connection.fetch(store.USES, org_id, run_id, [digest])
    if not rows:
        raise NotFoundError(f"run {run_id} has no artifact {digest}")
    return ArtifactUse(digest, rows[0]["size_bytes"], rows[0]["media_type"], rows[0]["data_class"])


async def read_artifact(connection: Connection, org_id: UUID, run_id: UUID, digest: str) -> Artifact:
    """One artifact of a run.

    Raises:
        NotFoundError: the run uses none with that digest.
        ArtifactError: it is damaged.
    """
    await describe_artifact(connection, org_id, run_id, digest)
    return (await _read(connection, org_id, run_id, [digest]))[digest]


async def share(connection: Connection, org_id: UUID, source: UUID, target: UUID) -> None:
    """Let a run that begins with events of another one use what those name."""
    await connection.execute(store.SHARE, org_id, source, target)


async def _read(connection: Connection, org_id: UUID, run_id: UUID, digests: Collection[str]) -> dict[str, Artifact]:
    uses = {row["digest"]: row for row in await connection.fetch(store.USES, org_id, run_id, list(digests))}
    pieces: dict[str, list[bytes]] = {digest: [] for digest in uses}
    for row in await connection.fetch(store.CHUNKS, org_id, list(uses)):
        pieces[row["digest"]].append(row["data"])
    found: dict[str, Artifact] = {}
    for digest in digests:
        if digest not in uses:
            raise ArtifactError(f"artifact {digest} is not there")
        data = await asyncio.to_thread(_whole, pieces[digest])
        if sha256(data) != digest:
            raise ArtifactError(f"artifact {digest} is damaged: its content has another digest")
        use = uses[digest]
        found[digest] = Artifact(digest, data, use["media_type"], use["data_class"])
    return found


def _whole(pieces: Sequence[bytes]) -> bytes:
    return PAYLOADS.unpack(b"".join(pieces))
