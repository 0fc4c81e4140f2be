"""Releases and environments: snapshots that runs pin for life, and the names that point at them."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from signoff.catalog import store
from signoff.catalog.model import Project, Release, digest_of
from signoff.catalog.projects import load_project_files
from signoff.core.actors import Actor
from signoff.core.errors import ConflictError, NotFoundError, did_you_mean
from signoff.core.ids import digest as sha256
from signoff.foundation.database import Connection, Database
from signoff.foundation.database.failures import answered_within
from signoff.workflows.model import Workflow

DEFAULT_CACHED_RELEASES = 32
"""How many compiled releases a worker keeps; the least recently used goes first and is read again when needed."""
DEFAULT_LISTED = 50
"""How many releases or changes a list gives where the caller does not say."""
READ_S = 30.0
"""How long reading a release may take, in seconds: all its runs wait for it together."""


class ReleaseTamperedError(ConflictError):
    """What the database holds for a release is not what its digest names. No run of it goes on."""

    code = "release-tampered"
    title = "The release does not match its digest"


@dataclass(frozen=True, slots=True)
class EnvironmentChange:
    """One move of an environment; `version` counts them from 1.

    Attributes:
        quality_override: `reason` and `shortfalls`, where it went ahead in spite of quality thresholds.
    """

    version: int
    release: str
    changed_at: datetime
    changed_by: Actor
    operation: str = "deploy"
    reason: str = ""
    quality_override: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The move for JSON."""
        return {
            "version": self.version,
            "release": self.release,
            "operation": self.operation,
            "changed_at": self.changed_at,
            "changed_by": str(self.changed_by),
            "reason": self.reason,
            "quality_override": self.quality_override,
        }


async def register(connection: Connection, org_id: UUID, project: Project, actor: Actor) -> str:
    """Keep a project as a release and give its digest. The same files give the same release, however often."""
    files = [(path, sha256(content), content) for path, content in sorted(project.files.items())]
    digest = digest_of({path: file_digest for path, file_digest, _ in files})
    if await store.insert_release(connection, org_id, digest, project.name, actor.as_dict()):
        await store.insert_files(connection, org_id, digest, files)
    return digest


async def point_environment(
    connection: Connection, org_id: UUID, project: str, environment: str, digest: str, *, actor: Actor
) -> int:
    """Point an environment of a project at a release; gives the version of the environment, counted from 1.

    Pointing it where it points already changes nothing.

    Raises:
        NotFoundError: no such release.
        ConflictError: the release is of another project.
    """
    owner = await store.select_project(connection, org_id, digest)
    if owner is None:
        raise NotFoundError(f"There is no release {digest}.")
    if owner != project:
        raise ConflictError(f"Release {digest} is of project '{owner}', not of '{project}'.")
    version = await store.upsert_environment(connection, org_id, project, environment, digest)
    if version is None:
        current = await store.select_environment(connection, org_id, project, environment)
        assert current is not None
        return current[1]
    await store.insert_change(
        connection, org_id, project, environment, version, digest=digest, changed_by=actor.as_dict()
    )
    return version


async def environment_release(connection: Connection, org_id: UUID, project: str, environment: str) -> str:
    """The digest of the release that an environment points at.

    Raises:
        NotFoundError: nothing was ever released there.
    """
    found = await store.select_environment(connection, org_id, project, environment)
    if found is None:
        raise NotFoundError(f"Environment '{environment}' of project '{project}' points at no release yet.")
    return found[0]


async def environment_releases(connection: Connection, org_id: UUID, environment: str) -> dict[str, str]:
    """What an environment points at in each project that has one of that name: release digests by project."""
    return dict(await store.select_environments(connection, org_id, environment))


async def environment_history(
    connection: Connection,
    org_id: UUID,
    project: str,
    environment: str,
    *,
    limit: int = DEFAULT_LISTED,
    before: int | None = None,
) -> list[EnvironmentChange]:
    """The newest moves of an environment, newest first; of those before a version, where one is given."""
    rows = await store.select_changes(connection, org_id, project, environment, limit, before=before)
    return [
        EnvironmentChange(
            row["version"],
            row["release"],
            row["changed_at"],
            Actor.from_dict(org_id, json.loads(row["changed_by"])),
            row["operation"],
            row["reason"],
            None if row["quality_override"] is None else json.loads(row["quality_override"]),
        )
        for row in rows
    ]


class ReleaseCatalog:
    """Loads releases for workers: from PostgreSQL only, verified against their digests, compiled once and kept."""

    def __init__(self, database: Database, *, capacity: int = DEFAULT_CACHED_RELEASES) -> None:
        self._database = database
        self._capacity = capacity
        self._loading: OrderedDict[tuple[UUID, str], asyncio.Task[Release]] = OrderedDict()

    async def load(self, org_id: UUID, release: str) -> Release:
        """The release. Loads of the same one at the same time share the work; a failed load is not kept.

        Raises:
            NotFoundError: no such release in that organisation.
            ReleaseTamperedError: what is stored does not match its digest.
            DefinitionError: this version of Signoff no longer accepts the release's files.
        """
        key = (org_id, release)
        task = self._loading.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.ensure_future(self._read(org_id, release))
            self._loading[key] = task
        self._loading.move_to_end(key)
        while len(self._loading) > self._capacity:
            self._loading.popitem(last=False)
        if task.done():
            return task.result()
        # One waiter's timeout must not cut off the others that share the load.
        return await asyncio.shield(task)

    async def workflow(self, org_id: UUID, release: str, name: str) -> Workflow:
        """The compiled workflow of that name in that release.

        Raises:
            NotFoundError: no such release or workflow.
        """
        workflows = (await self.load(org_id, release)).project.workflows
        if name not in workflows:
            raise NotFoundError(_no_workflow(name, release, tuple(workflows)))
        return workflows[name]

    async def _read(self, org_id: UUID, release: str) -> Release:
        async with answered_within(READ_S), self._database.worker_connection() as connection:
            rows = await store.select_files(connection, org_id, release)
        if not rows:
            raise NotFoundError(f"There is no release {release}.")
        for path, file_digest, content in rows:
            if sha256(content) != file_digest:
                raise ReleaseTamperedError(f"'{path}' of release {release} is not what was released.")
        if digest_of({path: file_digest for path, file_digest, _ in rows}) != release:
            raise ReleaseTamperedError(f"The files of release {release} are not those that were released.")
        # Compiling takes tens of milliseconds of CPU; the worker's other runs go on meanwhile.
        project = await asyncio.to_thread(load_project_files, {path: content for path, _, content in rows})
        return Release(release, project)


def _no_workflow(name: str, release: str, known: Sequence[str]) -> str:
    suggestion = did_you_mean(name, known) or f"It has: {', '.join(known) or 'none'}."
    return f"Release {release[:12]} has no workflow '{name}'. {suggestion}"
