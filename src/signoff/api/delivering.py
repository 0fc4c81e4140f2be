"""What the operations on releases, environments and prompts share: who decides, and files from a body."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping

from fastapi import Request

from signoff.api.entity_tags import listed
from signoff.api.problems import PreconditionFailedError, PreconditionRequiredError
from signoff.api.services import Services
from signoff.catalog import Project, load_project_files
from signoff.catalog.authority import Authority
from signoff.catalog.delivery.environments import Environment, read_environment
from signoff.catalog.delivery.listing import require_project
from signoff.catalog.sources import MAX_FILE_SIZE_BYTES, MAX_FILES, MAX_PROJECT_SIZE_BYTES
from signoff.core.actors import Actor
from signoff.core.errors import DefinitionError, ForbiddenError, InvalidError, LimitError, NotFoundError, Problem


async def authority_over(services: Services, actor: Actor, project: str, environment: str | None = None) -> Authority:
    """The policies that decide about a project: of what the target environment has now, and of the server's own.

    Raises:
        NotFoundError: the organisation has no such project.
        ForbiddenError: nothing is deployed in either, so nobody but the database's operator decides.
    """
    target = environment or services.environment
    async with services.database.transaction(actor.org_id) as connection:
        await require_project(connection, actor.org_id, project)
        there = await read_environment(connection, actor.org_id, project, target)
        own = await read_environment(connection, actor.org_id, project, services.environment)
    digests = [found.release for found in (there, own) if found.release is not None]
    if not digests:
        where = " and ".join(dict.fromkeys((target, services.environment)))
        raise ForbiddenError(f"Denied: nothing of '{project}' is deployed to {where}, so no policies can permit it.")
    try:
        loaded = await services.releases.load(actor.org_id, digests[0])
        return await services.policies.authority(actor.org_id, loaded, today=digests[-1])
    except (NotFoundError, DefinitionError) as error:
        raise ForbiddenError(f"Denied: no policies can be read for it. {error.detail}") from error


async def project_of_files(files: Mapping[str, str], project: str) -> Project:
    """The project of a body's files, read and compiled on a thread.

    Raises:
        InvalidError: a file is no Base64, or the files are of another project.
        LimitError: more or larger files than a project may have.
        DefinitionError: with every problem.
    """
    read = await asyncio.to_thread(_decoded, files)
    loaded = await asyncio.to_thread(load_project_files, read)
    if loaded.name != project:
        detail = f"signoff.yaml says 'project: {loaded.name}', and the request is about '{project}'."
        raise InvalidError(detail, problems=[Problem(detail, pointer="/files/signoff.yaml", code="wrong")])
    return loaded


def _decoded(files: Mapping[str, str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    size = 0
    for path, text in files.items():
        try:
            found[path] = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            detail = f"The file '{path}' is no Base64 (RFC 4648)."
            raise InvalidError(detail, problems=[Problem(detail, file=path, code="encoding")]) from error
        size += len(found[path])
        if len(found[path]) > MAX_FILE_SIZE_BYTES or size > MAX_PROJECT_SIZE_BYTES or len(found) > MAX_FILES:
            raise LimitError(
                f"'{path}' goes beyond what a project may have: {MAX_FILES} files, {MAX_FILE_SIZE_BYTES} "
                f"bytes each, {MAX_PROJECT_SIZE_BYTES} together.",
                size_bytes=size,
            )
    return found


def environment_tag(environment: Environment) -> str:
    """The entity tag of an environment: its version, which counts its moves."""
    return f'"{environment.version}"'


def seen_version(request: Request, current: Environment) -> int:
    """The version that the mover says to have seen: `If-Match`, or `If-None-Match: *` for the first deployment.

    Raises:
        PreconditionRequiredError: neither says anything.
        PreconditionFailedError: the environment is at another one.
    """
    if request.headers.get("if-none-match", "").strip() == "*":
        if current.version:
            raise PreconditionFailedError(f"Environment '{current.name}' is at version {current.version}.")
        return 0
    tags = listed(request.headers.get("if-match", ""))
    if not tags or tags == ["*"]:
        raise PreconditionRequiredError(
            "Say which version of the environment you decided on: 'If-Match' with its ETag, as the plan and the "
            "environment give it, or 'If-None-Match: *' for its first deployment."
        )
    if len(tags) != 1 or not tags[0].strip('"').isdecimal() or len(tags[0]) > 20:  # noqa: PLR2004  (digits of a bigint)
        raise PreconditionFailedError(f"No version of environment '{current.name}' has the tag {tags[0][:40]}.")
    return int(tags[0].strip('"'))
