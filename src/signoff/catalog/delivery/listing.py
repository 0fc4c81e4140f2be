"""Releases as people see them: found by how their digest begins, listed, and deleted where nothing uses them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from signoff.catalog.delivery import store
from signoff.core.actors import Actor
from signoff.core.errors import ConflictError, InvalidError, NotFoundError
from signoff.foundation.database import Connection, Record

SHORTEST_START = 7
"""How much of a digest must be given at least, in characters."""

_START = re.compile(rf"^[0-9a-f]{{{SHORTEST_START},64}}\Z")


class ReleaseInUseError(ConflictError):
    """An environment, a run that goes on, or a start on its way needs the release."""

    code = "release-in-use"
    title = "The release is in use"


@dataclass(frozen=True, slots=True)
class ReleaseDetail:
    """A release with who stands behind it.

    Attributes:
        files: how many files it has.
        environments: which environments point at it.
        message: what was said when it was published; none for a snapshot of `signoff dev`, behind which nobody stands.
    """

    digest: str
    project: str
    created_at: datetime
    created_by: Actor
    files: int
    environments: tuple[str, ...]
    message: str | None = None
    published_at: datetime | None = None
    published_by: Actor | None = None


async def find_release(connection: Connection, org_id: UUID, project: str, start: str) -> ReleaseDetail:
    """The release of a project whose digest begins so.

    Raises:
        InvalidError: that is no part of a digest, or too short.
        NotFoundError: there is none.
        ConflictError: there are several.
    """
    if not _START.match(start):
        raise InvalidError(f"'{start}' is no release: give at least {SHORTEST_START} characters of its digest.")
    rows = await store.select_release(connection, org_id, project, start)
    if not rows:
        raise NotFoundError(f"Project '{project}' has no release {start}.")
    if len(rows) > 1:
        raise ConflictError(f"Several releases begin with {start}. Give more of the digest.")
    return _detail(org_id, rows[0])


async def is_published(connection: Connection, org_id: UUID, project: str, release: str) -> bool:
    """Whether somebody stands behind that release already; a snapshot of `signoff dev` is none.

    Args:
        connection: a transaction.
        org_id: whose.
        project: its project.
        release: the whole digest.
    """
    rows = await store.select_release(connection, org_id, project, release)
    return any(_detail(org_id, row).published_at is not None for row in rows)


async def page_releases(
    connection: Connection, org_id: UUID, project: str, *, after: str | None, limit: int
) -> list[ReleaseDetail]:
    """The releases of a project behind one of them, newest first."""
    rows = await store.select_releases(connection, org_id, project, after, limit)
    return [_detail(org_id, row) for row in rows]


async def release_use(connection: Connection, org_id: UUID, release: str) -> str | None:
    """What uses a release, in words: the first thing that was found; none where it could be deleted."""
    return await store.release_use(connection, org_id, release)


async def delete_release(connection: Connection, org_id: UUID, release: str) -> None:
    """Delete a release that nothing uses, with the contents that no other has. Its prompt versions stay taken.

    Raises:
        ReleaseInUseError: something uses it; says what. The database itself decides, under the release's lock.
    """
    reason = await store.delete_release(connection, org_id, release)
    if reason is not None:
        raise ReleaseInUseError(f"Release {release[:12]} is in use: {reason}.", use=reason)


async def require_project(connection: Connection, org_id: UUID, project: str) -> None:
    """Return only where the project ever had a release.

    Raises:
        NotFoundError: it had none.
    """
    if not await store.has_project(connection, org_id, project):
        detail = f"There is no project '{project}'. Whoever may open the database brings its first release."
        raise NotFoundError(detail)


def _detail(org_id: UUID, row: Record) -> ReleaseDetail:
    behind = row["published_by"]
    return ReleaseDetail(
        digest=row["digest"],
        project=row["project"],
        created_at=row["created_at"],
        created_by=Actor.from_dict(org_id, json.loads(row["created_by"])),
        files=row["files"],
        environments=tuple(row["environments"]),
        message=row["message"],
        published_at=row["published_at"],
        published_by=None if behind is None else Actor.from_dict(org_id, json.loads(behind)),
    )
