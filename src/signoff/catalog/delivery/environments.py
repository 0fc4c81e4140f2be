"""Environments as deployers see them: where each points, since when, why, and the fenced move to somewhere else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from signoff.catalog import store as catalog_store
from signoff.catalog.delivery import store
from signoff.catalog.model import EnvironmentSpec, Project
from signoff.core.actors import Actor
from signoff.core.errors import ConflictError, InvalidError, NotFoundError, Problem, did_you_mean
from signoff.foundation.database import Connection, Record

Operation = Literal["deploy", "rollback"]

MAX_REASON_CHARACTERS = 2_000
"""How long the message of a release, or the reason of a move, may be."""


class EnvironmentMovedError(ConflictError):
    """Somebody else moved the environment since the asker looked: what was planned is not what would happen."""

    code = "environment-moved"
    title = "The environment has moved meanwhile"


@dataclass(frozen=True, slots=True)
class Environment:
    """Where an environment of a project points.

    Attributes:
        version: how often it was moved; 0 where nothing was ever deployed. A mover says which one it saw.
        release: the digest, or none.
    """

    project: str
    name: str
    version: int = 0
    release: str | None = None
    changed_at: datetime | None = None
    changed_by: Actor | None = None
    operation: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """The outcome of a move: where the environment pointed and points, and whether that was a change."""

    environment: Environment
    before: str | None
    changed: bool


def require_environment(project: Project, name: str) -> EnvironmentSpec:
    """What the project's manifest says of an environment.

    Raises:
        NotFoundError: it declares none of that name.
    """
    if name not in project.environments:
        known = tuple(project.environments)
        hint = did_you_mean(name, known) or f"It has: {', '.join(known)}."
        raise NotFoundError(f"Project '{project.name}' has no environment '{name}'. {hint}")
    return project.environments[name]


def require_reason(text: str, what: str) -> str:
    """The text, stripped.

    Raises:
        InvalidError: it is longer than `MAX_REASON_CHARACTERS`, or PostgreSQL could not store it.
    """
    stripped = text.strip()
    if len(stripped) > MAX_REASON_CHARACTERS or "\0" in stripped:
        detail = f"The {what} has more than {MAX_REASON_CHARACTERS} characters, or a NUL character."
        raise InvalidError(detail, problems=[Problem(detail, pointer=f"/{what}", code="limit")])
    return stripped


async def read_environment(connection: Connection, org_id: UUID, project: str, name: str) -> Environment:
    """Where an environment points; version 0 where nothing was deployed there yet."""
    row = await store.select_environment(connection, org_id, project, name)
    return Environment(project, name) if row is None else _environment(org_id, project, row)


async def list_environments(connection: Connection, org_id: UUID, project: str) -> list[Environment]:
    """Every environment of a project that points at something, by name."""
    return [_environment(org_id, project, row) for row in await store.select_environments(connection, org_id, project)]


async def move_environment(
    connection: Connection,
    org_id: UUID,
    project: str,
    name: str,
    release: str,
    *,
    actor: Actor,
    seen: int | None,
    operation: Operation = "deploy",
    reason: str = "",
    quality_override: Mapping[str, Any] | None = None,
) -> Moved:
    """Point an environment at a release, if it still is as the mover saw it.

    A move to where it points already changes nothing, whatever was seen: a retry finds its own first try. `seen` is the
    version that the mover decided on; 0 for an environment that points nowhere yet; none for whatever is there.
    `quality_override` is kept in the history: why thresholds were passed over, and which.

    Raises:
        NotFoundError: no such release in the project.
        ConflictError: a rollback to what was never there.
        EnvironmentMovedError: somebody moved it meanwhile; says who and where to.
    """
    if operation == "rollback":
        await require_earlier(connection, org_id, project, name, release)
    if await catalog_store.select_project(connection, org_id, release) != project:
        raise NotFoundError(f"Project '{project}' has no release {release}.")
    before = await read_environment(connection, org_id, project, name)
    if before.release == release:
        return Moved(before, release, changed=False)
    # A row that is not there cannot be at a version: the upsert alone would make the environment's first one.
    fits = seen is None or not (seen > 0 and before.version == 0)
    version = None
    if fits:
        version = await catalog_store.upsert_environment(connection, org_id, project, name, release, seen=seen)
    if version is None:
        return await _not_moved(connection, before, org_id, release, seen)
    await catalog_store.insert_change(
        connection,
        org_id,
        project,
        name,
        version,
        digest=release,
        changed_by=actor.as_dict(),
        operation=operation,
        reason=require_reason(reason, "reason"),
        quality_override=quality_override,
    )
    after = await read_environment(connection, org_id, project, name)
    return Moved(after, before.release, changed=True)


async def rollback_target(connection: Connection, current: Environment, org_id: UUID) -> str:
    """The release that an environment pointed at before the present one.

    Raises:
        ConflictError: it never pointed at another one that is still there.
    """
    found = None
    if current.release is not None:
        found = await store.select_before(
            connection, org_id, current.project, current.name, version=current.version, release=current.release
        )
    if found is None:
        detail = f"Environment '{current.name}' of '{current.project}' has no earlier release to go back to."
        raise ConflictError(f"{detail} Name one: 'signoff releases list'.")
    return found


async def require_earlier(connection: Connection, org_id: UUID, project: str, name: str, release: str) -> None:
    """Return only where an environment pointed at a release before: no threshold of quality gates a rollback.

    Raises:
        ConflictError: it never did.
    """
    if not await store.select_was_there(connection, org_id, project, name, release):
        detail = f"Environment '{name}' of '{project}' never pointed at release {release[:12]}: there is no going back."
        raise ConflictError(f"{detail} Deploy it: 'signoff deploy {name}'.")


async def _not_moved(
    connection: Connection, before: Environment, org_id: UUID, release: str, seen: int | None
) -> Moved:
    """Why the upsert changed nothing: another one was first, with the same release or with another one."""
    project, name = before.project, before.name
    now = await read_environment(connection, org_id, project, name)
    if now.release == release:
        return Moved(now, release, changed=False)
    where = f"release {now.release[:12]}" if now.release else "no release"
    who = f", moved there by {now.changed_by}" if now.changed_by else ""
    raise EnvironmentMovedError(
        f"Environment '{name}' of '{project}' is at version {now.version} ({where}{who}), not at {seen} as you saw it. "
        "Plan again, and decide on what is there now.",
        version=now.version,
        release=now.release,
    )


def _environment(org_id: UUID, project: str, row: Record) -> Environment:
    return Environment(
        project=project,
        name=row["name"],
        version=row["version"],
        release=row["release"],
        changed_at=row["changed_at"],
        changed_by=Actor.from_dict(org_id, json.loads(row["changed_by"])),
        operation=row["operation"],
        reason=row["reason"],
    )
