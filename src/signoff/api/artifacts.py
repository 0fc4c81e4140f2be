"""Values of runs that are too large for their journals."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response, Security

from signoff.api.entity_tags import listed
from signoff.api.problems import documented
from signoff.api.services import ActorOf, ServicesOf, api_key_scheme
from signoff.api.strict_json import StrictRoute
from signoff.core.errors import ForbiddenError, NotFoundError
from signoff.runtime.artifacts import describe_artifact, read_artifact
from signoff.runtime.client import read_run

router = APIRouter(prefix="/v1/runs", tags=["runs"], dependencies=[Security(api_key_scheme)], route_class=StrictRoute)

Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="The SHA-256, as the journal names it.")]

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The value: a text, or any other as JSON.",
        "content": {"text/plain": {}, "application/json": {}},
    },
    304: {"description": "You have it."},
}


@router.get(
    "/{run_id}/artifacts/{digest}",
    operation_id="readArtifact",
    summary="Read an artifact of a run",
    response_class=Response,
    responses=_ANSWERS | documented(404),
)
async def read(run_id: UUID, digest: Digest, request: Request, services: ServicesOf, actor: ActorOf) -> Response:
    """One value that a run's journal names by reference (`$artifact`). Its content never changes."""
    try:
        async with services.database.transaction(actor.org_id) as connection:
            run = await read_run(connection, actor.org_id, run_id)
            use = await describe_artifact(connection, actor.org_id, run_id, digest)
        await services.access.require_artifact(actor, run, use)
    except (NotFoundError, ForbiddenError) as error:
        # One answer for both: a digest is a guess at content, and "forbidden" would say that the guess is right.
        raise NotFoundError(f"Run {run_id} has no artifact {digest}, or none that you may read.") from error
    headers = {
        "ETag": f'"{digest}"',
        "Cache-Control": "private, no-cache",  # kept, but policy is asked each time
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f'attachment; filename="{digest[:16]}"',
    }
    if headers["ETag"] in listed(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    async with services.database.transaction(actor.org_id) as connection:
        found = await read_artifact(connection, actor.org_id, run_id, digest)
    return Response(found.data, media_type=found.media_type, headers=headers)
